//! `proxy`: what passes, how its ends and resets pass, and what it does not wait for.

use super::{
    example, on_both_drivers, output,
    server::{LONG, Server, exchange, expect, until_end, until_end_or_reset, wait_for_bytes},
};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::{
    io::Write,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The other side: a listener of this test.
fn start(driver: &str, command: Command, args: &[&str]) -> (Server, TcpListener) {
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let to = target.local_addr().expect("an address").to_string();
    (Server::start(driver, command, &[&["--shards", "1", "--to", &to], args].concat()), target)
}

/// Both ends of a connection through the proxy.
fn pair(proxy: &Server, target: &TcpListener) -> (TcpStream, TcpStream) {
    let client = proxy.connect();
    let server = target.accept().expect("a connection").0;
    server.set_read_timeout(Some(LONG)).expect("a limit");
    server.set_write_timeout(Some(LONG)).expect("a limit");
    (client, server)
}

/// The counters at the proxy's end.
#[track_caller]
fn counted(proxy: Server, said: &str) {
    let end = proxy.end();
    assert!(end.ends_with(&format!("{said}\n")), "{end}");
}

#[test]
fn proxy_passes_both_ways_and_each_end_by_itself() {
    on_both_drivers("proxy_passes_both_ways_and_each_end_by_itself", "proxy", |driver, command| {
        let (proxy, target) = start(driver, command, &[]);
        let (client, server) = pair(&proxy, &target);
        exchange_through(&client, &server, b"ping");
        exchange_through(&server, &client, b"pong");
        client.shutdown(Shutdown::Write).expect("an end");
        assert_eq!(until_end(&server, b""), b"", "{driver}");
        // The other direction goes on.
        exchange_through(&server, &client, b"still here");
        drop(server);
        assert_eq!(until_end(&client, b""), b"", "{driver}");
        counted(proxy, "1 connections, 0 refused, 0 broken; 4 bytes forth, 14 back; 0 cut off");
    });
}

/// Sends `bytes` into one end, and reads them at the other.
#[track_caller]
fn exchange_through(mut from: &TcpStream, to: &TcpStream, bytes: &[u8]) {
    from.write_all(bytes).expect("a write");
    expect(to, b"what was sent", bytes);
}

/// Much, in both directions at the same time, with readers that are slow at first. Red when a part of a buffer is lost,
/// and when those who wait take the buffers from those who do not.
#[test]
fn proxy_passes_much_both_ways_at_once() {
    on_both_drivers("proxy_passes_much_both_ways_at_once", "proxy", |driver, command| {
        let (proxy, target) = start(driver, command, &[]);
        // These hold more than the pool of buffers has.
        let stuck: Vec<_> = (0..10).map(|_| pair(&proxy, &target)).collect();
        for (client, _) in &stuck {
            client.set_nonblocking(true).expect("an option");
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(100) {
                if (&*client).write(&[0; 64 * 1024]).is_err() {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        let (client, server) = pair(&proxy, &target);
        let bytes: Vec<u8> = (0..20 << 20).map(|n| (n % 251) as u8).collect();
        thread::scope(|scope| {
            for (from, to) in [(&client, &server), (&server, &client)] {
                let bytes = &bytes;
                scope.spawn(move || {
                    let mut from = from;
                    from.write_all(bytes).expect("a write");
                    from.shutdown(Shutdown::Write).expect("an end");
                });
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(100));
                    let got = until_end(to, b"");
                    assert!(got == *bytes, "{driver}: {} bytes came through", got.len());
                });
            }
        });
    });
}

/// Red when a broken connection looks like one that has ended.
#[test]
fn proxy_passes_resets_on() {
    on_both_drivers("proxy_passes_resets_on", "proxy", |driver, command| {
        let (proxy, target) = start(driver, command, &[]);
        let (client, server) = pair(&proxy, &target);
        exchange_through(&client, &server, b"x");
        exchange_through(&server, &client, b"y");
        // What was not read makes a reset of the close.
        (&client).write_all(b"unread").expect("a write");
        wait_for_bytes(&server);
        drop(server);
        assert!(until_end_or_reset(&client, b"").1, "{driver}: the client takes it for the end");
        let (client, server) = pair(&proxy, &target);
        (&server).write_all(b"unread").expect("a write");
        wait_for_bytes(&client);
        drop(client);
        assert!(until_end_or_reset(&server, b"").1, "{driver}: the server takes it for the end");
        assert!(proxy.end().starts_with("2 connections, 0 refused, 2 broken; "), "{driver}");
    });
}

#[test]
fn proxy_waits_for_nobody_for_ever() {
    on_both_drivers("proxy_waits_for_nobody_for_ever", "proxy", |driver, command| {
        let (proxy, target) = start(driver, command, &["--idle", "0.5"]);
        let (client, server) = pair(&proxy, &target);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1200) {
            exchange_through(&client, &server, b"x");
            thread::sleep(Duration::from_millis(50));
        }
        assert!(until_end_or_reset(&client, b"").1, "{driver}");
        assert!(until_end_or_reset(&server, b"").1, "{driver}");
        assert!(begun.elapsed() < LONG / 2, "{driver}: after {:?}", begun.elapsed());
        // Nobody takes what is sent: that is no progress either.
        let (client, _server) = pair(&proxy, &target);
        let sent = (&client).write_all(&vec![0; 64 << 20]);
        assert!(sent.is_err() && begun.elapsed() < LONG, "{driver}: after {:?}", begun.elapsed());
        counted(proxy, "0 cut off");
    });
}

