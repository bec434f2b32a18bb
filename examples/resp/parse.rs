//! Requests of the Redis protocol (RESP2), from bytes that come in pieces: pure, and without an allocation for each.

use std::{fmt, ops::Range};

/// The longest line that says how many arguments or bytes follow.
pub(crate) const NUMBER: usize = 64;

/// How much a request may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a request that is a line of words.
    pub(crate) inline: usize,
    /// Bytes of an argument.
    pub(crate) bulk: usize,
    /// Arguments of a request.
    pub(crate) arguments: usize,
    /// Bytes of a request.
    pub(crate) request: usize,
}

/// What is wrong with a request, in Redis' own words. The connection cannot be understood any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    InlineTooBig,
    CountTooBig,
    CountInvalid,
    LengthTooBig,
    LengthInvalid,
    NoDollar(u8),
    RequestTooBig,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            ProtocolError::InlineTooBig => f.write_str("too big inline request"),
            ProtocolError::CountTooBig => f.write_str("too big mbulk count string"),
            ProtocolError::CountInvalid => f.write_str("invalid multibulk length"),
            ProtocolError::LengthTooBig => f.write_str("too big bulk count string"),
            ProtocolError::LengthInvalid => f.write_str("invalid bulk length"),
            ProtocolError::NoDollar(byte) => write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            ProtocolError::RequestTooBig => f.write_str("too big request"),
        }
    }
}

/// Where in a request the parser stands.
#[derive(Clone, Copy)]
enum State {
    Start,
    /// In a line of words.
    Inline,
    /// At the length of an argument; so many are missing.
    Length(usize),
    /// At an argument that ends here; so many are missing with it.
    Bulk(usize, usize),
}

/// Finds the requests. It remembers how far it has come, so that bytes are not looked at again when more have come.
pub(crate) struct Parser {
    limits: Limits,
    state: State,
    at: usize,
    arguments: Vec<Range<usize>>,
}

/// A whole request: its arguments, the first of which is the command's name. None for an empty line.
pub(crate) struct Request<'a> {
    input: &'a [u8],
    arguments: &'a [Range<usize>],
    /// How many bytes of the input it is.
    pub(crate) size: usize,
}

impl<'a> Request<'a> {
    pub(crate) fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let input = self.input;
        self.arguments.iter().map(move |range| &input[range.clone()])
    }
}

impl Parser {
    pub(crate) fn new(limits: Limits) -> Parser {
        Parser { limits, state: State::Start, at: 0, arguments: Vec::new() }
    }

    /// The request that `input` begins with, if all of it is there. Until it is, each call's input begins with that of
    /// the call before; afterwards, it begins behind the request.
    pub(crate) fn parse<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Request<'a>>, ProtocolError> {
        if !self.advance(input)? {
            return Ok(None);
        }
        self.state = State::Start;
        Ok(Some(Request { input, arguments: &self.arguments, size: self.at }))
    }

    fn advance(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        loop {
            match self.state {
                State::Start => {
                    self.arguments.clear();
                    self.at = 0;
                    match input.first() {
                        None => return Ok(false),
                        Some(b'*') => {}
                        Some(_) => {
                            self.state = State::Inline;
                            continue;
                        }
                    }
                    let limit = (ProtocolError::CountTooBig, ProtocolError::CountInvalid);
                    let Some((count, end)) = number(input, 1, limit)? else { return Ok(false) };
                    let count = usize::try_from(count).unwrap_or(0); // a negative one is an empty request
                    if count > self.limits.arguments {
                        return Err(ProtocolError::CountInvalid);
                    }
                    (self.state, self.at) = (State::Length(count), end);
                }
                State::Inline => return self.line(input),
                State::Length(0) => return Ok(true),
                State::Length(missing) => {
                    match input.get(self.at) {
                        None => return Ok(false),
                        Some(b'$') => {}
                        Some(&other) => return Err(ProtocolError::NoDollar(other)),
                    }
                    let limit = (ProtocolError::LengthTooBig, ProtocolError::LengthInvalid);
                    let Some((length, end)) = number(input, self.at + 1, limit)? else { return Ok(false) };
                    let length = usize::try_from(length).ok().filter(|&length| length <= self.limits.bulk);
                    let end_of_bulk = end + length.ok_or(ProtocolError::LengthInvalid)?;
                    if end_of_bulk + 2 > self.limits.request {
                        return Err(ProtocolError::RequestTooBig);
                    }
                    (self.state, self.at) = (State::Bulk(end_of_bulk, missing), end);
                }
                State::Bulk(end, missing) => {
                    match input.get(end..end + 2) {
                        None => return Ok(false),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(ProtocolError::LengthInvalid),
                    }
                    self.arguments.push(self.at..end);
                    (self.state, self.at) = (State::Length(missing - 1), end + 2);
                }
            }
        }
    }

    /// Words, as somebody types them; quotes mean nothing.
    fn line(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        let within = &input[..input.len().min(self.limits.inline)];
        let Some(end) = within[self.at..].iter().position(|&byte| byte == b'\n').map(|n| self.at + n) else {
            self.at = within.len();
            return if input.len() > self.limits.inline { Err(ProtocolError::InlineTooBig) } else { Ok(false) };
        };
        let is_space = |&byte: &u8| byte.is_ascii_whitespace();
        let mut at = 0;
        for word in within[..end].split(is_space) {
            if !word.is_empty() {
                self.arguments.push(at..at + word.len());
            }
            at += word.len() + 1;
        }
        self.at = end + 1;
        Ok(true)
    }
}

/// The number in the line at `start`, and where the line ends. None if its end is not there yet.
fn number(
    input: &[u8],
    start: usize,
    (too_big, invalid): (ProtocolError, ProtocolError),
) -> Result<Option<(i64, usize)>, ProtocolError> {
    let rest = &input[start..];
    let within = &rest[..rest.len().min(NUMBER)];
    let Some(length) = within.iter().position(|&byte| byte == b'\r') else {
        return if within.len() == NUMBER { Err(too_big) } else { Ok(None) };
    };
    match rest.get(length + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((integer(&rest[..length]).ok_or(invalid)?, start + length + 2))),
        Some(_) => Err(invalid),
    }
}

/// Digits, with a minus before them at most: as Redis writes them, and in no other way.
pub(crate) fn integer(digits: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(digits).ok()?.parse::<i64>().ok()?;
    let plain = digits.strip_prefix(b"-").unwrap_or(digits);
    let canonical = plain[0].is_ascii_digit() && (plain[0] != b'0' || digits == b"0");
    canonical.then_some(number)
}
