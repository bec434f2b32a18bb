//! Any bytes as requests of HTTP/1.1: in one piece and in several they are the same, and no path leads out.

#[path = "../../examples/http/parse.rs"]
mod parse;

use parse::{BODY, HEAD, LINE, Range, Refusal};

/// The first byte says how the rest is cut, and the second how long it is made: limits are far for a fuzzer.
pub(crate) fn check(bytes: &[u8]) {
    let [cut, long, input @ ..] = bytes else { return };
    let input = &stretch(input, *long);
    let whole = all(input, input.len().max(1));
    // A byte at a time takes a time that is square in the length.
    let small = if input.len() < 1024 { 1 } else { 1009 };
    for piece in [small, small + usize::from(*cut)] {
        assert_eq!(all(input, piece), whole, "in pieces of {piece}");
    }
    for request in &whole.0 {
        target(&request.target);
        request.range.into_iter().for_each(range);
    }
}

/// A request as its own.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: String,
    range: Option<Range>,
    flags: [bool; 3],
}

/// Puts many of the same byte in place of each `~`.
fn stretch(input: &[u8], long: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in input {
        match byte {
            b'~' if out.len() < 4 * HEAD => out.resize(out.len() + usize::from(long) * 64, b'a'),
            _ => out.push(byte),
        }
    }
    out
}

fn all(input: &[u8], piece: usize) -> (Vec<Request>, Option<Refusal>) {
    let (mut requests, mut buf) = (Vec::new(), Vec::new());
    for piece in input.chunks(piece) {
        buf.extend_from_slice(piece);
        loop {
            let size = match parse::request(&buf) {
                Ok(Some(request)) => {
                    assert!(0 < request.size && request.size <= buf.len().min(HEAD + BODY));
                    let flags = [request.head_only, request.keep_alive, request.is_old];
                    requests.push(Request { target: request.target.into(), range: request.range, flags });
                    request.size
                }
                Ok(None) => break,
                Err(status) => {
                    assert!((400..600).contains(&status));
                    return (requests, Some(status));
                }
            };
            buf.drain(..size);
        }
        assert!(buf.len() < HEAD.max(LINE) + BODY, "{} bytes are kept", buf.len());
    }
    (requests, None)
}

/// Whatever a target is, the path that it names is one of names.
fn target(target: &str) {
    let Ok(path) = parse::path(target) else { return };
    assert!(path.len() <= target.len() && !path.starts_with(b"/") && !path.contains(&0));
    let names = path.strip_suffix(b"/").unwrap_or(&path);
    for name in names.split(|&byte| byte == b'/') {
        let is_up = matches!(name, b"." | b"..");
        assert!(!is_up && (!name.is_empty() || path.is_empty()), "{target} is {}", path.escape_ascii());
    }
}

fn range(range: Range) {
    for length in [0, 1, 10, u64::MAX] {
        if let Some(part) = range.within(length) {
            assert!(part.start < part.end && part.end <= length);
        }
    }
}
