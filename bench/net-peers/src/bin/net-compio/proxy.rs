use std::io;
use std::net::SocketAddr;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use compio::net::TcpStream;

/// One direction, by a buffer.
async fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::BUF);
    loop {
        let BufResult(count, filled) = from.read(buf).await;
        if count? == 0 {
            return to.shutdown().await;
        }
        let BufResult(written, sent) = to.write_all(filled).await;
        written?;
        buf = sent;
        buf.clear();
    }
}

pub async fn serve(stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let there = TcpStream::connect(backend).await?;
    there.set_nodelay(true)?;
    let back = compio::runtime::spawn(copy(there.clone(), stream.clone()));
    copy(stream, there).await?;
    back.await.unwrap_or(Ok(()))
}
