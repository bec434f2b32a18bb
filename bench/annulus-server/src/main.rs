//! Echo on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver; the one that runs is printed, so that the runner can
//! refuse a sample of the wrong one.

use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
use annulus::net::{TcpListener, TcpStream};

/// Bytes of buffer per connection: the same for every contender that keeps one.
const BUF: usize = 16 * 1024;

async fn echo(mut stream: TcpStream) {
    let mut buf = Vec::with_capacity(BUF);
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

#[annulus::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().skip_while(|arg| arg != "--addr").nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(addr)?;
    println!("driver: {}", annulus::driver().kind());
    println!("listening {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        drop(annulus::spawn(echo(stream)));
    }
}
