use std::io;

use annulus::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt};
use annulus::net::TcpStream;
use annulus::pool::RecvPool;

pub async fn serve(mut stream: TcpStream, pool: Option<RecvPool>) -> io::Result<()> {
    let (read, first) = stream.read_exact(vec![0]).await;
    read?;
    match (first[0] == net::SEND, net::arg("--how").as_deref(), pool) {
        (true, Some("zc"), _) => source_zc(stream).await,
        (true, ..) => source(stream).await,
        (false, _, Some(pool)) => sink_pooled(stream, pool).await,
        (false, ..) => sink(stream).await,
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut pattern = net::pattern(net::BULK);
    loop {
        let (written, sent) = stream.write_all(pattern).await;
        written?;
        pattern = sent;
    }
}

/// Without a copy, where the device allows it: a loopback device does not. Bytes that nobody changes can be lent any
/// number of times, so nobody waits for them to come back.
async fn source_zc(mut stream: TcpStream) -> io::Result<()> {
    let pattern: &'static [u8] = net::pattern(net::BULK).leak();
    loop {
        let mut rest = pattern;
        while !rest.is_empty() {
            let (sent, _lent) = stream.send_zc(rest).await;
            rest = &rest[sent?..];
        }
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

async fn sink_pooled(stream: TcpStream, pool: RecvPool) -> io::Result<()> {
    let mut received = stream.recv_stream(&pool);
    while let Some(buf) = received.next().await {
        drop(buf?);
    }
    Ok(())
}
