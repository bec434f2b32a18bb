//! Echo on tokio's multi-thread runtime, `--threads N`: one listener, and its tasks go where there is time.

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
    shards::roam()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // In a task of its own, as its users would: what `block_on` runs is on no worker.
    runtime.worker_threads(shards::threads()).enable_io().build()?.block_on(async { tokio::spawn(serve()).await? })
}
