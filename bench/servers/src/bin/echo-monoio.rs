//! Echo on monoio: its io_uring driver with the default ring, or with `--defer` the flags that its builder lets a user
//! pass; or with `--legacy` its other driver, which is epoll by way of mio.

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) {
    let mut buf = Vec::with_capacity(servers::BUF);
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

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(servers::addr())?;
    servers::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        monoio::spawn(echo(stream));
    }
}

fn main() -> std::io::Result<()> {
    if servers::flag("--legacy") {
        return monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?.block_on(serve());
    }
    let mut ring = io_uring::IoUring::builder();
    if servers::flag("--defer") {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring).build()?.block_on(serve())
}
