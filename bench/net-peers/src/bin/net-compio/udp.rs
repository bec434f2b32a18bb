use std::io;

use compio::BufResult;
use compio::net::UdpSocket;

pub async fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind(net::addr()).await?;
    net::announce(socket.local_addr()?);
    (1..net::TASKS).for_each(|_| compio::runtime::spawn(echo(socket.clone())).detach());
    echo(socket).await
}

async fn echo(socket: UdpSocket) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::DATAGRAM);
    loop {
        let BufResult(received, filled) = socket.recv_from(buf).await;
        let BufResult(sent, back) = socket.send_to(filled, received?.1).await;
        sent?;
        buf = back;
        buf.clear();
    }
}
