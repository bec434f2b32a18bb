//! What goes wrong between two ends of a TCP connection, and in front of a listener.

#[path = "outside/again.rs"]
mod again;
#[path = "outside/limits.rs"]
mod limits;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind,
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, EarlyEnd, Splitable},
    net::{ListenerOpts, TcpListener, TcpStream},
    spawn,
    time::{sleep, timeout},
};
use std::{
    env,
    fs::File,
    io::{self, ErrorKind, Write},
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// The byte at place `n` of all that is sent here.
fn byte(n: usize) -> u8 {
    (n % 251) as u8
}

fn text(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(byte).collect()
}

/// Closes a connection so that its peer gets a reset.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Each direction ends by itself, whoever ends first. Red when the end of one is taken for that of both.
#[annulus::test]
async fn a_direction_ends_and_the_other_goes_on() {
    let (mut a, mut b) = pair().await;
    for _ in 0..2 {
        a.write_all("last words").await.0.unwrap();
        a.shutdown().await.unwrap();
        assert_eq!(a.write("too late").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(b.read_exact(vec![0; 10]).await.1, b"last words");
        for _ in 0..3 {
            let end = timeout(SOON, b.read(vec![0; 8])).await.expect("nobody tells");
            assert_eq!(end.0.unwrap(), 0, "the end stays the end");
        }
        for n in 0..100 {
            b.write_all(text(n, n + 100)).await.0.unwrap();
            assert_eq!(a.read_exact(vec![0; 100]).await.1, text(n, n + 100));
        }
        b.shutdown().await.unwrap();
        assert_eq!(timeout(SOON, a.read(vec![0; 8])).await.expect("nobody tells").0.unwrap(), 0);
        (b, a) = pair().await;
    }
}

/// Red when a read that waits is not told of the end, or a shutdown waits for it.
#[annulus::test]
async fn an_end_reaches_the_read_that_waits() {
    let (a, b) = pair().await;
    let ((mut a_reads, mut a_writes), (mut b_reads, b_writes)) = (a.into_split(), b.into_split());
    let reading = spawn(async move { (a_reads.read(vec![0; 8]).await.0, a_reads) });
    sleep(MS).await;
    timeout(SOON, a_writes.shutdown()).await.expect("it waits for the read").unwrap();
    assert_eq!(timeout(SOON, b_reads.read(vec![0; 8])).await.expect("nobody tells").0.unwrap(), 0);
    drop(b_writes);
    let (res, _) = timeout(SOON, reading).await.expect("nobody tells").unwrap();
    assert_eq!(res.unwrap(), 0);
}

/// Red when a write that waits for room never ends, or its buffer is gone.
#[annulus::test]
async fn a_reset_ends_the_write_that_waits() {
    for _ in 0..5 {
        let (mut a, b) = pair().await;
        let writing = spawn(async move {
            loop {
                let (res, buf) = a.write(vec![1; 1 << 20]).await;
                assert_eq!(buf.len(), 1 << 20);
                if let Err(e) = res {
                    return (e.kind(), a);
                }
            }
        });
        sleep(10 * MS).await;
        assert!(!writing.is_finished(), "nobody reads");
        reset(b);
        let (kind, mut a) = timeout(SOON, writing).await.expect("nobody tells").unwrap();
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind), "{kind}");
        assert_eq!(a.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(a.read(vec![0; 8]).await.0.unwrap_or(0), 0);
    }
}

/// What arrived before a reset can be lost, and what is read of it is right. Red when a read hangs or makes bytes up.
#[annulus::test]
async fn a_reset_in_the_middle_of_a_transfer_ends_it() {
    for cut in [1, 10_000, 300_000] {
        let (mut a, mut b) = pair().await;
        let writing = spawn(async move {
            b.write_all(text(0, cut)).await.0.unwrap();
            reset(b);
        });
        let mut got = 0;
        loop {
            let (res, buf) = timeout(SOON, a.read(Vec::with_capacity(4096))).await.expect("nobody tells");
            match res {
                Ok(0) => break,
                Ok(n) => assert_eq!(buf, text(got, got + n)),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::ConnectionReset);
                    break;
                }
            }
            got += buf.len();
        }
        assert!(got <= cut);
        timeout(SOON, writing).await.expect("the writer hangs").unwrap();
    }
}

