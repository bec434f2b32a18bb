//! What is sent and what has to come back: bytes that are the same each time but for a name, which says which message
//! of which connection this is. So bytes of another connection, lost bytes and swapped buffers are all noticed.

use std::io::Write;
use std::ops::Range;

/// Letters that a path of HTTP may have, six bits each.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Letters of a name in a path.
const NAME: usize = 12;

/// A message whose name is rewritten in place.
pub struct Message {
    bytes: Vec<u8>,
    /// Where the name is.
    name: Range<usize>,
    /// The name consists of letters.
    text: bool,
    /// Bytes that are the server's own affair: the value of a date.
    any: Range<usize>,
}

impl Message {
    /// `size` bytes that begin with their name.
    pub fn binary(size: usize) -> Self {
        let bytes: Vec<u8> = (0..size.max(1)).map(|at| (at * 31 + at / 251) as u8).collect();
        let name = 0..bytes.len().min(8);
        Self { bytes, name, text: false, any: 0..0 }
    }

    /// A request for a path that is a slash and a name.
    pub fn request() -> Self {
        Self::text("GET /", " HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }

    /// The answer of the servers with a parser of their own: the path.
    pub fn answer() -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n/", NAME + 1);
        Self::text(&head, "")
    }

    /// The same as hyper writes it: names in small letters, and a date.
    pub fn hyper_answer() -> Self {
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\ndate: ", NAME + 1);
        let message = Self::text(&format!("{head}{date}\r\n\r\n/"), "");
        Self { any: head.len()..head.len() + date.len(), ..message }
    }

    fn text(before: &str, after: &str) -> Self {
        let mut bytes = Vec::new();
        let name = before.len()..before.len() + NAME;
        // A vector takes everything.
        let _ = write!(bytes, "{before}{}{after}", "-".repeat(NAME));
        Self { bytes, name, text: true, any: 0..0 }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of message `seq` of connection `index`.
    pub fn named(&mut self, index: usize, seq: u64) -> &[u8] {
        let name = (index as u64) << 40 | (seq & 0xff_ffff_ffff);
        let place = &mut self.bytes[self.name.clone()];
        if self.text {
            let letter = |at: usize| LETTERS[(name >> (6 * at) & 63) as usize];
            place.iter_mut().enumerate().for_each(|(at, byte)| *byte = if at < 11 { letter(at) } else { b'-' });
        } else {
            place.copy_from_slice(&name.to_le_bytes()[..place.len()]);
        }
        &self.bytes
    }

    /// Is `chunk` what message `seq` of connection `index` has from byte `at` on?
    pub fn matches(&mut self, chunk: &[u8], at: usize, index: usize, seq: u64) -> bool {
        let any = self.any.clone();
        let (end, bytes) = (at + chunk.len(), self.named(index, seq));
        let part = |from: usize, to: usize| {
            let (from, to) = (from.max(at), to.min(end));
            from >= to || chunk[from - at..to - at] == bytes[from..to]
        };
        if any.is_empty() { chunk == &bytes[at..end] } else { part(0, any.start) && part(any.end, bytes.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    /// Red when a byte besides the date's is not looked at.
    #[test]
    fn every_byte_but_the_date_counts() {
        let mut answer = Message::hyper_answer();
        let (bytes, date) = (answer.named(3, 7).to_vec(), answer.any.clone());
        assert_eq!(date.len(), 29);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert_eq!(answer.matches(&wrong, 0, 3, 7), date.contains(&at), "byte {at}");
            assert_eq!(answer.matches(&wrong[at..], at, 3, 7), date.contains(&at), "from byte {at}");
            assert!(answer.matches(&wrong[..at], 0, 3, 7), "up to byte {at}");
        }
        assert!(!answer.matches(&bytes, 0, 3, 8) && !answer.matches(&bytes, 0, 4, 7));
    }

    #[test]
    fn names_differ() {
        let mut request = Message::request();
        let mut seen: Vec<_> = (0..100).map(|seq| request.named(0, seq).to_vec()).collect();
        seen.extend((1..100).map(|index| request.named(index, 0).to_vec()));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 199);
    }
}
