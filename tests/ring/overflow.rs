//! More completions than the queue holds.

use crate::common::*;
use annulus::{
    entry::Interest,
    ring::{CqeFlags, SetupFlags, Sqe},
    sys,
};
use std::{
    io::Write,
    os::{fd::AsRawFd, unix::net::UnixStream},
    thread,
};

#[test]
fn an_overflow_keeps_order_and_loses_nothing() {
    let mut ring = ring!("an_overflow_keeps_order_and_loses_nothing", 4);
    for batch in 0..4 {
        nops(&mut ring, batch * 4..batch * 4 + 4);
        assert_eq!(ring.submit().unwrap(), 4);
    }
    assert_eq!((ring.ready(), ring.cq_overflow(), ring.lost()), (8, true, 0));
    let mut all = read(&mut ring);
    assert!(ring.needs_enter() && ring.queued() == 0);
    for _ in 0..4 {
        ring.submit().unwrap();
        all.extend(read(&mut ring));
    }
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert_eq!((ring.cq_overflow(), ring.lost(), ring.needs_enter()), (false, 0, false));
}

/// A request that is answered many times, and whose answers find the queue full, ends: with a completion that is final,
/// and none of the events twice. Red when `is_final` does not say so.
#[test]
fn a_multishot_ends_when_its_queue_is_full() {
    let mut ring = ring!("a_multishot_ends_when_its_queue_is_full", 2);
    let (reader, writer) = UnixStream::pair().unwrap();
    let mut poll = Sqe::poll_add(reader.as_raw_fd(), Interest::Read).user_data(9);
    poll.len = sys::IORING_POLL_ADD_MULTI;
    push(&mut ring, poll).unwrap();
    ring.submit().unwrap();
    for _ in 0..16 {
        (&writer).write_all(b"x").unwrap();
        // Its work is run by whatever enters the kernel.
        thread::sleep(ms(1));
    }
    let mut seen = vec![];
    while ring.ready() > 0 || ring.needs_enter() {
        seen.extend(ring.completions());
        ring.submit().unwrap();
    }
    assert!(seen.iter().all(|cqe| cqe.user_data == 9), "{seen:?}");
    if seen.first().is_some_and(|cqe| cqe.res == -libc::EINVAL) {
        return; // before Linux 5.13
    }
    assert!((1..=16).contains(&seen.len()), "{seen:?}");
    if seen.len() == 16 && seen.iter().all(|cqe| !cqe.is_final()) {
        return; // before Linux 6.0 they are kept, as all others are
    }
    let last = seen.len() - 1;
    assert!(seen.iter().enumerate().all(|(n, cqe)| cqe.is_final() == (n == last)), "{seen:?}");
    assert!(!seen[last].flags.contains(CqeFlags::MORE));
}

/// A completion that is to be skipped is, but for an error, and but for a request that cannot know its success. What
/// waits for all before it cannot count such entries, and is refused from then on. Red when the flag is another's.
#[test]
fn a_success_may_be_skipped() {
    use annulus::ring::SqeFlags;
    let mut ring = ring!("a_success_may_be_skipped", 8, SetupFlags::SUBMIT_ALL);
    if !ring.features().contains(annulus::ring::Features::CQE_SKIP) {
        return; // before Linux 5.17 the entry is refused, as all unknown flags are
    }
    let quiet = |sqe: Sqe, n: u64| sqe.user_data(n).flags(SqeFlags::CQE_SKIP_SUCCESS);
    let bad = Sqe { opcode: sys::IORING_OP_CLOSE as u8, fd: -1, ..Sqe::default() };
    push(&mut ring, quiet(Sqe::nop(), 0)).unwrap();
    push(&mut ring, quiet(bad, 1)).unwrap();
    push(&mut ring, quiet(Sqe::nop(), 2).flags(SqeFlags::IO_LINK)).unwrap();
    push(&mut ring, Sqe::nop().user_data(3)).unwrap();
    let (reader, _writer) = UnixStream::pair().unwrap();
    let mut poll = Sqe::poll_add(reader.as_raw_fd(), Interest::Read);
    poll.len = sys::IORING_POLL_ADD_MULTI;
    push(&mut ring, quiet(poll, 4)).unwrap();
    push(&mut ring, Sqe::nop().user_data(5).flags(SqeFlags::IO_DRAIN)).unwrap();
    ring.submit_and_wait(4).unwrap();
    let mut seen: Vec<_> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, -libc::EBADF), (3, 0), (4, -libc::EINVAL), (5, -libc::EOPNOTSUPP)]);
}
