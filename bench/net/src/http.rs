//! The parser and the answer that all contenders without hyper have in common: the body is the path that was asked for.

use std::io::Write;

/// Answers all requests that `input` has whole, by appending to `out`. Gives how many bytes they had; `None` for what is
/// no request.
pub fn answer(input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut done = 0;
    while done < input.len() {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(len) = request.parse(&input[done..]).ok()? else { break };
        let path = request.path?;
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ");
        write!(out, "{}", path.len()).ok()?;
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(path.as_bytes());
        done += len;
    }
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn whole_requests_are_answered_and_a_part_is_left() {
        let (one, mut out) = (&b"GET /abc HTTP/1.1\r\nHost: x\r\n\r\n"[..], Vec::new());
        let two = [one, one].concat();
        for len in 0..=two.len() {
            out.clear();
            assert_eq!(answer(&two[..len], &mut out), Some(len / one.len() * one.len()));
            let said = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n/abc";
            assert_eq!(String::from_utf8_lossy(&out), said.repeat(len / one.len()));
        }
        assert_eq!(answer(b"\0", &mut out), None);
    }
}
