//! Echo on glommio. Its rings have no setup flags that a user could choose.

use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use glommio::LocalExecutorBuilder;
use glommio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) {
    let mut buf = vec![0; servers::BUF];
    while let Ok(n) = stream.read(&mut buf).await
        && n > 0
        && stream.write_all(&buf[..n]).await.is_ok()
    {}
}

async fn serve() -> glommio::Result<(), ()> {
    let listener = TcpListener::bind(servers::addr())?;
    servers::announce(listener.local_addr()?);
    loop {
        let stream = listener.accept().await?;
        stream.set_nodelay(true)?;
        glommio::spawn_local(echo(stream)).detach();
    }
}

fn main() -> glommio::Result<(), ()> {
    LocalExecutorBuilder::default().ring_depth(servers::ENTRIES as usize).make()?.run(serve())
}
