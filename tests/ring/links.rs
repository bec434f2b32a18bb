//! Chains: what follows what, what breaks a chain, what a drain waits for, and timeouts of linked requests.

use crate::common::{LONG, NOBODY, answers, pending_read, push, read, results, ring};
use annulus::{
    ring::{Cqe, Enter, Ring, SetupFlags, Sqe, SqeFlags},
    sys,
};
use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Write, pipe},
    os::fd::AsRawFd,
    ptr, thread,
    time::Duration,
};

const LINK: SqeFlags = SqeFlags::IO_LINK;
const HARD: SqeFlags = SqeFlags::IO_HARDLINK;
const CANCELED: i32 = -libc::ECANCELED;
const PASSED: i32 = -libc::ETIME;

fn nop(number: u64) -> Sqe {
    Sqe::nop().user_data(number)
}

/// What no kernel carries out.
fn bad(number: u64) -> Sqe {
    Sqe { opcode: 200, ..nop(number) }
}

/// A time that is never freed.
fn time(time: Duration) -> &'static sys::__kernel_timespec {
    let tv_nsec = time.subsec_nanos().into();
    Box::leak(Box::new(sys::__kernel_timespec { tv_sec: time.as_secs() as i64, tv_nsec }))
}

fn link_timeout(after: Duration) -> Sqe {
    Sqe { opcode: sys::IORING_OP_LINK_TIMEOUT as u8, ..Sqe::timeout(time(after)) }
}

/// A read from a pipe, into memory that is never freed.
fn pipe_read(ring: &mut Ring, len: u32, flags: SqeFlags, number: u64) -> (PipeReader, PipeWriter) {
    let (rx, tx) = pipe().unwrap();
    let memory = Box::leak(vec![0; len as usize].into_boxed_slice());
    push(ring, Sqe::read(rx.as_raw_fd(), memory.as_mut_ptr(), len, u64::MAX).user_data(number).flags(flags)).unwrap();
    (rx, tx)
}

/// Red when an entry of a chain with a bad one is left behind, or carried out.
#[test]
fn a_bad_entry_anywhere_in_a_chain_cancels_the_others() {
    let mut ring = ring!("a_bad_entry_anywhere_in_a_chain", 4);
    for flags in [LINK, HARD] {
        for wrong in 0..4 {
            for n in 0..4 {
                let sqe = if n == wrong { bad(n) } else { nop(n) };
                push(&mut ring, if n < 3 { sqe.flags(flags) } else { sqe }).unwrap();
            }
            assert_eq!((ring.submit().unwrap(), ring.queued()), (4, 0), "{flags:?}, {wrong} is bad");
            let all = results(answers(&mut ring, 4));
            let due = (0..4).map(|n| (n, if n == wrong { -libc::EINVAL } else { CANCELED }));
            assert!(all.iter().map(|(&n, &res)| (n, res)).eq(due), "{flags:?}, {wrong} is bad: {all:?}");
        }
    }
    push(&mut ring, nop(9)).unwrap();
    assert_eq!(results(answers(&mut ring, 1))[&9], 0, "the chains are over");
}

/// Red when the two links are mixed up.
#[test]
fn a_failure_breaks_a_link_and_no_hard_link() {
    let mut ring = ring!("a_failure_breaks_a_link_and_no_hard_link", 8);
    let zero = File::open("/dev/zero").unwrap();
    for (flags, then) in [(LINK, CANCELED), (HARD, 0)] {
        // Not a bad descriptor: some kernels break all chains with what never began.
        push(&mut ring, Sqe::read(zero.as_raw_fd(), ptr::null_mut(), 1, 0).user_data(0).flags(flags)).unwrap();
        push(&mut ring, nop(1).flags(flags)).unwrap();
        push(&mut ring, nop(2)).unwrap();
        push(&mut ring, nop(3)).unwrap();
        let all = results(answers(&mut ring, 4));
        assert_eq!(all, [(0, -libc::EFAULT), (1, then), (2, then), (3, 0)].into(), "{flags:?}");
    }
}

