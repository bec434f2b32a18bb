use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    if stream.read_u8().await? == net::SEND { source(stream).await } else { sink(stream).await }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let pattern = net::pattern(net::BULK);
    loop {
        stream.write_all(&pattern).await?;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; net::BULK];
    while stream.read(&mut buf).await? > 0 {}
    Ok(())
}
