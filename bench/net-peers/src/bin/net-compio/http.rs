use std::io;

use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let (mut inbox, mut out) = (Vec::with_capacity(net::BUF), Vec::with_capacity(net::BUF));
    loop {
        let BufResult(count, filled) = stream.append(inbox).await;
        inbox = filled;
        if count? == 0 {
            return Ok(());
        }
        let Some(done) = net::http::answer(&inbox, &mut out) else { return Ok(()) };
        drop(inbox.drain(..done));
        let BufResult(written, sent) = stream.write_all(out).await;
        written?;
        out = sent;
        out.clear();
    }
}