/// A socket with a port that is nobody else's, at which it does not listen yet.
fn bound() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    (socket, address.to_string())
}

/// Red when the client of a server that is not there waits, and when that stops the proxy.
#[test]
fn proxy_says_at_once_that_nobody_is_there() {
    on_both_drivers("proxy_says_at_once_that_nobody_is_there", "proxy", |driver, command| {
        let (_socket, to) = bound();
        let proxy = Server::start(driver, command, &["--shards", "1", "--to", &to]);
        for _ in 0..3 {
            assert!(until_end_or_reset(&proxy.connect(), b"hello").1, "{driver}");
        }
        counted(proxy, "3 connections, 3 refused, 0 broken; 0 bytes forth, 0 back; 0 cut off");
    });
}

/// A server whose queue is full does not answer on Linux, and elsewhere it may refuse.
#[test]
fn proxy_gives_a_connection_up_in_time() {
    on_both_drivers("proxy_gives_a_connection_up_in_time", "proxy", |driver, command| {
        let (socket, to) = bound();
        socket.listen(0).expect("a listener");
        let _queue = TcpStream::connect(&to).expect("the one that fits");
        let proxy = Server::start(driver, command, &["--to", &to, "--connect", "0.5", "--shards", "1"]);
        let begun = Instant::now();
        assert!(until_end_or_reset(&proxy.connect(), b"").1, "{driver}");
        assert!(begun.elapsed() < LONG / 2, "{driver}: after {:?}", begun.elapsed());
        counted(proxy, "1 connections, 1 refused, 0 broken; 0 bytes forth, 0 back; 0 cut off");
    });
}

#[test]
fn proxy_has_a_limit_and_counts() {
    on_both_drivers("proxy_has_a_limit_and_counts", "proxy", |driver, command| {
        let (mut proxy, target) = start(driver, command, &["--connections", "1"]);
        let (client, server) = pair(&proxy, &target);
        exchange_through(&client, &server, b"abc");
        let next = proxy.connect();
        (&next).write_all(b"next").expect("a write");
        target.set_nonblocking(true).expect("an option");
        thread::sleep(Duration::from_millis(200));
        assert!(target.accept().is_err(), "{driver}: two at a time");
        proxy.signal(Signal::USR1);
        let told = "shard 0: 1 connections, 0 refused, 0 broken; 3 bytes forth, 0 back\n";
        assert_eq!(proxy.line(), told, "{driver}");
        drop((client, server));
        target.set_nonblocking(false).expect("an option");
        let served = target.accept().expect("the next one").0;
        expect(&served, b"", b"next");
        drop((next, served));
        counted(proxy, "2 connections, 0 refused, 0 broken; 7 bytes forth, 0 back; 0 cut off");
    });
}

/// What is open goes on until it ends or the time is up, and what is cut off learns it. Red when idle connections keep
/// the proxy for ever, and when a cut looks like an end.
#[test]
fn proxy_ends_while_it_is_busy() {
    on_both_drivers("proxy_ends_while_it_is_busy", "proxy", |driver, command| {
        let (proxy, target) = start(driver, command, &["--grace", "2"]);
        let (idle, _idle_server) = pair(&proxy, &target);
        let (busy, server) = pair(&proxy, &target);
        exchange_through(&busy, &server, b"before");
        proxy.signal(Signal::INT);
        let begun = Instant::now();
        thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(proxy.address).is_err(), "{driver}: it still listens");
        exchange_through(&busy, &server, b"after");
        drop(server);
        assert_eq!(until_end(&busy, b""), b"", "{driver}");
        drop(busy);
        assert!(until_end_or_reset(&idle, b"").1, "{driver}");
        counted(proxy, "; 1 cut off");
        assert!(begun.elapsed() < LONG / 2, "{driver}: after {:?}", begun.elapsed());
    });
}

/// Other examples through it.
#[test]
fn proxy_stands_before_resp() {
    on_both_drivers("proxy_stands_before_resp", "proxy", |driver, command| {
        let resp = Server::start(
            driver,
            {
                let mut it = example("resp");
                it.env("ANNULUS_DRIVER", driver);
                it
            },
            &[],
        );
        let proxy = Server::start(driver, command, &["--to", &resp.address.to_string()]);
        let clients: Vec<TcpStream> = (0..20).map(|_| proxy.connect()).collect();
        for client in clients.iter().chain(&clients) {
            exchange(client, &b"PING\r\n".repeat(100), &b"+PONG\r\n".repeat(100));
        }
        drop(clients);
        resp.end();
        assert!(proxy.end().contains("24000 bytes forth, 28000 back"), "{driver}");
    });
}

#[test]
fn proxy_explains_itself() {
    let (said, errors, code) = output(example("proxy").arg("--help"));
    assert!(said.starts_with("usage: proxy ") && errors.is_empty() && code == Some(0), "{said}{errors}");
    let (_, errors, code) = output(&mut example("proxy"));
    assert!(errors.starts_with("proxy: --to says ") && code == Some(1), "{errors}");
    let (_, errors, code) = output(example("proxy").arg("there"));
    assert!(errors.starts_with("proxy: unexpected argument \"there\"; proxy --help ") && code == Some(2), "{errors}");
}
