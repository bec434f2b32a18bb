//! Something to look at: two shards with echoes, timers, messages, and a task that does not behave.

use annulus::{
    Builder, Shards,
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    shard::{Peers, Shard},
    task,
    time::sleep,
};
use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// The connections of each shard. Each has a longer pause between two requests than the one before.
const CONNECTIONS: u64 = 4;

/// Starts the load, which ends when it is shut down.
pub(crate) fn start() -> io::Result<Shards<Instant, io::Result<()>>> {
    // To measure each poll costs two looks at the clock: for a demonstration that is fine.
    let runtime = |_| Builder::new().poll_time_histogram(1);
    Shards::builder().count(2).name("demo").runtime(runtime).start(load)
}

async fn load(mut shard: Shard<Instant>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    task::Builder::new().name("listener").spawn(listen(listener)).detach();
    for pause in 1..=CONNECTIONS {
        task::Builder::new().name("client").spawn(ask(address, Duration::from_millis(pause))).detach();
    }
    let next = (shard.index() + 1) % shard.count();
    task::Builder::new().name("timer").spawn(tick(shard.peers().clone(), next)).detach();
    if next == 0 {
        task::Builder::new().name("spinner").spawn(spin()).detach();
    }
    // The ticks of the neighbour: each wakes this shard, if it sleeps.
    while shard.recv().await.is_some() {}
    Ok(())
}

async fn listen(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        task::Builder::new().name("echo").spawn(echo(stream)).detach();
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf: Vec<u8> = Vec::with_capacity(1024);
    let mut res;
    loop {
        (res, buf) = stream.read(buf).await;
        if res? == 0 {
            return Ok(());
        }
        (res, buf) = stream.write_all(buf).await;
        res?;
        buf.clear();
    }
}

async fn ask(address: SocketAddr, pause: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut buf = vec![7; 64];
    let mut res;
    loop {
        (res, buf) = stream.write_all(buf).await;
        res?;
        buf.clear();
        (res, buf) = stream.read_exact(buf).await;
        res?;
        sleep(pause).await;
    }
}

/// Tells the next shard the time.
async fn tick(peers: Peers<Instant>, next: usize) {
    while peers.send(next, Instant::now()).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
}

/// What no task should do: now and then it keeps all others waiting for 50 ms, and in each tenth round for so long
/// that its shard is seen to be stuck.
async fn spin() {
    for round in 1u64.. {
        sleep(Duration::from_secs(1)).await;
        match round % 10 {
            0 => thread::sleep(Duration::from_millis(1500)),
            _ => {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(50) {}
            }
        }
    }
}
