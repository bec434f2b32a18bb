//! Echo on tokio-uring: as it comes, or with `--coop` the flag that its builder lets a user pass.

use tokio_uring::net::{TcpListener, TcpStream};

async fn echo(stream: TcpStream) {
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
    let listener = TcpListener::from_std(std::net::TcpListener::bind(servers::addr())?);
    servers::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio_uring::spawn(echo(stream));
    }
}

fn main() -> std::io::Result<()> {
    let mut ring = tokio_uring::uring_builder();
    if servers::flag("--coop") {
        ring.setup_coop_taskrun();
    }
    tokio_uring::builder().entries(servers::ENTRIES).uring_builder(&ring).start(serve())
}
