//! The end of a connection whose peer was not heard to the end.

use annulus::{
    io::{AsyncReadRent, AsyncWriteRent},
    net::TcpStream,
    time::timeout,
};
use std::time::Duration;

/// Ends a connection after an answer to what was not read to its end: a close would reset it, and the peer might not
/// see the answer. So what still comes is read, for a moment.
pub(crate) async fn after_answer(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let rest = async {
        let (mut buf, mut res) = (Vec::with_capacity(16 * 1024), Ok(1));
        while res.is_ok_and(|n| n > 0) {
            (res, buf) = stream.read(buf).await;
        }
    };
    let _ = timeout(Duration::from_secs(1), rest).await;
}