/// Red when bytes are lost or doubled while the writer waits for room, or it asks for room without end.
#[annulus::test]
async fn a_slow_reader_gets_everything() {
    const TOTAL: usize = 4 << 20;
    let (mut a, mut b) = pair().await;
    b.set_recv_buffer_size(32 << 10).unwrap();
    let writing = spawn(async move { a.write_all(text(0, TOTAL)).await.0.unwrap() });
    sleep(20 * MS).await;
    let turns = annulus::metrics().driver.turns;
    sleep(100 * MS).await;
    let turns = annulus::metrics().driver.turns - turns;
    assert!(turns < 10, "{turns} turns while nothing happens");
    let (mut got, mut buf) = (0, Vec::with_capacity(32 << 10));
    while got < TOTAL {
        let (n, back) = timeout(SOON, b.read(buf)).await.expect("the writer hangs");
        assert_eq!(back, text(got, got + n.unwrap()));
        got += back.len();
        buf = back;
        if got % 7 == 0 {
            sleep(MS).await;
        }
    }
    assert_eq!(writing.await.unwrap(), TOTAL);
    assert_eq!(timeout(SOON, b.read(buf)).await.expect("nobody tells").0.unwrap(), 0);
}

/// Red when a whole read ends early, or asks without end.
#[annulus::test]
async fn a_slow_writer_is_waited_for() {
    let (mut a, mut b) = pair().await;
    let writing = spawn(async move {
        for n in 0..20 {
            b.write_all(text(n, n + 1)).await.0.unwrap();
            sleep(5 * MS).await;
        }
        b
    });
    let turns = annulus::metrics().driver.turns;
    let (n, buf) = timeout(SOON, a.read_exact(vec![0; 20])).await.expect("it hangs");
    assert_eq!((n.unwrap(), buf), (20, text(0, 20)));
    let turns = annulus::metrics().driver.turns - turns;
    assert!(turns < 300, "{turns} turns for 20 bytes");
    drop(writing.await.unwrap());
    let (res, _) = timeout(SOON, a.read_exact(vec![0; 20])).await.expect("nobody tells");
    assert_eq!(res.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

/// Clients that connect and are gone before anybody accepts. Red when one of them ends the stream, or hangs it.
#[annulus::test]
async fn peers_that_vanish_before_they_are_accepted_hurt_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut incoming = listener.incoming();
    for round in 0..20 {
        for n in 0..5 {
            let client = TcpStream::connect(addr).await.unwrap();
            if n % 2 == 0 { reset(client) } else { drop(client) }
        }
        let alive = TcpStream::connect(addr).await.unwrap();
        alive.try_write(vec![round; 3]).0.unwrap();
        loop {
            let next = timeout(SOON, incoming.next()).await.expect("the one that is alive is lost");
            // Of one that is gone it is told, or it is given and has nothing to read.
            let Ok(mut stream) = next.expect("the stream has ended") else { continue };
            let read = timeout(SOON, stream.read(Vec::with_capacity(8))).await.expect("nobody tells");
            if let (Ok(3), buf) = read {
                assert_eq!((buf, stream.peer_addr().unwrap()), (vec![round; 3], alive.local_addr().unwrap()));
                break;
            }
        }
    }
}

/// A peer that the kernel ends in the middle of everything.
fn killed(name: &str, kind: DriverKind) {
    let runtime = Builder::new().driver(kind).build();
    let Ok(runtime) = runtime else { return skip(name) };
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = again(name, "peer");
        child.env("ANNULUS_TEST_ADDR", listener.local_addr().unwrap().to_string());
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (a, b) = (listener.accept(), listener.accept());
        let ((mut reads, _), (mut writes, _)) = (a.time_limit(SOON).await.unwrap(), b.time_limit(SOON).await.unwrap());
        let reading = spawn(async move {
            let mut got = 0;
            loop {
                match reads.read(Vec::with_capacity(1 << 16)).await {
                    (Ok(0) | Err(_), _) => return got,
                    (Ok(n), _) => got += n,
                }
            }
        });
        let writing = spawn(async move {
            loop {
                if let (Err(e), _) = writes.write(vec![2; 1 << 16]).await {
                    return e.kind();
                }
            }
        });
        sleep(50 * MS).await;
        assert!(!reading.is_finished() && !writing.is_finished());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(timeout(SOON, reading).await.expect("the reader is not told").unwrap() > 0);
        let kind = timeout(SOON, writing).await.expect("the writer is not told").unwrap();
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind), "{kind}");
    });
}

fn skip(name: &str) {
    let _ = writeln!(io::stderr(), "SKIP {name}: no ring");
}

