//! No descriptor left: an accept says EMFILE, the connection waits on, and nobody spins meanwhile.

use super::{
    again::{again, passes, role},
    cpu, limits,
    sound::{on_both, poll_once},
};
use annulus::{
    Builder, DriverKind, Fd,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    op,
    time::{sleep, timeout},
};
use std::{fs::File, io, pin::pin, time::Duration};

/// Takes all numbers that are left. The limit itself stays: a ring's accept goes by what it was at the beginning.
fn take_all() -> Vec<File> {
    let mut all = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => all.push(file),
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(libc::EMFILE));
                return all;
            }
        }
    }
}

#[track_caller]
fn is_emfile(accepted: io::Result<(TcpStream, std::net::SocketAddr)>) {
    assert_eq!(accepted.expect_err("there is a descriptor left").raw_os_error(), Some(libc::EMFILE));
}

/// The next connection is `client`'s, and works.
async fn takes(listener: &TcpListener, client: Fd) {
    let taken = timeout(Duration::from_secs(5), listener.accept()).await;
    let (mut server, _) = taken.expect("the connection was lost").unwrap();
    server.write_all("hello").await.0.unwrap();
    assert_eq!(op::recv(&client, Vec::with_capacity(8)).await.1, b"hello");
    drop(client);
    assert_eq!(server.read(Vec::with_capacity(8)).await.0.unwrap(), 0);
}

async fn no_descriptor_left(kind: DriverKind) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(Fd::new(op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap()));
    }
    // One that waits already when the last descriptor goes.
    let mut accepting = pin!(listener.accept());
    assert!(poll_once(&mut accepting).await.is_none());
    // A driver that has slept has what wakes it, and otherwise looks around a hundred times a second. One sleep may be
    // over before it begins.
    for _ in 0..5 {
        sleep(Duration::from_millis(10)).await;
    }
    let all = take_all();
    op::connect(&clients[0], addr).await.unwrap();
    is_emfile(timeout(Duration::from_secs(5), accepting).await.expect("nobody tells"));

    // The connection waits; who does nothing about it is left in peace.
    let (used, turns) = (cpu(), annulus::metrics().driver.turns);
    sleep(Duration::from_millis(500)).await;
    let (used, turns) = (cpu() - used, annulus::metrics().driver.turns - turns);
    assert!(used < Duration::from_millis(50) && turns < 10, "{kind}: {turns} turns, {used:?} of CPU time");

    // Who asks again is answered at once, and may take his time.
    let used = cpu();
    for _ in 0..30 {
        is_emfile(listener.accept().await);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(cpu() - used < Duration::from_millis(100), "{kind}: {:?} of CPU time", cpu() - used);
    op::connect(&clients[1], addr).await.unwrap();
    drop(all);
    for client in clients {
        takes(&listener, client).await;
    }
}

#[test]
fn an_accept_without_a_descriptor_is_told_and_loses_nothing() {
    const NAME: &str = "descriptors::an_accept_without_a_descriptor_is_told_and_loses_nothing";
    match role() {
        None => drop(passes(&mut again(NAME, "alone"))),
        Some(_) => on_both("an_accept_without_a_descriptor", |kind| {
            limits::set_soft(libc::RLIMIT_NOFILE, 64);
            let a = Builder::new().driver(kind).build().unwrap();
            a.block_on(no_descriptor_left(kind));
        }),
    }
}
