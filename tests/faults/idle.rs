//! Thousands of connections that say nothing cost nothing, and answer when they are spoken to.

use super::{
    again::{again, passes, role},
    cpu, limits,
    sound::{runtime, try_runtime},
};
use annulus::{
    Builder, DriverKind,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    spawn,
    time::{sleep, timeout},
};
use std::{
    io::{self, Read, Write},
    net,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 9000;
/// Both ends of each, and what the process has besides.
const NUMBERS: u64 = 2 * CONNECTIONS as u64 + 200;

/// Answers the one byte that it waits for.
async fn answer(mut stream: TcpStream) {
    let (n, buf) = stream.read(Vec::with_capacity(1)).await;
    assert_eq!(n.unwrap(), 1);
    stream.write_all(vec![!buf[0]]).await.0.unwrap();
}

async fn connect_all(listener: &TcpListener) -> (Vec<net::TcpStream>, Vec<annulus::JoinHandle<()>>) {
    let addr = listener.local_addr().unwrap();
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        clients.push(net::TcpStream::connect(addr).unwrap());
        servers.push(spawn(answer(listener.accept().await.unwrap().0)));
    }
    (clients, servers)
}

async fn nothing_and_then_a_byte(kind: DriverKind) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut clients, servers) = connect_all(&listener).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(annulus::metrics().driver.slots, CONNECTIONS, "each has a read in flight");

    let (used, before, begun) = (cpu(), annulus::metrics().driver, Instant::now());
    sleep(Duration::from_secs(2)).await;
    let (used, after, took) = (cpu() - used, annulus::metrics().driver, begun.elapsed());
    let turns = after.turns - before.turns;
    println!("{kind}: {CONNECTIONS} idle connections, {took:?}: {used:?} of CPU time, {turns} turns");
    assert!(used < took / 100, "{kind}: {used:?} of CPU time in {took:?}");
    assert!(turns < 10, "{kind}: {turns} turns");
    let work = after.twins_ready + after.sqes_total() - before.twins_ready - before.sqes_total();
    assert_eq!(work, 0, "{kind}: nobody said anything");

    for (n, client) in clients.iter_mut().enumerate() {
        client.write_all(&[n as u8]).unwrap();
    }
    for server in servers {
        timeout(Duration::from_secs(20), server).await.expect("a connection does not answer").unwrap();
    }
    for (n, client) in clients.iter_mut().enumerate() {
        // Not to the end: the closes wait for the next turn.
        let mut buf = [0];
        client.read_exact(&mut buf).unwrap();
        assert_eq!(buf, [!(n as u8)], "connection {n}");
    }
}

#[test]
fn idle_connections_cost_nothing() {
    const NAME: &str = "idle::idle_connections_cost_nothing";
    let kind = match role().as_deref() {
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
        None => {
            let _alone = super::sound::alone();
            ["uring", "poll"].into_iter().for_each(|role| drop(passes(&mut again(NAME, role))));
            return;
        }
    };
    let skip = |why: &dyn std::fmt::Display| drop(writeln!(io::stderr(), "SKIP {NAME}: {why}"));
    limits::set_soft(libc::RLIMIT_NOFILE, NUMBERS);
    if limits::set_soft(libc::RLIMIT_NOFILE, NUMBERS) < NUMBERS {
        return skip(&format!("the limit of descriptors is below {NUMBERS}"));
    }
    if try_runtime(NAME, Builder::new().driver(kind)).is_some() {
        runtime(kind, 1024).block_on(nothing_and_then_a_byte(kind));
    }
}
