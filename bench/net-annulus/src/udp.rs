use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use annulus::DriverKind;
use annulus::net::udp::{CONTROL_ROOM, Datagram};
use annulus::net::{Envelope, UdpSocket};
use annulus::pool::RecvPool;

/// The most datagrams that are sent back together.
const BATCH: usize = 64;

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

/// Receives by one request for many answers, into buffers of a pool, and sends from them: all that have come together.
async fn pooled(socket: UdpSocket, pool: RecvPool) -> io::Result<()> {
    let mut received = socket.recv_stream(&pool, 0)?;
    loop {
        let mut batch = Vec::new();
        let ended = poll_fn(|cx| {
            while batch.len() < BATCH {
                match received.poll_next(cx) {
                    Poll::Ready(Some(datagram)) => batch.push(datagram),
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Pending => break,
                }
            }
            if batch.is_empty() { Poll::Pending } else { Poll::Ready(false) }
        })
        .await;
        let answer = |datagram: io::Result<Datagram>| {
            let datagram = datagram?;
            let from = datagram.addr().to_std()?;
            Ok((datagram.into_payload(), from))
        };
        let answers = batch.into_iter().map(answer).collect::<io::Result<Vec<_>>>()?;
        for (sent, _) in socket.send_many(answers).await {
            sent?;
        }
        if ended {
            return Ok(());
        }
    }
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
