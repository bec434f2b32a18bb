//! Echo on monoio, `--threads N`: a runtime and a listener for each, with `SO_REUSEPORT`. `--defer` as for one thread.

use std::io;
use std::sync::Arc;
use std::thread;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use shards::Port;

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

async fn serve(thread: usize, port: &Port) -> io::Result<()> {
    let opts = ListenerOpts::new().reuse_port(true);
    let listener = TcpListener::bind_with_config(port.to_bind(thread, &servers::addr()), &opts)?;
    port.bound(listener.local_addr()?, servers::announce);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        monoio::spawn(echo(stream));
    }
}

/// A runtime on a CPU of its own, as shards are.
fn run(thread: usize, port: &Port) -> io::Result<()> {
    let cpus = thread::available_parallelism()?.get();
    monoio::utils::bind_to_cpu_set([thread % cpus])?;
    let mut ring = io_uring::IoUring::builder();
    if servers::flag("--defer") {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring);
    builder.build()?.block_on(serve(thread, port))
}

fn main() -> io::Result<()> {
    shards::roam()?;
    let threads = shards::threads();
    let port = Arc::new(Port::new(threads));
    let start = |thread| {
        let port = port.clone();
        thread::spawn(move || run(thread, &port))
    };
    let running: Vec<_> = (0..threads).map(start).collect();
    running.into_iter().try_for_each(|thread| thread.join().expect("a server does not panic"))
}
