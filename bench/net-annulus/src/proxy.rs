use std::io;
use std::net::SocketAddr;

use annulus::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use annulus::net::{RecvStream, TcpStream, copy_bidirectional};
use annulus::pool::RecvPool;

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

/// One direction, from the buffers that all connections share.
async fn copy_pooled(mut from: RecvStream, mut to: impl AsyncWriteRent) -> io::Result<()> {
    while let Some(buf) = from.next().await {
        to.write_all(buf?).await.0?;
    }
    to.shutdown().await
}

async fn connect(backend: SocketAddr) -> io::Result<TcpStream> {
    let there = TcpStream::connect_addr(backend).await?;
    there.set_nodelay(true)?;
    Ok(there)
}

pub async fn plain(stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let (from, to) = stream.into_split();
    let (from_there, to_there) = connect(backend).await?.into_split();
    annulus::try_join!(copy(from, to_there), copy(from_there, to)).map(drop)
}

pub async fn pooled(stream: TcpStream, backend: SocketAddr, pool: RecvPool) -> io::Result<()> {
    let there = connect(backend).await?;
    let (from, from_there) = (stream.recv_stream(&pool), there.recv_stream(&pool));
    let ((_reader, to), (_reader_there, to_there)) = (stream.into_split(), there.into_split());
    annulus::try_join!(copy_pooled(from, to_there), copy_pooled(from_there, to)).map(drop)
}

/// Without reading it.
pub async fn splice(mut stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut there = connect(backend).await?;
    copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}
