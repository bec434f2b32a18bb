//! Requests of HTTP/1.1, from bytes that come in pieces: what `httparse` finds in a head, and what it means. Pure.
//!
//! What could be understood in two ways is refused: whoever stands before this server might understand it otherwise.

/// The longest first line, head and body, in bytes. Bodies mean nothing here and are passed over.
pub(crate) const LINE: usize = 8 * 1024;
pub(crate) const HEAD: usize = 16 * 1024;
pub(crate) const BODY: usize = 64 * 1024;
/// The most header fields.
const FIELDS: usize = 64;

/// Why a request is not answered, as a status. The connection cannot be understood any further.
pub(crate) type Refusal = u16;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// What is asked for: a path, and perhaps a query.
    pub(crate) target: &'a str,
    /// Whether only the head of the answer is asked for.
    pub(crate) head_only: bool,
    pub(crate) range: Option<Range>,
    pub(crate) keep_alive: bool,
    /// Whether the client is of the time when connections were not kept.
    pub(crate) is_old: bool,
    /// How many bytes of the input it is.
    pub(crate) size: usize,
}

/// A part of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// From one to another, that one included, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl Range {
    /// Where it begins and ends in a file of `length` bytes. None if it has no byte of it.
    pub(crate) fn within(self, length: u64) -> Option<std::ops::Range<u64>> {
        let range = match self {
            Range::From(first, last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            Range::Last(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }

    /// `bytes=1-2`, `bytes=1-` or `bytes=-2`. Whatever else there may be, several ranges among it, need not be heard.
    fn parse(value: &[u8]) -> Option<Range> {
        let (first, last) = std::str::from_utf8(value).ok()?.strip_prefix("bytes=")?.split_once('-')?;
        match (number(first.as_bytes()), number(last.as_bytes())) {
            (Some(first), Some(last)) => (first <= last).then_some(Range::From(first, Some(last))),
            (Some(first), None) if last.is_empty() => Some(Range::From(first, None)),
            (None, Some(last)) if first.is_empty() => Some(Range::Last(last)),
            _ => None,
        }
    }
}

/// The request that `input` begins with, if all of it is there.
pub(crate) fn request(input: &[u8]) -> Result<Option<Request<'_>>, Refusal> {
    let start = input.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(input.len());
    let line = input[start..].iter().take(LINE).position(|&byte| byte == b'\n');
    // A line that is too long is not looked at beyond that, so it matters to nobody how much of it is there.
    let (limit, refusal) = if line.is_some() { (HEAD, 431) } else { (HEAD.min(start + LINE), 414) };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let size = match head.parse(&input[..input.len().min(limit)]) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if input.len() < limit => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(refusal),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(httparse::Error::Version) => return Err(505),
        Err(_) => return Err(400),
    };
    let is_old = head.version == Some(0);
    let fields = Fields::read(head.headers)?;
    if fields.hosts > 1 || fields.hosts == 0 && !is_old {
        return Err(400);
    }
    let body = fields.body()?;
    let head_only = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(405),
    };
    let size = size + body;
    if input.len() < size {
        return Ok(None);
    }
    let keep_alive = !fields.close && (!is_old || fields.keep_alive);
    let range = fields.range.filter(|_| !head_only && !fields.if_range);
    let target = head.path.ok_or(400u16)?;
    Ok(Some(Request { target, head_only, range, keep_alive, is_old, size }))
}

/// What the fields of a head say.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    is_encoded: bool,
    expects: bool,
    close: bool,
    keep_alive: bool,
    range: Option<Range>,
    if_range: bool,
}

impl Fields {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Fields, Refusal> {
        let mut fields = Fields::default();
        for field in headers {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                fields.hosts += 1;
            } else if is("content-length") {
                // Two of them might be two different requests.
                if fields.length.is_some() {
                    return Err(400);
                }
                fields.length = Some(number(field.value).ok_or(400u16)?);
            } else if is("transfer-encoding") {
                fields.is_encoded = true;
            } else if is("expect") {
                fields.expects = true;
            } else if is("connection") {
                let words = || field.value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                fields.close |= words().any(|word| word.eq_ignore_ascii_case(b"close"));
                fields.keep_alive |= words().any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
            } else if is("range") {
                fields.range = Range::parse(field.value);
            } else if is("if-range") {
                fields.if_range = true;
            }
        }
        Ok(fields)
    }

    /// How long the body is.
    fn body(&self) -> Result<usize, Refusal> {
        let length = self.length.unwrap_or(0);
        match (self.is_encoded, self.length) {
            (true, Some(_)) => Err(400),
            (true, None) => Err(501),
            _ if length > BODY as u64 => Err(413),
            _ if self.expects && length > 0 => Err(417),
            _ => Ok(length as usize),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// The path that a target names, without a slash before it: each of its parts is a name, and none goes up or is empty.
/// One that ends in a slash, or is nothing, names a folder.
pub(crate) fn path(target: &str) -> Result<Vec<u8>, Refusal> {
    let target = match target.get(..7) {
        // As a proxy would be asked.
        Some(scheme) if scheme.eq_ignore_ascii_case("http://") => {
            target[7..].find(['/', '?']).map_or("/", |at| &target[7 + at..])
        }
        _ => target,
    };
    let path = target.split('?').next().unwrap_or_default();
    let mut out = Vec::with_capacity(path.len());
    let parts = path.strip_prefix('/').ok_or(400u16)?.split('/').filter(|part| !part.is_empty());
    for part in parts {
        let start = out.len();
        decode(part.as_bytes(), &mut out)?;
        if matches!(&out[start..], b"." | b"..") {
            return Err(400);
        }
        out.push(b'/');
    }
    if !path.ends_with('/') {
        out.pop();
    }
    Ok(out)
}

/// Takes `%41` for `A`. A slash or a NUL can be in no name.
fn decode(mut part: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    while let Some((&byte, rest)) = part.split_first() {
        part = rest;
        let byte = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) => {
                part = rest;
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(400u16);
                (digit(*high)? << 4 | digit(*low)?) as u8
            }
            (b'%', _) => return Err(400),
            _ => byte,
        };
        if matches!(byte, b'/' | 0) {
            return Err(400);
        }
        out.push(byte);
    }
    Ok(())
}
