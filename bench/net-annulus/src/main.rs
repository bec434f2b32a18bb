//! The network workloads on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver; the one that runs is printed, so that
//! the runner can refuse a sample of the wrong one. `--how` picks another way than the plain one, where there is one.

mod bulk;
mod http;
mod hyper;
mod proxy;
mod udp;

use std::io;
use std::net::SocketAddr;

use annulus::net::{TcpListener, TcpStream};
use annulus::pool::RecvPool;
use net::Work;

/// Buffers of a pool that all connections share.
const BUFFERS: u32 = 512;

/// What all connections have in common.
#[derive(Clone)]
struct Site {
    work: Work,
    /// With `--how pool`.
    pool: Option<RecvPool>,
    backend: SocketAddr,
}

/// Serves a connection until it ends, however that is.
async fn serve(site: Site, stream: TcpStream) -> io::Result<()> {
    match (site.work, site.pool) {
        (Work::Http, None) => http::plain(stream).await,
        (Work::Http, Some(pool)) => http::pooled(stream, pool).await,
        (Work::Hyper, pool) => hyper::serve(stream, pool.as_ref()).await,
        (Work::Proxy, None) => proxy::plain(stream, site.backend).await,
        (Work::Proxy, Some(pool)) => proxy::pooled(stream, site.backend, pool).await,
        (Work::Splice, _) => proxy::splice(stream, site.backend).await,
        (Work::Bulk, pool) => bulk::serve(stream, pool).await,
        (Work::Udp, _) => net::unknown(site.work),
    }
}

#[annulus::main]
async fn main() -> io::Result<()> {
    println!("driver: {}", annulus::driver().kind());
    let work = net::work()?;
    if work == Work::Udp {
        return udp::serve().await;
    }
    let pooled = net::arg("--how").is_some_and(|how| how == "pool");
    let pool = pooled.then(|| RecvPool::new(BUFFERS, net::BUF as u32)).transpose()?;
    let listener = TcpListener::bind(net::addr())?;
    let site = Site { work, pool, backend: net::backend(listener.local_addr()?) };
    net::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        drop(annulus::spawn(serve(site.clone(), stream)));
    }
}
