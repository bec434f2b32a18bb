//! Echo on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver; the one that runs is printed, so that the runner can
//! refuse a sample of the wrong one. `--how` picks what the connections receive into and what they are: `plain` is one
//! buffer for each, `pool` buffers that all share, and `direct` is plain on descriptors without a number.

use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
use annulus::net::{TcpListener, TcpStream};
use annulus::pool::RecvPool;
use annulus::{DriverKind, Fd, op};
use std::{io, os::fd::OwnedFd};

/// Bytes of buffer per connection, or in the pool: the same for every contender that keeps one.
const BUF: usize = 16 * 1024;

async fn plain(mut stream: TcpStream) {
    let mut buf = Vec::with_capacity(BUF);
    loop {
        let (read, filled) = stream.read(buf).await;
        if !matches!(read, Ok(n) if n > 0) {
            return;
        }
        let (written, sent) = stream.write_all(filled).await;
        if written.is_err() {
            return;
        }
        buf = sent;
        buf.clear();
    }
}

async fn pooled(mut stream: TcpStream, pool: RecvPool) {
    let mut received = op::recv_multi(stream.fd(), &pool);
    while let Some(Ok(buf)) = received.next().await {
        if stream.write_all(buf).await.0.is_err() {
            return;
        }
    }
}

async fn direct(fd: Fd) {
    let mut buf = Vec::with_capacity(BUF);
    loop {
        let (read, filled) = op::recv(&fd, buf).await;
        if !matches!(read, Ok(n) if n > 0) {
            return;
        }
        buf = filled;
        while !buf.is_empty() {
            let (sent, back) = op::send(&fd, buf).await;
            let Ok(n) = sent else { return };
            buf = back;
            drop(buf.drain(..n));
        }
    }
}

/// The value after `name` on the command line.
fn arg(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

#[annulus::main]
async fn main() -> io::Result<()> {
    let listener = std::net::TcpListener::bind(arg("--addr").unwrap_or_else(|| "127.0.0.1:0".into()))?;
    println!("driver: {}", annulus::driver().kind());
    println!("listening {}", listener.local_addr()?);
    match arg("--how").as_deref() {
        None | Some("plain") => {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                drop(annulus::spawn(plain(stream)));
            }
        }
        Some("pool") => {
            let (listener, pool) = (TcpListener::from_std(listener)?, RecvPool::new(512, BUF as u32)?);
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                drop(annulus::spawn(pooled(stream, pool.clone())));
            }
        }
        Some("direct") => {
            // What is accepted inherits the option, which std has for streams alone.
            let socket = std::net::TcpStream::from(OwnedFd::from(listener));
            socket.set_nodelay(true)?;
            socket.set_nonblocking(annulus::driver().kind() == DriverKind::Poll)?;
            let listener = Fd::new(socket.into());
            loop {
                drop(annulus::spawn(direct(op::accept_direct(&listener).await.0?)));
            }
        }
        Some(other) => Err(io::Error::other(format!("--how {other}: plain, pool or direct"))),
    }
}
