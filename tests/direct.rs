//! Direct descriptors: in the ring's table where there is a ring, and ordinary ones elsewhere, with the same results.

#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[path = "outside/again.rs"]
mod again;

use again::{again, passes, role};
use annulus::{Builder, DriverKind, Fd, Runtime, metrics, op, pool::RecvPool, spawn, time};
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(10);

/// Whether descriptors of this runtime are direct where that is asked for.
fn are_direct() -> bool {
    let uring = annulus::driver().kind() == DriverKind::Uring;
    uring && annulus::probe().ring().is_ok_and(|ring| ring.supports(annulus::sys::IORING_OP_FIXED_FD_INSTALL as u8))
}

fn runtime(kind: DriverKind) -> Option<Runtime> {
    Builder::new()
        .driver(kind)
        .entries(64)
        .build()
        .map_err(|e| drop(writeln!(io::stderr(), "SKIP direct::{kind}: {e}")))
        .ok()
}

/// A listener, and where it listens.
fn listener() -> (Fd, SocketAddr) {
    let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = std.local_addr().unwrap();
    std.set_nonblocking(annulus::driver().kind() == DriverKind::Poll).unwrap();
    (Fd::new(std.into()), addr)
}

#[annulus::test]
async fn a_connection_without_a_number_does_all_that_one_with_a_number_does() {
    let (listener, addr) = listener();
    let client = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
    let (connected, accepted) = annulus::join!(op::connect(&client, addr), op::accept_direct(&listener));
    connected.unwrap();
    let (server, peer) = (accepted.0.unwrap(), accepted.1.ip().unwrap());
    assert!(peer.ip().is_loopback());
    for fd in [&client, &server] {
        assert_eq!((fd.is_direct(), fd.as_raw_fd() == -1), (are_direct(), are_direct()));
    }
    let (n, _) = op::send(&client, "ping").await;
    assert_eq!(n.unwrap(), 4);
    assert_eq!(op::recv(&server, Vec::with_capacity(8)).await.1, b"ping");
    let (n, _) = op::write(&server, "written").await;
    assert_eq!(n.unwrap(), 7);
    op::poll(&client, annulus::entry::Interest::Read).await.unwrap();
    assert_eq!(op::read(&client, Vec::with_capacity(8)).await.1, b"written");
    let bufs = RecvPool::new(4, 64).unwrap();
    let mut stream = op::recv_multi(&server, &bufs);
    for word in ["a stream", "of words"] {
        op::send(&client, word).await.0.unwrap();
        assert_eq!(&stream.next().await.unwrap().unwrap()[..], word.as_bytes());
    }
    op::shutdown(&client, std::net::Shutdown::Write).await.unwrap();
    assert!(stream.next().await.is_none());
    // Red when a close takes the number for a place, or the other way round.
    drop((client, stream));
    let (n, _) = time::timeout(SOON, op::recv(&server, vec![0; 1])).await.expect("the other end is closed");
    assert_eq!(n.unwrap(), 0);
}

/// Red when `cancel` looks for numbers alone.
#[annulus::test]
async fn what_waits_on_one_is_cancelled_and_nothing_else() {
    let (listener, addr) = listener();
    let mut ends = Vec::new();
    for _ in 0..2 {
        let client = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        op::connect(&client, addr).await.unwrap();
        ends.push((client, op::accept_direct(&listener).await.0.unwrap()));
    }
    let receiving: Vec<_> = ends.iter().map(|(client, _)| spawn(op::recv(client, vec![0; 8]))).collect();
    annulus::yield_now().await;
    assert_eq!(op::cancel(&ends[0].0), 1);
    let mut receiving = receiving.into_iter();
    let (ended, _) = time::timeout(SOON, receiving.next().unwrap()).await.expect("it was cancelled").unwrap();
    assert_eq!(ended.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    op::send(&ends[1].1, "on").await.0.unwrap();
    assert_eq!(receiving.next().unwrap().await.unwrap().0.unwrap(), 2);
}

/// Red when a place is not freed with its last `Fd`: the table has few.
#[test]
fn places_are_used_again_and_a_full_table_is_told() {
    let Some(_) = runtime(DriverKind::Uring) else { return };
    let runtime = Builder::new().driver(DriverKind::Uring).direct_descriptors(4).build().unwrap();
    runtime.block_on(async {
        let socket = || op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0);
        if !are_direct() {
            drop(writeln!(io::stderr(), "SKIP direct::places_are_used_again: the kernel has no direct descriptors"));
            return;
        }
        for _ in 0..20 {
            let four =
                [socket().await.unwrap(), socket().await.unwrap(), socket().await.unwrap(), socket().await.unwrap()];
            assert!(four.iter().all(Fd::is_direct));
            assert_eq!(socket().await.unwrap_err().raw_os_error(), Some(libc::ENFILE));
            drop(four);
            // The closes go with the next entry, before it.
        }
    });
    let none = Builder::new().driver(DriverKind::Uring).direct_descriptors(0).build().unwrap();
    none.block_on(async {
        assert!(!op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0).await.unwrap().is_direct());
    });
}

