//! Echo on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver; the one that runs is printed, so that the runner can
//! refuse a sample of the wrong one. `--how` picks what the connections receive into and what they are: `plain` is one
//! buffer for each, `pool` buffers that all share, by one request for many answers, `once` the same, by a request for
//! each, `direct` is plain on descriptors without a number, and `shards` is
//! plain on `--threads` shards, with a listener for each.

use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
use annulus::net::{TcpListener, TcpStream};
use annulus::pool::RecvPool;
use annulus::shard::Shard;
use annulus::{DriverKind, Fd, Shards, op};
use shards::Port;
use std::{io, net::SocketAddr, os::fd::OwnedFd, sync::Arc};

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

/// Its futures are no larger than what they have to keep: a block has what it uses once, where an `async fn` has its
/// arguments twice; and `let else` lets go of what was received before the sending begins.
fn pooled(mut stream: TcpStream, pool: &RecvPool) -> impl Future<Output = ()> + use<> {
    let mut received = stream.recv_stream(pool);
    async move {
        loop {
            let Some(Ok(buf)) = received.next().await else { return };
            if stream.write_all(buf).await.0.is_err() {
                return;
            }
        }
    }
}

/// Where nothing is in advance, a connection that waits has the least.
fn once(mut stream: TcpStream, pool: RecvPool) -> impl Future<Output = ()> {
    async move {
        loop {
            let Ok(Some(buf)) = op::recv_provided(stream.fd(), &pool).await else {
                if pool.offered() > 0 {
                    return;
                }
                // All of the buffers are being sent from.
                annulus::yield_now().await;
                continue;
            };
            if stream.write_all(buf).await.0.is_err() {
                return;
            }
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

/// Accepts for ever.
async fn accept(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        drop(annulus::spawn(plain(stream)));
    }
}

fn announce(addr: SocketAddr) {
    println!("driver: {}", annulus::driver().kind());
    println!("listening {addr}");
}

/// A shard on each of so many CPUs.
fn sharded() -> io::Result<()> {
    shards::roam()?;
    let threads = shards::threads();
    let port = Arc::new(Port::new(threads));
    let ends = Shards::builder().count(threads).run(async move |shard: Shard| {
        let given = arg("--addr").unwrap_or_else(|| "127.0.0.1:0".into());
        let listener = TcpListener::bind(port.to_bind(shard.index(), &given))?;
        port.bound(listener.local_addr()?, announce);
        accept(listener).await
    })?;
    ends.into_iter().try_for_each(|end| end.map_err(io::Error::other)?)
}

fn main() -> io::Result<()> {
    if arg("--how").as_deref() == Some("shards") {
        return sharded();
    }
    // Room for the workload of 2000 connections; without `--how direct` the table is never made.
    annulus::Builder::new().direct_descriptors(4096).build()?.block_on(serve())
}

async fn serve() -> io::Result<()> {
    let listener = std::net::TcpListener::bind(arg("--addr").unwrap_or_else(|| "127.0.0.1:0".into()))?;
    announce(listener.local_addr()?);
    match arg("--how").as_deref() {
        None | Some("plain") => accept(TcpListener::from_std(listener)?).await,
        Some(how @ ("pool" | "once")) => {
            let (listener, pool) = (TcpListener::from_std(listener)?, RecvPool::new(512, BUF as u32)?);
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                match how {
                    "pool" => drop(annulus::spawn(pooled(stream, &pool))),
                    _ => drop(annulus::spawn(once(stream, pool.clone()))),
                }
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
        Some(other) => Err(io::Error::other(format!("--how {other}: plain, pool, once, direct or shards"))),
    }
}
