//! hyper on compio, by way of cyper-core, with the ring's flags that compio's builder offers.

use std::io;

use compio::driver::ProactorBuilder;
use compio::net::TcpListener;
use compio::runtime::RuntimeBuilder;
use cyper_core::{CompioTimer, HyperStream};
use hyper::server::conn::http1;
use hyper::service::service_fn;

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(net::addr()).await?;
    net::announce(listener.local_addr()?);
    let mut http = http1::Builder::new();
    http.timer(CompioTimer).pipeline_flush(true);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http.serve_connection(HyperStream::new_plain(stream), service_fn(net::service::answer));
        compio::runtime::spawn(connection).detach();
    }
}

fn main() -> io::Result<()> {
    let mut proactor = ProactorBuilder::new();
    proactor.single_issuer(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(proactor).build()?.block_on(serve())
}
