//! A number that somebody else closes under an operation that waits: the poll driver finds out, and the ring, which
//! holds the open file, goes on.

use super::{
    again::{again, passes, role},
    sound::{on_both, poll_once, socket_pair},
};
use annulus::{
    Builder, DriverKind, Fd, op,
    time::{sleep, timeout},
};
use std::{
    io::Write,
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// Closes the number of `fd`, as a program that has mixed up its numbers would.
fn close_from_outside(fd: &Fd) {
    // SAFETY: not Close waits, on purpose; nobody else opens a descriptor meanwhile.
    drop(unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) });
}

/// Gives the number another file, so that the last `Fd` does not close somebody else's. Returns the file's peer.
fn fill(number: i32) -> UnixStream {
    let mut others = Vec::new();
    for _ in 0..100 {
        let (a, b) = UnixStream::pair().unwrap();
        let (ours, peer) = if b.as_raw_fd() == number { (b, a) } else { (a, b) };
        if ours.as_raw_fd() == number {
            let _ = ours.into_raw_fd();
            return peer;
        }
        others.push((ours, peer));
    }
    panic!("{number} is not free");
}

async fn closed_under_a_read(kind: DriverKind) {
    let (fd, mut peer) = socket_pair();
    let number = fd.as_raw_fd();
    let mut reading = op::recv(&fd, Vec::with_capacity(8));
    assert!(poll_once(&mut reading).await.is_none());
    sleep(Duration::from_millis(20)).await;
    close_from_outside(&fd);
    let ended = match kind {
        DriverKind::Poll => timeout(Duration::from_secs(30), &mut reading).await.expect("it waits for ever"),
        DriverKind::Uring => {
            sleep(Duration::from_millis(50)).await;
            peer.write_all(b"data").unwrap();
            timeout(Duration::from_secs(30), &mut reading).await.expect("it waits for ever")
        }
    };
    fill(number);
    match (kind, ended) {
        (DriverKind::Poll, (res, buf)) => {
            assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::EBADF));
            assert!(buf.is_empty() && buf.capacity() >= 8, "the buffer comes back");
        }
        (DriverKind::Uring, (res, buf)) => assert_eq!((res.unwrap(), &buf[..]), (4, &b"data"[..])),
    }
}

/// Another file has the number by the time that somebody waits for it: who waited before ends, and does not get what
/// the new one has.
async fn closed_and_taken_again(kind: DriverKind) {
    let (fd, _peer) = socket_pair();
    let number = fd.as_raw_fd();
    let mut reading = op::recv(&fd, Vec::with_capacity(8));
    assert!(poll_once(&mut reading).await.is_none());
    // The ring has it by then.
    sleep(Duration::from_millis(20)).await;
    close_from_outside(&fd);
    let mut peer = fill(number);
    // SAFETY: Fresh descriptor, as far as anybody can tell: its owner does not know that it is another file.
    let new = Fd::new(unsafe { OwnedFd::from_raw_fd(number) });
    let mut waiting = op::recv(&new, Vec::with_capacity(8));
    assert!(poll_once(&mut waiting).await.is_none());
    if kind == DriverKind::Poll {
        let ended = timeout(Duration::from_millis(500), &mut reading).await.expect("it waits beside the new one");
        assert_eq!(ended.0.unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
    peer.write_all(b"new").unwrap();
    assert_eq!(waiting.await.1, b"new");
    std::mem::forget(new); // the number is the first one's to close
}

#[test]
fn a_number_closed_from_outside_ends_what_waits_for_it() {
    const NAME: &str = "closed::a_number_closed_from_outside_ends_what_waits_for_it";
    if role().is_none() {
        // Alone, as nobody else may take the number.
        return drop(passes(&mut again(NAME, "alone")));
    }
    on_both("a_number_closed_from_outside", |kind| {
        let runtime = Builder::new().driver(kind).build().unwrap();
        runtime.block_on(closed_under_a_read(kind));
        runtime.block_on(closed_and_taken_again(kind));
        super::sound::end(runtime, "a number that was closed from outside");
    });
}
