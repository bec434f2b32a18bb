use std::io;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use compio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    if stream.read_u8().await? == net::SEND { source(stream).await } else { sink(stream).await }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut pattern = net::pattern(net::BULK);
    loop {
        let BufResult(written, sent) = stream.write_all(pattern).await;
        written?;
        pattern = sent;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::BULK);
    loop {
        let BufResult(count, filled) = stream.read(buf).await;
        if count? == 0 {
            return Ok(());
        }
        buf = filled;
        buf.clear();
    }
}
