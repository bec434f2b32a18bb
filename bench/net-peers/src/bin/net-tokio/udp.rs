use std::io;

use tokio::net::UdpSocket;

pub async fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind(net::addr()).await?;
    net::announce(socket.local_addr()?);
    let mut buf = vec![0; net::DATAGRAM];
    loop {
        let (count, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..count], from).await?;
    }
}
