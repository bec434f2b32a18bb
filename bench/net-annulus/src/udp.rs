use std::io;
use std::rc::Rc;

use annulus::DriverKind;
use annulus::net::udp::CONTROL_ROOM;
use annulus::net::{Envelope, UdpSocket};
use annulus::pool::RecvPool;

pub async fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind(net::addr())?;
    let local = socket.local_addr()?;
    match net::arg("--how").as_deref() {
        None => {
            net::announce(local);
            // On readiness one takes all that there is; on a ring, several are on their way at a time.
            let tasks = if annulus::driver().kind() == DriverKind::Uring { net::TASKS } else { 1 };
            let socket = Rc::new(socket);
            (1..tasks).for_each(|_| drop(annulus::spawn(plain(socket.clone()))));
            plain(socket).await
        }
        Some("pool") => {
            let pool = RecvPool::new(crate::BUFFERS, 4096)?;
            net::announce(local);
            pooled(socket, pool).await
        }
        Some("gro") => {
            socket.set_gro(true)?;
            net::announce(local);
            segmented(socket).await
        }
        Some(other) => Err(io::Error::other(format!("--how {other}: pool or gro"))),
    }
}

async fn plain(socket: Rc<UdpSocket>) -> io::Result<()> {
    let mut buf = Vec::with_capacity(net::DATAGRAM);
    loop {
        let (received, filled) = socket.recv_from(buf).await;
        let (sent, back) = socket.send_to(filled, received?.1).await;
        sent?;
        buf = back;
        buf.clear();
    }
}

/// Receives by one request for many answers, into buffers of a pool, and sends from them.
async fn pooled(socket: UdpSocket, pool: RecvPool) -> io::Result<()> {
    let mut received = socket.recv_stream(&pool, 0)?;
    while let Some(datagram) = received.next().await {
        let datagram = datagram?;
        let from = datagram.addr().to_std()?;
        socket.send_to(datagram.into_payload(), from).await.0?;
    }
    Ok(())
}

/// Several datagrams of one size come as one, and go back as one.
async fn segmented(socket: UdpSocket) -> io::Result<()> {
    let (mut buf, mut envelope) = (Vec::with_capacity(net::DATAGRAMS), Envelope::new());
    envelope.set_room(CONTROL_ROOM);
    loop {
        let (received, (filled, came)) = socket.recv_msg(buf, envelope).await;
        received?;
        envelope = came;
        let size = envelope.segment_size();
        envelope.clear();
        if let Some(size) = size {
            envelope.set_segment_size(size as u16)?;
        }
        let (sent, (back, with)) = socket.send_msg(filled, envelope).await;
        sent?;
        (buf, envelope) = (back, with);
        buf.clear();
    }
}
