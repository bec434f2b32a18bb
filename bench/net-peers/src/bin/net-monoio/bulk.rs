use std::io;

use monoio::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt};
use monoio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let (read, first) = stream.read_exact(vec![0]).await;
    read?;
    if first[0] == net::SEND { source(stream).await } else { sink(stream).await }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut pattern = net::pattern(net::BULK);
    loop {
        let (written, sent) = stream.write_all(pattern).await;
        written?;
        pattern = sent;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::BULK);
    loop {
        let (count, filled) = stream.read(buf).await;
        if count? == 0 {
            return Ok(());
        }
        buf = filled;
        buf.clear();
    }
}
