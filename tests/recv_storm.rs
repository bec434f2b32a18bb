//! Many connections over a pool of few buffers, whose users are slow and change their minds: every byte arrives once
//! and in its place, no buffer is lost, nobody waits for ever, and nobody asks again and again. On both drivers, and on
//! rings that seem to lack what the streams are made of.

#[path = "outside/again.rs"]
mod again;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind, Runtime,
    io::AsyncWriteRentExt,
    net::{RecvStream, TcpListener, TcpStream},
    pool::{PoolBuf, RecvPool},
    time::{sleep, timeout},
};
use std::{
    io::{self, Write},
    time::Duration,
};

const CONNECTIONS: u64 = 24;
const TOTAL: usize = 6_000;
const BUFFERS: u32 = 4;

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// The byte that is sent at `n`.
fn byte(n: usize) -> u8 {
    (n % 251) as u8
}

async fn talk(mut stream: TcpStream, mut dice: Dice) {
    let mut sent = 0;
    while sent < TOTAL {
        let end = TOTAL.min(sent + 1 + dice.roll(300) as usize);
        stream.write_all((sent..end).map(byte).collect::<Vec<u8>>()).await.0.unwrap();
        sent = end;
        if dice.roll(3) == 0 {
            sleep(Duration::from_micros(dice.roll(500))).await;
        }
    }
}

/// A connection's end that receives.
struct Listener {
    pool: RecvPool,
    dice: Dice,
    got: usize,
    held: Vec<PoolBuf>,
}

impl Listener {
    /// Receives by one stream after the other, until the peer has shut down.
    async fn listen(mut self, connection: TcpStream) -> usize {
        while !self.end_of(connection.recv_stream(&self.pool)).await {}
        self.got
    }

    /// Receives until the end, which is the connection's unless the stream was cancelled: `true`.
    async fn end_of(&mut self, mut stream: RecvStream) -> bool {
        let (mut left, mut cancelled) = (self.dice.roll(30), false);
        loop {
            let wait = Duration::from_micros(self.dice.roll(3000));
            match timeout(wait, stream.next()).await {
                Ok(None) => return !cancelled,
                Ok(Some(buf)) => self.take(buf.unwrap()).await,
                Err(_) => self.held.clear(),
            }
            left = left.saturating_sub(1);
            if left == 0 {
                stream.cancel();
                cancelled = true;
            }
        }
    }

    async fn take(&mut self, buf: PoolBuf) {
        assert!(!buf.is_empty() && buf.iter().zip(self.got..).all(|(&b, n)| b == byte(n)), "at {}", self.got);
        self.got += buf.len();
        self.held.push(buf);
        if self.dice.roll(8) == 0 {
            sleep(Duration::from_micros(self.dice.roll(1000))).await;
        }
        self.held.truncate(self.dice.roll(3) as usize);
    }
}

/// Waits until everything is home.
async fn settled(pool: &RecvPool) {
    for _ in 0..2000 {
        if pool.offered() == BUFFERS && annulus::metrics().driver.slots == 0 {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("a buffer or an operation is left: {pool:?}, {:?}", annulus::metrics().driver);
}

async fn storm(limit: u32) {
    let pool = RecvPool::new(BUFFERS, 64).unwrap();
    pool.set_stream_limit(limit);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = Vec::new();
    for n in 0..CONNECTIONS {
        let client = TcpStream::connect(addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        annulus::spawn(talk(client, Dice(n)));
        let listener = Listener { pool: pool.clone(), dice: Dice(100 + n), got: 0, held: Vec::new() };
        tasks.push(annulus::spawn(listener.listen(server)));
    }
    // Streams that are dropped as they are: what they had received is lost, and its buffers are not.
    let (mut client, server) = (TcpStream::connect(addr).await.unwrap(), listener.accept().await.unwrap().0);
    for n in 0..100 {
        client.write_all(vec![0; 100]).await.0.unwrap();
        let mut stream = server.recv_stream(&pool);
        let _ = timeout(Duration::from_micros(n * 20), stream.next()).await;
    }
    drop((client, server, listener));
    for task in tasks {
        let got = timeout(Duration::from_secs(40), task).await.expect("a stream hangs").unwrap();
        assert_eq!(got, TOTAL);
    }
    settled(&pool).await;
}

fn play(runtime: Runtime) {
    for limit in [1, 2, BUFFERS] {
        let before = runtime.metrics().driver;
        runtime.block_on(storm(limit));
        let driver = runtime.metrics().driver;
        let of = |what: fn(&annulus::Counters) -> u64| what(&driver) - what(&before);
        let (rearms, starved, rested, bundles) =
            (of(|c| c.rearms), of(|c| c.starved), of(|c| c.rested), of(|c| c.bundles));
        println!("{limit}: {rearms} rearms, {starved} starved, {rested} rested, {bundles} bundles");
        assert_eq!(driver.strays, 0);
        assert!(starved > 0, "no storm");
        // Each of the buffers that were filled stands for a few tries.
        let filled = CONNECTIONS * TOTAL as u64 / 64;
        assert!(rearms < 10 * filled, "{rearms} tries for some {filled} buffers");
    }
}

/// Red when a byte is lost or doubled at a cancel, a buffer is lost, a stream hangs, or the dry ask again and again.
#[test]
fn a_storm_on_a_ring() {
    const NAME: &str = "a_storm_on_a_ring";
    let ring = || Builder::new().driver(DriverKind::Uring).build();
    if role().is_some() {
        return play(ring().unwrap());
    }
    if let Err(e) = ring() {
        let _ = writeln!(io::stderr(), "SKIP {NAME}: {e}");
        return;
    }
    for hidden in ["", "RECVSEND_BUNDLE", "RECV_MULTISHOT", "PBUF_RING", "RECV"] {
        print!("without {hidden}\n{}", passes(again(NAME, hidden).env("ANNULUS_HIDE_OPS", hidden)));
    }
}

/// The same, by readiness.
#[test]
fn a_storm_by_readiness() {
    play(Builder::new().driver(DriverKind::Poll).build().unwrap());
}
