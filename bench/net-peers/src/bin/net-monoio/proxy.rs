use std::io;
use std::net::SocketAddr;

use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::TcpStream;

/// One direction, by a buffer.
async fn copy(mut from: impl AsyncReadRent, mut to: impl AsyncWriteRent) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::BUF);
    loop {
        let (count, filled) = from.read(buf).await;
        if count? == 0 {
            return to.shutdown().await;
        }
        let (written, sent) = to.write_all(filled).await;
        written?;
        buf = sent;
        buf.clear();
    }
}

async fn connect(backend: SocketAddr) -> io::Result<TcpStream> {
    let there = TcpStream::connect_addr(backend).await?;
    there.set_nodelay(true)?;
    Ok(there)
}

pub async fn serve(stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let (from, to) = stream.into_split();
    let (from_there, to_there) = connect(backend).await?.into_split();
    let (there, back) = monoio::join!(copy(from, to_there), copy(from_there, to));
    there.and(back)
}

pub async fn splice(stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let (mut from_there, mut to_there) = connect(backend).await?.into_split();
    let there = async {
        monoio::io::zero_copy(&mut from, &mut to_there).await?;
        to_there.shutdown().await
    };
    let back = async {
        monoio::io::zero_copy(&mut from_there, &mut to).await?;
        to.shutdown().await
    };
    let (there, back) = monoio::join!(there, back);
    there.and(back)
}