/// Red when a chain goes on after a part of what it was to read, or a hard link does not.
#[test]
fn a_short_read_breaks_a_link() {
    let mut ring = ring!("a_short_read_breaks_a_link", 8);
    for (flags, then) in [(LINK, CANCELED), (HARD, 0)] {
        let (_rx, mut tx) = pipe_read(&mut ring, 8, flags, 0);
        push(&mut ring, nop(1)).unwrap();
        ring.submit().unwrap();
        assert_eq!(read(&mut ring), [0; 0], "the second waits for the first");
        tx.write_all(b"abc").unwrap();
        assert_eq!(results(answers(&mut ring, 2)), [(0, 3), (1, then)].into(), "{flags:?}");
    }
}

/// Red when a chain that nobody ended goes on into the next enter. T12: this is why a chain is pushed whole.
#[test]
fn a_chain_ends_with_its_enter() {
    let mut ring = ring!("a_chain_ends_with_its_enter", 8);
    for by_count in [false, true] {
        push(&mut ring, bad(0).flags(LINK)).unwrap();
        if !by_count {
            ring.submit().unwrap();
        }
        push(&mut ring, nop(1)).unwrap();
        if by_count {
            // The chain is whole in the queue, and is cut all the same.
            assert_eq!(ring.enter(&Enter { submit: 1, ..Enter::default() }).unwrap().submitted, 1);
        }
        assert_eq!(results(answers(&mut ring, 2)), [(0, -libc::EINVAL), (1, 0)].into(), "{by_count}");
    }
}

/// Red when a drained entry starts before one that came earlier, or one that came later does.
#[test]
fn a_drain_waits_for_all_that_came_before() {
    let mut ring = ring!("a_drain_waits_for_all_that_came_before", 8);
    let mut first = pending_read(&mut ring, 0);
    let mut second = pending_read(&mut ring, 1);
    push(&mut ring, nop(2).flags(SqeFlags::IO_DRAIN)).unwrap();
    push(&mut ring, nop(3)).unwrap();
    ring.submit().unwrap();
    second.1.write_all(b"x").unwrap();
    assert_eq!(numbers(answers(&mut ring, 1)), [1]);
    assert_eq!(ring.ready(), 0, "one is left");
    first.1.write_all(b"x").unwrap();
    let rest = numbers(answers(&mut ring, 3));
    assert!([[0, 2, 3], [0, 3, 2]].iter().any(|order| rest == order), "{rest:?}");
}

/// Red when a drain takes the first answer of many for the last.
#[test]
fn a_drain_waits_for_the_last_of_many_answers() {
    let mut ring = ring!("a_drain_waits_for_the_last_of_many_answers", 8);
    let (rx, mut tx) = pipe().unwrap();
    let events = Sqe::poll_add(rx.as_raw_fd(), annulus::entry::Interest::Read);
    push(&mut ring, Sqe { len: sys::IORING_POLL_ADD_MULTI, ..events }.user_data(0)).unwrap();
    push(&mut ring, nop(1).flags(SqeFlags::IO_DRAIN)).unwrap();
    ring.submit().unwrap();
    tx.write_all(b"x").unwrap();
    let first = answers(&mut ring, 1)[0];
    assert_eq!(first.user_data, 0);
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out || ring.ready() == 0, "the poll is not over");
    tx.write_all(b"x").unwrap();
    assert_eq!(numbers(answers(&mut ring, 1)), [0]);
    // A cancel would wait behind the drain, too, but for one that is no entry.
    let mut cancel = sys::io_uring_sync_cancel_reg {
        timeout: sys::__kernel_timespec { tv_sec: -1, tv_nsec: -1 },
        ..sys::io_uring_sync_cancel_reg::default()
    };
    // SAFETY: Kernel's word: one structure, which is only read.
    match unsafe { ring.register(sys::IORING_REGISTER_SYNC_CANCEL, (&raw mut cancel).cast(), 1) } {
        Err(e) => assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 6.0"),
        Ok(_) => assert_eq!(results(answers(&mut ring, 2)), [(0, CANCELED), (1, 0)].into()),
    }
}

/// Red when a linked timeout ends what was in time, or does not end what was not.
#[test]
fn a_linked_timeout_ends_what_takes_too_long() {
    let mut ring = ring!("a_linked_timeout_ends_what_takes_too_long", 8);
    let _late = pending_linked(&mut ring);
    push(&mut ring, link_timeout(Duration::from_millis(10)).user_data(1)).unwrap();
    // The one that was stopped says so, and is not made another error: it is the timeout that says that time was up.
    assert_eq!(results(answers(&mut ring, 2)), [(0, CANCELED), (1, PASSED)].into());
    let (_rx, mut tx) = pending_linked(&mut ring);
    push(&mut ring, link_timeout(LONG).user_data(1)).unwrap();
    ring.submit().unwrap();
    tx.write_all(b"x").unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(0, 1), (1, CANCELED)].into());
    push(&mut ring, nop(0).flags(LINK)).unwrap();
    push(&mut ring, link_timeout(LONG).user_data(1)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(0, 0), (1, CANCELED)].into(), "done at once");
}

