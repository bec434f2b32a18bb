//! hyper on monoio, by way of monoio-compat: its io_uring driver with the default ring, or with `--defer` the flags
//! that its builder lets a user pass; or with `--legacy` its other driver. A stream that hyper can poll waits for
//! readiness by epoll on all of them: on a ring, by a poll of epoll's own descriptor.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use monoio::io::IntoPollIo;
use monoio::net::TcpListener;
use monoio_compat::hyper::{MonoioIo, MonoioTimer};

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(net::addr())?;
    net::announce(listener.local_addr()?);
    let mut http = http1::Builder::new();
    http.timer(MonoioTimer).pipeline_flush(true);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let stream = MonoioIo::new(stream.into_poll_io()?);
        monoio::spawn(http.serve_connection(stream, service_fn(net::service::answer)));
    }
}

fn main() -> io::Result<()> {
    if net::flag("--legacy") {
        return monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer().build()?.block_on(serve());
    }
    let mut ring = io_uring::IoUring::builder();
    if net::flag("--defer") {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring);
    builder.enable_timer().build()?.block_on(serve())
}
