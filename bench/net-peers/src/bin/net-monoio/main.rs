//! The network workloads on monoio: its io_uring driver with the default ring, or with `--defer` the flags that its
//! builder lets a user pass; or with `--legacy` its other driver, which is epoll by way of mio.

mod bulk;
mod http;
mod proxy;
mod udp;

use std::io;
use std::net::SocketAddr;

use monoio::net::{TcpListener, TcpStream};
use net::Work;

/// Serves a connection until it ends, however that is.
async fn serve(work: Work, stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    match work {
        Work::Http => http::serve(stream).await,
        Work::Proxy => proxy::serve(stream, backend).await,
        Work::Splice => proxy::splice(stream, backend).await,
        Work::Bulk => bulk::serve(stream).await,
        other => net::unknown(other),
    }
}

async fn run(work: Work) -> io::Result<()> {
    if work == Work::Udp {
        return udp::serve(if net::flag("--legacy") { 1 } else { net::TASKS }).await;
    }
    let listener = TcpListener::bind(net::addr())?;
    let backend = net::backend(listener.local_addr()?);
    net::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        monoio::spawn(serve(work, stream, backend));
    }
}

fn main() -> io::Result<()> {
    let work = net::work()?;
    if net::flag("--legacy") {
        return monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?.block_on(run(work));
    }
    let mut ring = io_uring::IoUring::builder();
    if net::flag("--defer") {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring).build()?.block_on(run(work))
}
