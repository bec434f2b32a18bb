//! What passing bytes on costs in allocations once it is warm: none, however many messages there are.
#![cfg(not(annulus_kqueue = "emulated"))] // the emulation of kqueue allocates where a kernel would not

#[path = "outside/counting.rs"]
mod counting;
#[path = "outside/echo.rs"]
mod echo;

use annulus::{
    io::copy,
    net::{TcpListener, TcpStream, copy_bidirectional},
};
use counting::ALLOCATIONS;
use echo::{round_trips, serve};

const ROUNDS: usize = 2000;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Red when a round makes a pipe, and when it boxes anything.
#[annulus::test]
async fn a_proxied_message_allocates_nothing() {
    let ((mut client, mut a), (mut b, server)) = (pair().await, pair().await);
    let proxy = annulus::spawn(async move { copy_bidirectional(&mut a, &mut b).await });
    let server = annulus::spawn(serve(server));
    let bufs = round_trips(&mut client, 100, (vec![42; 512], Vec::with_capacity(512))).await;
    let before = ALLOCATIONS.get();
    let bufs = round_trips(&mut client, ROUNDS, bufs).await;
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in {ROUNDS} round trips");
    assert_eq!(bufs.0, bufs.1);
    drop(client);
    server.await.unwrap();
    let copied = proxy.await.unwrap().unwrap();
    assert_eq!(copied.a_to_b, 512 * (ROUNDS as u64 + 100));
    assert_eq!(annulus::metrics().driver.twins_pool, 0, "sockets have nothing to do with the pool");
}

/// Red when a copy makes a buffer of its own.
#[annulus::test]
async fn a_copy_uses_the_buffer_of_the_one_before() {
    let (text, mut there) = (vec![7u8; 100_000], Vec::with_capacity(100_000));
    copy(&mut &text[..], &mut there).await.unwrap();
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        there.clear();
        assert_eq!(copy(&mut &text[..], &mut there).await.unwrap(), 100_000);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
