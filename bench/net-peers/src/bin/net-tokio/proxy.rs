use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

pub async fn serve(mut stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut there = TcpStream::connect(backend).await?;
    there.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut there, net::BUF, net::BUF).await.map(drop)
}
