//! What receiving in buffers of a pool costs in memory: an echo allocates nothing once it is warm, and a connection
//! that waits has little.
#![cfg(not(annulus_kqueue = "emulated"))] // the emulation of kqueue allocates where a kernel would not

#[path = "outside/counting.rs"]
mod counting;
#[path = "outside/echo.rs"]
mod echo;
#[path = "outside/limits.rs"]
mod limits;

use annulus::{
    io::AsyncWriteRentExt,
    net::{TcpListener, TcpStream},
    op,
    pool::RecvPool,
};
use counting::{ALLOCATIONS, BYTES};
use echo::round_trips;
use std::{
    io::{Read, Write},
    net,
    time::Duration,
};

/// Echoes from the buffers that the bytes were received in.
async fn serve(mut stream: TcpStream, pool: RecvPool) {
    let mut received = stream.recv_stream(&pool);
    while let Some(buf) = received.next().await {
        stream.write_all(buf.unwrap()).await.0.unwrap();
    }
}

/// Red when a message costs an allocation, below or above the driver.
#[annulus::test]
async fn an_echo_from_a_pool_allocates_nothing() {
    const ROUNDS: usize = 10_000;
    let pool = RecvPool::new(64, 1024).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = annulus::spawn(serve(listener.accept().await.unwrap().0, pool.clone()));
    let bufs = round_trips(&mut client, 100, (vec![42; 512], Vec::with_capacity(512))).await;
    let (before, start) = (ALLOCATIONS.get(), annulus::metrics());
    let bufs = round_trips(&mut client, ROUNDS, bufs).await;
    let (after, end) = (ALLOCATIONS.get(), annulus::metrics());
    assert_eq!(after - before, 0, "allocations in {ROUNDS} round trips");
    assert_eq!(bufs.0, bufs.1);
    let each = |what: fn(&annulus::Metrics) -> u64| (what(&end) - what(&start)) as f64 / ROUNDS as f64;
    println!(
        "{}: per round trip {:.3} enters, {:.3} entries, {:.3} twins, {:.3} rearms",
        annulus::driver(),
        each(|m| m.driver.enters),
        each(|m| m.driver.sqes_total()),
        each(|m| m.driver.twins_ready),
        each(|m| m.driver.rearms),
    );
    drop(client);
    server.await.unwrap();
    assert_eq!(pool.offered(), pool.count());
}

/// Receives once for each message. A block has what it uses once, where an `async fn` has its arguments twice, and what
/// was received is let go of before the sending begins.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn serve_once(mut stream: TcpStream, pool: RecvPool) -> impl Future<Output = ()> {
    async move {
        loop {
            let Some(buf) = op::recv_provided(stream.fd(), &pool).await.unwrap() else { return };
            stream.write_all(buf).await.0.unwrap();
        }
    }
}

/// Counts what is on the heap more with a thousand connections, each of which has received something and waits, than
/// without them, room that the driver's tables keep in reserve included; not the kernel's part, and not the pool's, of
/// which they have none.
async fn each_idle<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream, RecvPool) -> F) -> usize {
    const MANY: usize = 1000;
    // Both ends of two tests on two drivers, which may run beside each other.
    limits::set_soft(libc::RLIMIT_NOFILE, 8 * MANY as u64 + 90);
    let pool = RecvPool::new(16, 4096).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let connect = async || {
        let client = net::TcpStream::connect(addr).unwrap();
        (client, listener.accept().await.unwrap().0)
    };
    drop(connect().await);
    let (mut clients, mut tasks) = (Vec::with_capacity(MANY), Vec::with_capacity(MANY));
    let before = BYTES.get();
    for _ in 0..MANY {
        let (mut client, server) = connect().await;
        tasks.push(annulus::spawn(serve(server, pool.clone())));
        client.write_all(b"x").unwrap();
        clients.push(client);
        annulus::yield_now().await;
    }
    for _ in 0..200 {
        annulus::time::sleep(Duration::from_millis(50)).await;
        if pool.offered() == pool.count() {
            break;
        }
    }
    let each = (BYTES.get() - before) / MANY;
    println!("{}: {each} bytes for each idle connection", annulus::driver());
    assert_eq!((pool.offered(), annulus::metrics().tasks_alive), (pool.count(), MANY), "they wait, and hold no buffer");
    for client in &mut clients {
        client.read_exact(&mut [0]).unwrap();
    }
    drop(clients);
    for task in tasks {
        task.await.unwrap();
    }
    each
}

/// The bytes on the heap that a connection may have while it waits: its descriptor's count, its task with the stream
/// and all, its slot in the driver; and on the poll driver its place among what is watched.
fn most(on_ring: usize, watched: usize) -> usize {
    if annulus::driver().kind() == annulus::DriverKind::Poll { watched } else { on_ring }
}

#[annulus::test]
async fn an_idle_connection_has_little() {
    let each = each_idle(serve).await;
    assert!(each <= most(472, 544), "{each} bytes");
}

/// The least that there is: no stream beside the slot, and a future that a user has looked at.
#[annulus::test]
async fn an_idle_connection_may_have_less() {
    let each = each_idle(serve_once).await;
    assert!(each <= most(352, 412), "{each} bytes");
}
