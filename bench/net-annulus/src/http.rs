use std::io;

use annulus::buf::IoBufMut;
use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
use annulus::net::TcpStream;
use annulus::pool::RecvPool;

pub async fn plain(mut stream: TcpStream) -> io::Result<()> {
    let (mut inbox, mut out) = (Vec::<u8>::with_capacity(net::BUF), Vec::with_capacity(net::BUF));
    loop {
        let filled = inbox.len();
        let (count, slice) = stream.read(inbox.slice_mut(filled..)).await;
        inbox = slice.into_inner();
        if count? == 0 {
            return Ok(());
        }
        let Some(done) = net::http::answer(&inbox, &mut out) else { return Ok(()) };
        drop(inbox.drain(..done));
        let (written, sent) = stream.write_all(out).await;
        written?;
        out = sent;
        out.clear();
    }
}

/// Receives into buffers that all connections share; a request that is not whole is kept aside.
pub async fn pooled(mut stream: TcpStream, pool: RecvPool) -> io::Result<()> {
    let (mut part, mut out) = (Vec::new(), Vec::with_capacity(net::BUF));
    let mut received = stream.recv_stream(&pool);
    while let Some(buf) = received.next().await {
        let buf = buf?;
        if part.is_empty() {
            let Some(done) = net::http::answer(&buf, &mut out) else { return Ok(()) };
            part.extend_from_slice(&buf[done..]);
        } else {
            part.extend_from_slice(&buf);
            let Some(done) = net::http::answer(&part, &mut out) else { return Ok(()) };
            drop(part.drain(..done));
        }
        drop(buf);
        let (written, sent) = stream.write_all(out).await;
        written?;
        out = sent;
        out.clear();
    }
    Ok(())
}
