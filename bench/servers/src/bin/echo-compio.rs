//! Echo on compio: its io_uring driver as it comes, or with the flags that its builder offers: `--defer` or `--coop`;
//! or with `--poll`, where it is built with that, its other driver, which is epoll by way of `polling`.

use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::RuntimeBuilder;

async fn echo(mut stream: TcpStream) {
    let mut buf = Vec::with_capacity(servers::BUF);
    loop {
        let (read, filled) = stream.read(buf).await.into();
        if !matches!(read, Ok(n) if n > 0) {
            return;
        }
        let (written, sent) = stream.write_all(filled).await.into();
        if written.is_err() {
            return;
        }
        buf = sent;
        buf.clear();
    }
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(servers::addr()).await?;
    servers::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        compio::runtime::spawn(echo(stream)).detach();
    }
}

pub fn main() -> std::io::Result<()> {
    let mut proactor = ProactorBuilder::new();
    proactor.capacity(servers::ENTRIES);
    if servers::flag("--defer") {
        proactor.single_issuer(true).defer_taskrun(true);
    }
    if servers::flag("--coop") {
        proactor.coop_taskrun(true);
    }
    if servers::flag("--poll") {
        proactor.driver_type(DriverType::Poll);
    }
    RuntimeBuilder::new().with_proactor(proactor).build()?.block_on(serve())
}