/// Talks on one connection, and does not listen on the other, until it is killed.
fn peer() {
    let addr: SocketAddr = env::var("ANNULUS_TEST_ADDR").unwrap().parse().unwrap();
    let (mut talks, _silent) =
        (std::net::TcpStream::connect(addr).unwrap(), std::net::TcpStream::connect(addr).unwrap());
    let start = Instant::now();
    while start.elapsed() < 6 * SOON && talks.write_all(&[1; 1000]).is_ok() {
        std::thread::sleep(MS);
    }
}

/// Red when an operation hangs whose peer has died.
#[test]
fn a_peer_that_is_killed_ends_what_waits_for_it() {
    const NAME: &str = "a_peer_that_is_killed_ends_what_waits_for_it";
    match role() {
        Some(_) => peer(),
        None => [DriverKind::Uring, DriverKind::Poll].into_iter().for_each(|kind| killed(NAME, kind)),
    }
}

/// Runs `test` in a process of its own, on each driver, with so many descriptors.
fn alone(name: &str, descriptors: u64, test: impl AsyncFnOnce(u64)) {
    let kind = match role().as_deref() {
        None => {
            for driver in ["uring", "poll"] {
                passes(&mut again(name, driver));
            }
            return;
        }
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
    };
    limits::set_soft(libc::RLIMIT_NOFILE, descriptors);
    let most = limits::set_soft(libc::RLIMIT_NOFILE, descriptors);
    match Builder::new().driver(kind).build() {
        Ok(runtime) => runtime.block_on(test(most)),
        Err(_) => skip(name),
    }
}

/// Red when a connection is lost while no descriptor is left, the stream ends, or it spins.
#[test]
fn incoming_waits_while_no_descriptor_is_left() {
    alone("incoming_waits_while_no_descriptor_is_left", 256, async |_| {
        const CLIENTS: usize = 20;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        let early = TcpStream::connect(addr).await.unwrap();
        let first = timeout(SOON, incoming.next()).await.unwrap().unwrap().unwrap();
        let sockets: Vec<_> = (0..CLIENTS).map(|_| socket2_stream()).collect();
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        for socket in &sockets {
            socket.connect(&addr.into()).unwrap();
        }
        let before = annulus::metrics().driver;
        assert!(timeout(300 * MS, incoming.next()).await.is_err(), "there is no descriptor for it");
        let after = annulus::metrics().driver;
        let (pauses, turns) = (after.pauses - before.pauses, after.turns - before.turns);
        assert!((1..50).contains(&pauses) && turns < 200, "{pauses} pauses, {turns} turns");
        drop((taken, early, first));
        let mut peers = Vec::new();
        for _ in 0..CLIENTS {
            let next = timeout(SOON, incoming.next()).await.expect("a connection is lost");
            peers.push(next.expect("the stream has ended").unwrap().peer_addr().unwrap());
        }
        let clients = sockets.iter().map(|socket| socket.local_addr().unwrap().as_socket().unwrap());
        assert!(clients.eq(peers), "in the order in which they came");
    });
}

fn socket2_stream() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

/// Red when one of many connects is lost, or they are not in flight together.
#[test]
fn ten_thousand_connect_at_once() {
    alone("ten_thousand_connect_at_once", 1 << 20, async |descriptors| {
        const BATCH: usize = 1000;
        let many = 10_000.min((descriptors as usize - 200) / 2);
        let listener = TcpListener::bind_with_config("127.0.0.1:0", &ListenerOpts::new().backlog(4096)).unwrap();
        let addr = listener.local_addr().unwrap();
        let accepting = spawn(async move {
            let (mut incoming, mut streams) = (listener.incoming(), Vec::new());
            while streams.len() < many {
                let next = timeout(SOON, incoming.next()).await.expect("a connection is lost");
                streams.push(next.unwrap().unwrap());
            }
            streams
        });
        let mut clients = Vec::new();
        while clients.len() < many {
            let batch = BATCH.min(many - clients.len());
            let tasks: Vec<_> = (0..batch).map(|_| spawn(TcpStream::connect_addr(addr))).collect();
            for task in tasks {
                clients.push(timeout(6 * SOON, task).await.expect("a connect hangs").unwrap().unwrap());
            }
        }
        let mut servers = accepting.await.unwrap();
        for server in &mut servers {
            assert_eq!(server.try_write("!").0.unwrap(), 1);
        }
        for client in &mut clients {
            assert_eq!(timeout(SOON, client.read(vec![0; 1])).await.expect("it says nothing").1, b"!");
        }
    });
}
