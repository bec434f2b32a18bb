//! Any bytes as requests of the Redis protocol: in one piece and in several they are the same.

#[path = "../../examples/resp/parse.rs"]
mod parse;

use parse::{Limits, NUMBER, Parser, ProtocolError, Request, integer};

/// Small enough to be reached.
const LIMITS: Limits = Limits { inline: 80, bulk: 40, arguments: 5, request: 120 };

/// The first byte says how the rest is cut.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&cut, input)) = bytes.split_first() else { return };
    let whole = all(input, input.len().max(1));
    for piece in [1, 1 + usize::from(cut)] {
        assert_eq!(all(input, piece), whole, "in pieces of {piece}");
    }
    for arguments in &whole.0 {
        again(arguments);
    }
    if let Some(number) = integer(input) {
        assert_eq!(number.to_string().as_bytes(), input);
    }
}

/// The arguments of all requests, and the error that ends them.
fn all(input: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut parser, mut requests, mut buf) = (Parser::new(LIMITS), Vec::new(), Vec::new());
    for piece in input.chunks(piece) {
        buf.extend_from_slice(piece);
        loop {
            let size = match parser.parse(&buf) {
                Ok(Some(request)) => {
                    assert!(0 < request.size && request.size <= buf.len());
                    requests.push(owned(&request));
                    request.size
                }
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            };
            buf.drain(..size);
        }
        // Before an argument is known to be too many, the line of its length is waited for.
        assert!(buf.len() <= LIMITS.request + NUMBER + piece.len(), "{} bytes are kept", buf.len());
    }
    (requests, None)
}

fn owned(request: &Request<'_>) -> Vec<Vec<u8>> {
    request.arguments().map(<[u8]>::to_vec).collect()
}

/// What was understood is understood again when it is written as clients write it.
fn again(arguments: &[Vec<u8>]) {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    // A line of words may hold more than a request in this form may.
    let fits = arguments.len() <= LIMITS.arguments
        && arguments.iter().all(|argument| argument.len() <= LIMITS.bulk)
        && bytes.len() <= LIMITS.request;
    match Parser::new(LIMITS).parse(&bytes) {
        Ok(Some(request)) => assert_eq!((owned(&request), request.size), (arguments.to_vec(), bytes.len())),
        Ok(None) => panic!("{} is no whole request", bytes.escape_ascii()),
        Err(error) => assert!(!fits, "{error}: {}", bytes.escape_ascii()),
    }
}
