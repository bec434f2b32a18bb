//! What datagrams cost in allocations once a socket is warm: none.
#![cfg(not(annulus_kqueue = "emulated"))] // the emulation of kqueue allocates where a kernel would not

#[path = "outside/counting.rs"]
mod counting;

use annulus::net::UdpSocket;
use counting::ALLOCATIONS;
use std::net::SocketAddr;

type Bufs = (Vec<u8>, Vec<u8>);

/// Asks and is answered, by an address each time.
async fn round_trips(a: &UdpSocket, to: SocketAddr, rounds: usize, (mut ask, mut answer): Bufs) -> Bufs {
    for _ in 0..rounds {
        let sent;
        (sent, ask) = a.send_to(ask, to).await;
        sent.unwrap();
        answer.clear();
        let came;
        (came, answer) = a.recv_from(answer).await;
        assert_eq!(came.unwrap(), (ask.len(), to));
    }
    (ask, answer)
}

async fn serve(b: UdpSocket) {
    let mut buf: Vec<u8> = Vec::with_capacity(1500);
    loop {
        buf.clear();
        let came;
        (came, buf) = b.recv_from(buf).await;
        let (n, from) = came.unwrap();
        if n == 0 {
            return;
        }
        buf = b.send_to(buf, from).await.1;
    }
}

/// Red when each message has an envelope of its own.
#[annulus::test]
async fn a_datagram_allocates_nothing() {
    let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = b.local_addr().unwrap();
    let server = annulus::spawn(serve(b));
    let bufs = round_trips(&a, to, 100, (vec![42; 512], Vec::with_capacity(1500))).await;
    let before = ALLOCATIONS.get();
    let bufs = round_trips(&a, to, 5000, bufs).await;
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in 5000 round trips");
    assert_eq!(bufs.0, bufs.1);
    a.send_to("", to).await.0.unwrap();
    server.await.unwrap();
}
