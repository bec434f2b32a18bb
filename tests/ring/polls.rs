//! Polls as entries: once, many times, changed while they wait, and fed by their own ring.

use crate::common::{LONG, NOBODY, answers, push, results, ring};
use annulus::{
    entry::Interest,
    ring::{Cqe, Features, Ring, Sqe},
    sys,
};
use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Instant,
};

const IN: i32 = libc::POLLIN as i32;
const OUT: i32 = libc::POLLOUT as i32;

fn poll(fd: &impl AsRawFd, number: u64) -> Sqe {
    Sqe::poll_add(fd.as_raw_fd(), Interest::Read).user_data(number)
}

fn many(fd: &impl AsRawFd, number: u64) -> Sqe {
    Sqe { len: sys::IORING_POLL_ADD_MULTI, ..poll(fd, number) }
}

/// Changes what `whom` waits for, to what `like` waits for.
fn update(whom: u64, like: Sqe, number: u64) -> Sqe {
    let opcode = sys::IORING_OP_POLL_REMOVE as u8;
    let len = sys::IORING_POLL_UPDATE_EVENTS | like.len;
    Sqe { opcode, fd: -1, addr: whom, len, ..like }.user_data(number)
}

fn remove(whom: u64, number: u64) -> Sqe {
    Sqe { opcode: sys::IORING_OP_POLL_REMOVE as u8, addr: whom, ..Sqe::nop() }.user_data(number)
}

fn writable(fd: &impl AsRawFd) -> Sqe {
    Sqe::poll_add(fd.as_raw_fd(), Interest::Write)
}

/// Red when a poll that is told to wait for what is there already waits on. Since Linux 5.13.
#[test]
fn a_poll_that_is_changed_to_what_is_there_is_over() {
    let mut ring = ring!("a_poll_that_is_changed_to_what_is_there", 8);
    let (socket, _peer) = UnixStream::pair().unwrap();
    push(&mut ring, poll(&socket, 1)).unwrap();
    push(&mut ring, update(1, writable(&socket), 2)).unwrap();
    if !ring.features().contains(Features::CQE_SKIP) {
        // Before Linux 5.17 it may wait for a change.
        return assert!(results(answers(&mut ring, 1)).into_values().all(|res| res >= 0));
    }
    let all = results(answers(&mut ring, 2));
    assert!(all[&1] & OUT != 0 && all[&2] == 0, "{all:?}");
    push(&mut ring, update(1, writable(&socket), 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(2, -libc::ENOENT)].into(), "it is gone");
}

/// Red when the new number is not the one that answers. Since Linux 5.13.
#[test]
fn a_poll_gets_another_number() {
    let mut ring = ring!("a_poll_gets_another_number", 8);
    let (rx, mut tx) = pipe().unwrap();
    push(&mut ring, poll(&rx, 1)).unwrap();
    let len = sys::IORING_POLL_UPDATE_USER_DATA;
    push(&mut ring, Sqe { len, off: 7, ..remove(1, 2) }).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(2, 0)].into());
    tx.write_all(b"x").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(7, IN)].into());
}

/// Red when a poll of many answers ends with the first, or goes on when it was removed.
#[test]
fn a_poll_answers_each_change() {
    let mut ring = ring!("a_poll_answers_each_change", 8);
    let (mut rx, mut tx) = pipe().unwrap();
    push(&mut ring, many(&rx, 1)).unwrap();
    for _ in 0..20 {
        ring.submit().unwrap();
        tx.write_all(b"x").unwrap();
        let answer = answers(&mut ring, 1)[0];
        assert_eq!((answer.user_data, answer.res, answer.is_final()), (1, IN, false));
        rx.read_exact(&mut [0]).unwrap();
    }
    push(&mut ring, remove(1, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, -libc::ECANCELED), (2, 0)].into());
    tx.write_all(b"x").unwrap();
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out);
}

/// Red when one of many polls is missed.
#[test]
fn two_thousand_polls_answer() {
    let mut ring = ring!("two_thousand_polls_answer", 2048);
    let mut pipes: Vec<(PipeReader, PipeWriter)> = (0..200).map(|_| pipe().unwrap()).collect();
    for (n, (rx, _)) in pipes.iter().enumerate() {
        (0..10).for_each(|k| push(&mut ring, poll(rx, 10 * n as u64 + k)).unwrap());
    }
    ring.submit().unwrap();
    assert_eq!(ring.ready(), 0);
    pipes.iter_mut().rev().for_each(|(_, tx)| tx.write_all(b"x").unwrap());
    let all = results(answers(&mut ring, 2000));
    assert!(all.len() == 2000 && all.values().all(|&res| res == IN));
}

fn eventfd() -> OwnedFd {
    // SAFETY: Plain call: makes a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Takes what comes until nothing does; gives up after very much.
fn drain(ring: &mut Ring) -> Vec<Cqe> {
    let (begun, mut all) = (Instant::now(), Vec::new());
    while !ring.wait_timeout(1, NOBODY).unwrap().timed_out && all.len() < 10_000 {
        all.extend(ring.completions());
        assert!(begun.elapsed() < LONG, "it never ends");
    }
    all
}

/// A poll of the descriptor by which the ring tells of completions makes a completion for each. Red when that goes on
/// for ever, or the ring does not work afterwards.
#[test]
fn a_ring_that_feeds_itself_comes_to_rest() {
    let mut ring = ring!("a_ring_that_feeds_itself_comes_to_rest", 8);
    let bell = eventfd();
    let mut number = bell.as_raw_fd();
    // SAFETY: Kernel's word: one number, which is read.
    unsafe { ring.register(sys::IORING_REGISTER_EVENTFD, (&raw mut number).cast(), 1) }.unwrap();
    push(&mut ring, many(&bell, 1)).unwrap();
    push(&mut ring, Sqe::nop().user_data(2)).unwrap();
    ring.submit().unwrap();
    let all = drain(&mut ring);
    assert!(all.len() < 10_000 && all.iter().any(|cqe| cqe.user_data == 1), "{}", all.len());
    assert_eq!(all.iter().filter(|cqe| cqe.user_data == 2).count(), 1);
    // SAFETY: Kernel's word: takes no argument.
    unsafe { ring.register(sys::IORING_UNREGISTER_EVENTFD, std::ptr::null_mut(), 0) }.unwrap();
    if all.iter().all(|cqe| cqe.user_data == 2 || !cqe.is_final()) {
        push(&mut ring, remove(1, 3)).unwrap();
        let rest = results(answers(&mut ring, 2));
        assert_eq!(rest, [(1, -libc::ECANCELED), (3, 0)].into());
    }
    push(&mut ring, Sqe::nop().user_data(4)).unwrap();
    assert!(answers(&mut ring, 1).iter().any(|cqe| cqe.user_data == 4));
}
