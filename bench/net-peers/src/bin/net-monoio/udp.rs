use std::io;
use std::rc::Rc;

use monoio::net::udp::UdpSocket;

/// `tasks` of them at a time: its epoll driver wakes one task for a socket, so more than one would be forgotten there.
pub async fn serve(tasks: usize) -> io::Result<()> {
    let socket = Rc::new(UdpSocket::bind(net::addr())?);
    net::announce(socket.local_addr()?);
    (1..tasks).for_each(|_| drop(monoio::spawn(echo(socket.clone()))));
    echo(socket).await
}

async fn echo(socket: Rc<UdpSocket>) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::DATAGRAM);
    loop {
        let (received, filled) = socket.recv_from(buf).await;
        let (sent, back) = socket.send_to(filled, received?.1).await;
        sent?;
        buf = back;
        buf.clear();
    }
}
