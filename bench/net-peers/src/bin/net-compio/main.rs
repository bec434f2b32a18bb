//! The network workloads on compio, with the ring's flags that its builder offers.

mod bulk;
mod http;
mod proxy;
mod udp;

use std::io;
use std::net::SocketAddr;

use compio::driver::ProactorBuilder;
use compio::net::{TcpListener, TcpStream};
use compio::runtime::RuntimeBuilder;
use net::Work;

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
        compio::runtime::spawn(serve(work, stream, backend)).detach();
    }
}

fn main() -> io::Result<()> {
    let mut proactor = ProactorBuilder::new();
    proactor.single_issuer(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(proactor).build()?.block_on(run(net::work()?))
}
