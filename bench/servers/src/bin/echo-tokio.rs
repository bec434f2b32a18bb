//! Echo on tokio's current_thread runtime.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) {
    let mut buf = vec![0; servers::BUF];
    while let Ok(n) = stream.read(&mut buf).await
        && n > 0
        && stream.write_all(&buf[..n]).await.is_ok()
    {}
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(servers::addr()).await?;
    servers::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

fn main() -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve())
}