fn pending_linked(ring: &mut Ring) -> (PipeReader, PipeWriter) {
    pipe_read(ring, 1, LINK, 0)
}

/// Red when a timeout stands where none can.
#[test]
fn a_linked_timeout_follows_one_request() {
    let mut ring = ring!("a_linked_timeout_follows_one_request", 8);
    push(&mut ring, link_timeout(LONG).user_data(0)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(0, -libc::EINVAL)].into(), "it follows nothing");
    push(&mut ring, nop(0).flags(LINK)).unwrap();
    push(&mut ring, link_timeout(LONG).user_data(1).flags(LINK)).unwrap();
    push(&mut ring, link_timeout(LONG).user_data(2)).unwrap();
    let all = results(answers(&mut ring, 3));
    assert_eq!(all, [(0, CANCELED), (1, CANCELED), (2, -libc::EINVAL)].into(), "two of them");
    push(&mut ring, bad(0).flags(LINK)).unwrap();
    push(&mut ring, link_timeout(LONG).user_data(1)).unwrap();
    let all = results(answers(&mut ring, 2));
    assert_eq!(all, [(0, -libc::EINVAL), (1, CANCELED)].into(), "of what never began");
}

/// A worker of the kernel that is stuck in a call is not reached by a linked timeout on every kernel; it is then late
/// and not lost. Red when one of the two has no answer, or more.
#[test]
fn a_linked_timeout_may_come_late_to_what_a_worker_does() {
    let mut ring = ring!("a_linked_timeout_may_come_late_to_what_a_worker_does", 8);
    let ((from, mut tx), (_rx, to)) = (pipe().unwrap(), pipe().unwrap());
    let splice = Sqe::splice((from.as_raw_fd(), u64::MAX), (to.as_raw_fd(), u64::MAX), 1, 0);
    push(&mut ring, splice.user_data(0).flags(LINK)).unwrap();
    push(&mut ring, link_timeout(Duration::from_millis(10)).user_data(1)).unwrap();
    ring.submit().unwrap();
    thread::sleep(Duration::from_millis(100));
    tx.write_all(b"x").unwrap();
    let all = results(answers(&mut ring, 2));
    match (all[&0], all[&1]) {
        // It was not reached, and it was.
        (1, CANCELED) => {}
        (stopped, PASSED | EALREADY | NOT_FOUND) => {
            assert!([1, CANCELED, -libc::EINTR, -512].contains(&stopped), "{all:?}")
        }
        _ => panic!("{all:?}"),
    }
    // A read that a worker was asked for waits by polling, and is reached.
    let _late = pipe_read(&mut ring, 1, LINK | SqeFlags::ASYNC, 0);
    push(&mut ring, link_timeout(Duration::from_millis(10)).user_data(1)).unwrap();
    let all = results(answers(&mut ring, 2));
    assert!(matches!((all[&0], all[&1]), (CANCELED | EINTR, PASSED | EALREADY)), "{all:?}");
}

const NOT_FOUND: i32 = -libc::ENOENT;
const EALREADY: i32 = -libc::EALREADY;
const EINTR: i32 = -libc::EINTR;

fn numbers(all: Vec<Cqe>) -> Vec<u64> {
    all.into_iter().map(|cqe| cqe.user_data).collect()
}

/// On a ring that defers its work, too: a link starts inside of an enter.
#[test]
fn chains_go_on_in_deferred_work() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    let mut ring = ring!("chains_go_on_in_deferred_work", 8, flags);
    let (_rx, mut tx) = pipe_read(&mut ring, 1, LINK, 0);
    push(&mut ring, nop(1).flags(LINK)).unwrap();
    push(&mut ring, nop(2)).unwrap();
    ring.submit().unwrap();
    tx.write_all(b"x").unwrap();
    assert_eq!(ring.ready(), 0);
    assert_eq!(numbers(answers(&mut ring, 3)), [0, 1, 2]);
}
