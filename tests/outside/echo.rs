//! An echo over TCP and whoever asks it, in buffers that are used again.

use annulus::{
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt},
    net::TcpStream,
};

/// Echoes until the peer has gone.
#[allow(dead_code, reason = "some have a server of their own")]
pub(crate) async fn serve(mut stream: TcpStream) {
    let mut buf: Vec<u8> = Vec::with_capacity(1024);
    let mut res;
    loop {
        buf.clear();
        (res, buf) = stream.read(buf).await;
        if res.unwrap() == 0 {
            return;
        }
        (res, buf) = stream.write_all(buf).await;
        res.unwrap();
    }
}

/// Sends the first buffer and waits until the second is full of the answer, again and again.
pub(crate) async fn round_trips(client: &mut TcpStream, rounds: usize, bufs: (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    let (mut ask, mut answer) = bufs;
    let mut res;
    for _ in 0..rounds {
        (res, ask) = client.write_all(ask).await;
        res.unwrap();
        answer.clear();
        (res, answer) = client.read_exact(answer).await;
        res.unwrap();
    }
    (ask, answer)
}
