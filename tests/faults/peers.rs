//! Peers that are busy, refuse, reset and vanish.

use super::{
    again::{again, role},
    sound::{on_both, poll_once, socket_pair},
};
use annulus::{
    Builder, DriverKind, Fd,
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt},
    net::{ListenerOpts, TcpListener, TcpStream},
    op, spawn,
    time::{sleep, timeout},
};
use std::{
    io::{self, ErrorKind, Write},
    net,
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    time::Duration,
};

fn on_each(name: &str, test: impl AsyncFn(DriverKind)) {
    on_both(name, |kind| Builder::new().driver(kind).build().unwrap().block_on(test(kind)));
}

/// A connection between us and a socket of std.
async fn pair() -> (TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().await.unwrap().0, peer)
}

/// Closes a socket so that its peer gets a reset.
fn reset(stream: net::TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, len) = ((&raw const linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: the value is read before the call returns.
    let set = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, len) };
    assert_eq!(set, 0);
}

/// A listener's queue that is full makes a connect wait, not fail.
#[test]
fn a_connect_waits_while_the_backlog_is_full() {
    on_each("a_connect_waits", async |kind| {
        let listener = TcpListener::bind_with_config("127.0.0.1:0", &ListenerOpts::new().backlog(1)).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut clients: Vec<annulus::JoinHandle<_>> = Vec::new();
        // One after the other: of two at once, the kernel may let one believe that it got in.
        while clients.iter().all(annulus::JoinHandle::is_finished) {
            assert!(clients.len() < 6, "{kind}: the queue is never full");
            clients.push(spawn(async move { TcpStream::connect_addr(addr).await }));
            sleep(Duration::from_millis(100)).await;
        }
        for n in 0..clients.len() {
            // Who found it full tries again after a second.
            let taken = timeout(Duration::from_secs(30), listener.accept()).await;
            let (mut server, peer) = taken.expect("a connection is lost").unwrap();
            let mut client = clients.remove(0).await.unwrap().expect("a connect failed");
            assert_eq!(client.local_addr().unwrap(), peer);
            server.write_all(vec![n as u8; 3]).await.0.unwrap();
            assert_eq!(client.read(Vec::with_capacity(8)).await.1, vec![n as u8; 3]);
        }
    });
}

#[test]
fn a_refused_connect_says_so() {
    on_each("a_refused_connect", async |_| {
        // The port is taken, so that no connect meets itself there; and nobody listens.
        let fd = Fd::new(op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        op::bind(&fd, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = net::TcpListener::from(fd.duplicate().unwrap()).local_addr().unwrap();
        for _ in 0..20 {
            let refused = timeout(Duration::from_secs(5), TcpStream::connect_addr(addr)).await.unwrap();
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    });
}

/// A read that waits gets the reset, once, with its buffer; what came before the reset was read before.
#[test]
fn a_reset_ends_the_read_that_waits() {
    on_each("a_reset", async |_| {
        for _ in 0..20 {
            let (mut ours, mut peer) = pair().await;
            peer.write_all(b"and").unwrap();
            assert_eq!(ours.read(Vec::with_capacity(64)).await.1, b"and");
            let mut reading = Box::pin(ours.read(Vec::with_capacity(64)));
            assert!(poll_once(&mut reading).await.is_none());
            sleep(Duration::from_millis(1)).await;
            reset(peer);
            let (res, buf) = timeout(Duration::from_secs(5), reading).await.expect("nobody tells");
            assert_eq!(res.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert!(buf.is_empty() && buf.capacity() == 64);
            assert_eq!(ours.read(buf).await.0.unwrap(), 0, "it was told already");
        }
    });
}

/// Writes until that fails, which it must do soon.
async fn write_to_nobody(stream: &mut TcpStream) -> ErrorKind {
    for _ in 0..100 {
        match stream.write(vec![1; 1000]).await.0 {
            Ok(_) => sleep(Duration::from_millis(1)).await,
            // The first error after a reset may tell of the reset.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
            Err(e) => return e.kind(),
        }
    }
    panic!("a peer that is gone takes 100 writes");
}

/// In a process that SIGPIPE would end; Rust's own programs ignore it.
fn write_without_a_signal(kind: DriverKind) {
    let a = Builder::new().driver(kind).build().unwrap();
    a.block_on(async {
        let (mut ours, peer) = pair().await;
        reset(peer);
        assert_eq!(write_to_nobody(&mut ours).await, ErrorKind::BrokenPipe);
        let (mut ours, peer) = pair().await;
        drop(peer);
        assert_eq!(write_to_nobody(&mut ours).await, ErrorKind::BrokenPipe);
        let (fd, peer) = socket_pair();
        drop(peer);
        assert_eq!(op::send(&fd, vec![1; 10]).await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // One that waits for room when the peer goes.
        let (fd, peer) = socket_pair();
        let mut sending = op::send(&fd, vec![1; 10]);
        while poll_once(&mut sending).await.is_some_and(|sent| sent.0.is_ok()) {
            sending = op::send(&fd, vec![1; 100_000]);
        }
        drop(peer);
        let sent = timeout(Duration::from_secs(5), sending).await.expect("nobody tells");
        assert_eq!(sent.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_write_to_nobody_raises_no_signal() {
    const NAME: &str = "peers::a_write_to_nobody_raises_no_signal";
    let Some(role) = role() else {
        let run = |role| again(NAME, role).output().unwrap();
        for driver in ["uring", "poll"] {
            if driver == "uring" && Builder::new().driver(DriverKind::Uring).build().is_err() {
                let _ = writeln!(io::stderr(), "SKIP {NAME}: no ring");
                continue;
            }
            let child = run(driver);
            assert!(child.status.success(), "{driver}: {}: {}", child.status, String::from_utf8_lossy(&child.stderr));
        }
        assert_eq!(run("control").status.signal(), Some(libc::SIGPIPE), "the control: nobody would have been ended");
        return;
    };
    // SAFETY: the default, in a process of this test's own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    match role.as_str() {
        "uring" => write_without_a_signal(DriverKind::Uring),
        "poll" => write_without_a_signal(DriverKind::Poll),
        _ => {
            let (fd, peer) = socket_pair();
            drop(peer);
            // SAFETY: one byte of a literal.
            unsafe { libc::write(fd.as_raw_fd(), c"x".as_ptr().cast(), 1) };
        }
    }
}
