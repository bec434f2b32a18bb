//! The network workloads on tokio's current_thread runtime.

mod bulk;
mod http;
mod proxy;
mod udp;

use std::io;
use std::net::SocketAddr;

use net::Work;
use tokio::net::{TcpListener, TcpStream};

/// Serves a connection until it ends, however that is.
async fn serve(work: Work, stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    match work {
        Work::Http => http::serve(stream).await,
        Work::Proxy => proxy::serve(stream, backend).await,
        Work::Bulk => bulk::serve(stream).await,
        other => net::unknown(other),
    }
}

async fn run(work: Work) -> io::Result<()> {
    if work == Work::Udp {
        return udp::serve().await;
    }
    let listener = TcpListener::bind(net::addr()).await?;
    let backend = net::backend(listener.local_addr()?);
    net::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(work, stream, backend));
    }
}

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(run(net::work()?))
}