/// Red when a place is looked up in whatever ring is there: the other runtime has another file at the same one.
#[test]
fn it_is_nothing_in_another_runtime() {
    let (Some(one), Some(other)) = (runtime(DriverKind::Uring), runtime(DriverKind::Uring)) else { return };
    let poll = runtime(DriverKind::Poll).unwrap();
    let pair = |runtime: &Runtime| {
        runtime.block_on(async {
            let (listener, addr) = listener();
            let client = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
            op::connect(&client, addr).await.unwrap();
            (client, op::accept(&listener).await.0.unwrap(), are_direct())
        })
    };
    let ((client, served, direct), (same_place, _served, _)) = (pair(&one), pair(&other));
    if !direct {
        return drop(writeln!(
            io::stderr(),
            "SKIP direct::it_is_nothing_in_another_runtime: the kernel has no direct descriptors"
        ));
    }
    for elsewhere in [&other, &poll] {
        elsewhere.block_on(async {
            let (sent, _) = op::send(&client, "lost").await;
            assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EXDEV));
            let installed = op::install(&client).await;
            assert_eq!(installed.unwrap_err().raw_os_error(), Some(libc::EXDEV));
            let mut stream = op::poll_multi(&client, annulus::entry::Interest::Write);
            assert_eq!(stream.next().await.unwrap().unwrap_err().raw_os_error(), Some(libc::EXDEV));
        });
    }
    // What waits there on the same place of the other table is not meant by a cancel.
    other.block_on(async {
        let receiving = spawn(op::recv(&same_place, vec![0; 8]));
        annulus::yield_now().await;
        assert_eq!(op::cancel(&client), 0);
        assert_eq!(op::cancel(&same_place), 1);
        receiving.await.unwrap().0.unwrap_err();
    });
    // The last reference goes inside of another runtime, and outside of any.
    let second = client.clone();
    poll.block_on(async { drop(client) });
    drop(second);
    one.block_on(time::sleep(Duration::from_millis(1)));
    let mut served = std::net::TcpStream::from(served);
    served.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(served.read(&mut [0]).unwrap(), 0, "it was closed by the runtime that it belongs to");
}

/// What lies in the table ends with the runtime, whoever still has an `Fd` of it; what has a number does not.
#[test]
fn the_end_of_a_runtime_closes_all() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = runtime(kind) else { continue };
        let (fd, mut served, mut receiving) = runtime.block_on(async {
            let (listener, addr) = listener();
            let client = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
            op::connect(&client, addr).await.unwrap();
            let served = std::net::TcpStream::from(op::accept(&listener).await.0.unwrap());
            let receiving = Box::pin(time::timeout(Duration::from_millis(1), op::recv(&client, vec![0; 8])));
            (client, served, receiving)
        });
        runtime.block_on(async { assert!(receiving.as_mut().await.is_err()) });
        let direct = fd.is_direct();
        drop(runtime);
        served.set_read_timeout(Some(SOON)).unwrap();
        served.set_nonblocking(false).unwrap();
        if direct {
            assert_eq!(served.read(&mut [0]).unwrap(), 0, "the table went with the ring");
        } else {
            served.write_all(b"it has a number, and lives on").unwrap();
        }
        drop((receiving, fd));
    }
}

#[annulus::test]
async fn whoever_wants_the_number_is_told_that_there_is_none() {
    let socket = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
    if !socket.is_direct() {
        assert!(!are_direct() && socket.duplicate().is_ok());
        return;
    }
    assert_eq!(socket.duplicate().unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    let socket = socket.try_into_owned().unwrap_err();
    let borrowed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| socket.as_fd().as_raw_fd()));
    assert!(borrowed.unwrap_err().downcast_ref::<String>().unwrap().contains("annulus::op::install"));
}

/// A thousand connections through a table of sixteen places: what is given up halfway leaves its place, too.
#[test]
fn a_thousand_connections_leave_nothing() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        if runtime(kind).is_none() {
            continue;
        }
        let runtime = Builder::new().driver(kind).direct_descriptors(16).build().unwrap();
        runtime.block_on(async {
            let (listener, addr) = listener();
            for round in 0..1000u32 {
                let client = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
                let mut accepting = op::accept_direct(&listener);
                if round % 7 == 0 {
                    // Given up before or after the connection came.
                    let _ = time::timeout(Duration::ZERO, &mut accepting).await;
                    op::connect(&client, addr).await.unwrap();
                    drop(accepting);
                } else {
                    let (connected, accepted) = annulus::join!(op::connect(&client, addr), accepting);
                    connected.unwrap();
                    drop(accepted.0.unwrap());
                }
            }
            let begun = time::Instant::now();
            while metrics().driver.slots > 0 {
                assert!(begun.elapsed() < SOON, "{} slots", metrics().driver.slots);
                time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

/// Red when the twin of an operation gets the place for a number: it would bind whatever is there.
#[test]
fn what_the_ring_cannot_do_nobody_does() {
    const NAME: &str = "what_the_ring_cannot_do_nobody_does";
    let Some(_) = runtime(DriverKind::Uring) else { return };
    if role().is_none() {
        passes(again(NAME, "alone").env("ANNULUS_HIDE_OPS", "BIND,LISTEN"));
        return;
    }
    let runtime = runtime(DriverKind::Uring).unwrap();
    runtime.block_on(async {
        let socket = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        assert_eq!(socket.is_direct(), are_direct());
        if socket.is_direct() {
            for res in [op::bind(&socket, ([127, 0, 0, 1], 0).into()).await, op::listen(&socket, 1).await] {
                assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
            }
        }
    });
}
