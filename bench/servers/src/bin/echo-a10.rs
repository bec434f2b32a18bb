//! Echo on a10, with `--defer` the flags that its builder offers. It has no executor: that of `futures` runs the tasks.

use std::io;
use std::net::{SocketAddr, TcpListener};

use a10::net::option::TcpNoDelay;
use a10::{AsyncFd, Extract, Ring, SubmissionQueue};
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::FutureExt;
use futures_util::task::LocalSpawnExt;

async fn echo(socket: AsyncFd) {
    let mut buf = Vec::with_capacity(servers::BUF);
    loop {
        match socket.recv(buf).await {
            Ok(filled) if !filled.is_empty() => match socket.send_all(filled).extract().await {
                Ok(sent) => buf = sent,
                Err(_) => return,
            },
            _ => return,
        }
        buf.clear();
    }
}

async fn serve(ring: SubmissionQueue, spawner: LocalSpawner) -> io::Result<()> {
    let listener = TcpListener::bind(servers::addr())?;
    servers::announce(listener.local_addr()?);
    let listener = AsyncFd::new(listener.into(), ring);
    loop {
        let (socket, _) = listener.accept::<SocketAddr>().await?;
        socket.set_socket_option::<TcpNoDelay>(true).await?;
        spawner.spawn_local(echo(socket)).map_err(io::Error::other)?;
    }
}

fn main() -> io::Result<()> {
    let config = Ring::config().with_submission_queue_size(servers::ENTRIES);
    let config = if servers::flag("--defer") { config.single_issuer().defer_task_run() } else { config };
    let (mut ring, mut pool) = (config.build()?, LocalPool::new());
    let mut served =
        pool.spawner().spawn_local_with_handle(serve(ring.sq(), pool.spawner())).map_err(io::Error::other)?;
    loop {
        pool.run_until_stalled();
        if let Some(end) = (&mut served).now_or_never() {
            return end;
        }
        ring.poll(None)?;
    }
}
