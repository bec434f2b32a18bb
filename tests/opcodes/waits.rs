//! What waits: for readiness, for time and for threads; what ends it; and messages to other rings.

use crate::frame::{LONG, Rig, Row, answer};
use annulus::{
    entry::Interest,
    ring::{Cancel, Cqe, CqeFlags, FixedFile, FutexFlags, FutexWait, Ring, Sqe, TimeoutFlags},
    sys::{self, __kernel_timespec},
};
use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::fd::{AsRawFd, RawFd},
    ptr,
    sync::atomic::AtomicU32,
    time::{Duration, Instant},
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "POLL_ADD", twin: true, run: poll_add },
    Row { op: "POLL_REMOVE", twin: false, run: poll_remove },
    Row { op: "TIMEOUT", twin: true, run: timeout },
    Row { op: "TIMEOUT_REMOVE", twin: false, run: timeout_remove },
    Row { op: "LINK_TIMEOUT", twin: false, run: link_timeout },
    Row { op: "ASYNC_CANCEL", twin: false, run: async_cancel },
    Row { op: "MSG_RING", twin: false, run: msg_ring },
    Row { op: "FUTEX_WAIT", twin: false, run: futex_wait },
    Row { op: "FUTEX_WAKE", twin: false, run: futex_wake },
    Row { op: "FUTEX_WAITV", twin: false, run: futex_waitv },
];

const EINVAL: i32 = -libc::EINVAL;
const CANCELED: i32 = -libc::ECANCELED;
const PASSED: i32 = -libc::ETIME;
const SHORT: Duration = Duration::from_millis(5);

const IN: u32 = libc::POLLIN as u32;
const OUT: u32 = libc::POLLOUT as u32;

const fn spec(time: Duration) -> __kernel_timespec {
    __kernel_timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos() as i64 }
}

/// For ever, in these tests.
static NEVER: __kernel_timespec = spec(LONG);
static SOON: __kernel_timespec = spec(SHORT);

/// The results of `n` completions, by what their entries carried.
fn results(rig: &mut Rig, n: usize) -> Vec<(u64, i32)> {
    let mut all: Vec<_> = rig.answers(n).iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
    all.sort_unstable();
    all
}

/// What `poll(2)` says at once.
fn polled(fd: RawFd, events: u32) -> i32 {
    let mut ask = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: Kernel's word: one entry.
    assert_eq!(unsafe { libc::poll(&mut ask, 1, 0) }, 1);
    ask.revents.into()
}

fn poll_add(rig: &mut Rig) -> Result<(), i32> {
    let (mut reader, mut writer) = pipe().unwrap();
    let (theirs, ours) = (polled(writer.as_raw_fd(), OUT), Sqe::poll_add(writer.as_raw_fd(), Interest::Write));
    assert_eq!((rig.run(ours), theirs), (libc::POLLOUT.into(), theirs));
    writer.write_all(b"x").unwrap();
    assert_eq!(rig.run(Sqe::poll_mask(reader.as_raw_fd(), IN | OUT)), polled(reader.as_raw_fd(), IN | OUT));
    assert_eq!(rig.run(Sqe::poll_add(-1, Interest::Read)), -libc::EBADF);
    reader.read_exact(&mut [0]).unwrap();

    rig.push(Sqe::poll_multi(reader.as_raw_fd(), IN).user_data(1));
    for _ in 0..3 {
        rig.ring.submit().unwrap();
        writer.write_all(b"x").unwrap();
        let cqe = rig.answers(1)[0];
        if cqe.res == EINVAL {
            // Before Linux 5.13.
            return Ok(());
        }
        assert_eq!((cqe.user_data, cqe.res & i32::from(libc::POLLIN), cqe.is_final()), (1, 1, false));
        reader.read_exact(&mut [0]).unwrap();
    }
    drop(writer);
    let cqe = rig.answers(1)[0];
    assert_eq!((cqe.user_data, cqe.res), (1, polled(reader.as_raw_fd(), IN)), "the other end has gone");
    if !cqe.is_final() {
        rig.push(Sqe::poll_remove(1).user_data(2));
        assert_eq!(results(rig, 2), [(1, CANCELED), (2, 0)]);
    }
    Ok(())
}

fn poll_remove(rig: &mut Rig) -> Result<(), i32> {
    let (reader, writer) = pipe().unwrap();
    assert_eq!(rig.run(Sqe::poll_remove(77)), -libc::ENOENT);
    rig.push(Sqe::poll_add(reader.as_raw_fd(), Interest::Read).user_data(1));
    rig.push(Sqe::poll_remove(1).user_data(2));
    assert_eq!(results(rig, 2), [(1, CANCELED), (2, 0)]);

    // Since Linux 5.13. For a mask that holds already it completes at once.
    rig.push(Sqe::poll_mask(writer.as_raw_fd(), 0).user_data(1));
    rig.push(Sqe::poll_update_events(1, OUT).user_data(2));
    assert_eq!(results(rig, 2), [(1, OUT as i32), (2, 0)]);
    rig.push(Sqe::poll_mask(writer.as_raw_fd(), 0).user_data(1));
    rig.push(Sqe::poll_update_user_data(1, 3).user_data(2));
    assert_eq!(results(rig, 1), [(2, 0)]);
    assert_eq!(rig.run(Sqe::poll_update_events(1, OUT)), -libc::ENOENT, "it has another name");
    rig.push(Sqe::poll_update(3, OUT, 4).user_data(2));
    assert_eq!(results(rig, 2), [(2, 0), (4, OUT as i32)]);
    Ok(())
}

fn timeout(rig: &mut Rig) -> Result<(), i32> {
    let begun = Instant::now();
    assert_eq!(rig.run(Sqe::timeout(&SOON)), PASSED);
    assert!(begun.elapsed() >= SHORT);
    let negative = __kernel_timespec { tv_sec: 0, tv_nsec: -1 };
    // Before Linux 5.16 it has passed.
    let refused = rig.run(Sqe::timeout(&negative));
    assert!(refused == EINVAL || refused == PASSED && !rig.has("MSG_RING"), "{refused}");
    assert_eq!(rig.run(Sqe::timeout(ptr::null())), -libc::EFAULT);
    // A point in time that has passed.
    assert_eq!(rig.run(Sqe::timeout(&SOON).timeout_flags(TimeoutFlags::ABS)), PASSED);
    rig.push(Sqe::timeout_or_count(&NEVER, 1).user_data(1));
    rig.push(Sqe::nop().user_data(2));
    assert_eq!(results(rig, 2), [(1, 0), (2, 0)]);

    // Since Linux 6.4.
    let begun = Instant::now();
    rig.push(Sqe::timeout_multi(&SOON, 3).user_data(1));
    let first = rig.answers(1)[0];
    if first.res != EINVAL {
        let rest = rig.answers(2);
        assert_eq!([first.is_final(), rest[0].is_final(), rest[1].is_final()], [false, false, true]);
        assert!(rest.iter().all(|cqe| cqe.res == PASSED) && begun.elapsed() >= 3 * SHORT);
    }
    // Since Linux 7.1.
    let begun = Instant::now();
    match rig.run(Sqe::timeout_nanos(SHORT.as_nanos() as u64)) {
        PASSED => assert!(begun.elapsed() >= SHORT),
        refused => assert_eq!(refused, EINVAL),
    }
    Ok(())
}

fn timeout_remove(rig: &mut Rig) -> Result<(), i32> {
    assert_eq!(rig.run(Sqe::timeout_remove(77)), -libc::ENOENT);
    assert_eq!(rig.run(Sqe::timeout_update(77, &SOON)), -libc::ENOENT);
    rig.push(Sqe::timeout(&NEVER).user_data(1));
    rig.push(Sqe::timeout_remove(1).user_data(2));
    assert_eq!(results(rig, 2), [(1, CANCELED), (2, 0)]);
    rig.push(Sqe::timeout(&NEVER).user_data(1));
    rig.push(Sqe::timeout_update(1, &SOON).user_data(2));
    assert_eq!(results(rig, 2), [(1, PASSED), (2, 0)]);
    let (_pair, read) = waiting();
    rig.push(read.link().user_data(1));
    rig.push(Sqe::link_timeout(&NEVER).user_data(2));
    rig.push(Sqe::link_timeout_update(2, &SOON).user_data(3));
    // Since Linux 5.15.
    assert_eq!(results(rig, 3), [(1, CANCELED), (2, PASSED), (3, 0)]);
    Ok(())
}

/// A wait for what never comes.
fn waiting() -> ((PipeReader, PipeWriter), Sqe) {
    let pair = pipe().unwrap();
    let sqe = Sqe::poll_add(pair.0.as_raw_fd(), Interest::Read);
    (pair, sqe)
}

fn link_timeout(rig: &mut Rig) -> Result<(), i32> {
    let (_pair, wait) = waiting();
    rig.push(wait.link().user_data(1));
    rig.push(Sqe::link_timeout(&SOON).user_data(2));
    assert_eq!(results(rig, 2), [(1, CANCELED), (2, PASSED)]);
    rig.push(Sqe::nop().link().user_data(1));
    rig.push(Sqe::link_timeout(&NEVER).user_data(2));
    assert_eq!(results(rig, 2), [(1, 0), (2, CANCELED)]);
    assert_eq!(rig.run(Sqe::link_timeout(&SOON)), EINVAL, "of nothing");
    Ok(())
}

fn async_cancel(rig: &mut Rig) -> Result<(), i32> {
    let ((reader, _writer), wait) = waiting();
    assert_eq!(rig.run(Sqe::cancel(Cancel::user_data(77))), -libc::ENOENT);
    rig.push(wait.user_data(1));
    rig.push(Sqe::cancel(Cancel::user_data(1)).user_data(2));
    assert_eq!(results(rig, 2), [(1, CANCELED), (2, 0)]);

    // Since Linux 5.19, and by opcode 6.6.
    let keys = [
        Cancel::any().all(),
        Cancel::fd(reader.as_raw_fd()).all(),
        Cancel::opcode(sys::IORING_OP_POLL_ADD as u8).all(),
        Cancel::fd(reader.as_raw_fd()).and_opcode(sys::IORING_OP_POLL_ADD as u8).all(),
    ];
    for key in keys {
        rig.push(wait.user_data(1));
        rig.push(wait.user_data(2));
        rig.push(Sqe::cancel(key).user_data(3));
        let cancelled = rig.answers(1)[0];
        if (cancelled.user_data, cancelled.res) == (3, EINVAL) {
            for target in [1, 2] {
                rig.push(Sqe::poll_remove(target).user_data(3));
            }
            assert_eq!(results(rig, 4), [(1, CANCELED), (2, CANCELED), (3, 0), (3, 0)]);
            continue;
        }
        let mut all: Vec<_> =
            rig.answers(2).into_iter().chain([cancelled]).map(|cqe| (cqe.user_data, cqe.res)).collect();
        all.sort_unstable();
        assert_eq!(all, [(1, CANCELED), (2, CANCELED), (3, 2)], "{key:?}");
    }
    let refused = rig.run(Sqe::cancel(Cancel::any().and_fd(reader.as_raw_fd())));
    assert_eq!(refused, EINVAL);
    Ok(())
}

/// What has come to another ring.
fn came(ring: &mut Ring, n: u32) -> Vec<Cqe> {
    ring.wait_timeout(n, LONG).unwrap();
    ring.completions().collect()
}

fn msg_ring(rig: &mut Rig) -> Result<(), i32> {
    let mut other = Ring::new(4).unwrap();
    let there = other.as_raw_fd();
    assert_eq!(rig.run(Sqe::msg_ring(there, -5, u64::MAX)), 0);
    assert_eq!(came(&mut other, 1), [Cqe { user_data: u64::MAX, res: -5, flags: CqeFlags::empty() }]);
    let (reader, _writer) = pipe().unwrap();
    assert_eq!(rig.run(Sqe::msg_ring(reader.as_raw_fd(), 0, 0)), -libc::EBADFD);
    // Since Linux 6.3.
    let cqe = Cqe { user_data: 1, res: 2, flags: CqeFlags::from_bits_retain(0xabcd_0005) };
    match rig.run(Sqe::msg_ring_cqe(there, cqe)) {
        0 => assert_eq!(came(&mut other, 1), [cqe]),
        refused => assert_eq!(refused, EINVAL),
    }
    // Since Linux 6.0: a file goes from one table to another.
    let mut none = [-1i32; 4];
    // SAFETY: Kernel's word: as many numbers as are said, which the kernel reads before the call returns.
    unsafe { other.register(sys::IORING_REGISTER_FILES, none.as_mut_ptr().cast(), 4) }.unwrap();
    let (from, to) = (FixedFile(1), FixedFile(3));
    assert_eq!(rig.run(Sqe::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).direct(from)), 0);
    match rig.run(Sqe::msg_ring_fd(there, from, 7).direct(to)) {
        EINVAL => {}
        sent => {
            assert_eq!((sent, came(&mut other, 1)[0].user_data), (0, 7));
            assert_eq!(rig.run(Sqe::msg_ring_fd_quietly(there, from).direct_any()), 0, "the first that is free");
            assert_eq!(other.ready(), 0);
            assert_eq!(rig.run(Sqe::msg_ring_fd(there, FixedFile(9), 7).direct(to)), -libc::EBADF);
            for place in [to, FixedFile(0)] {
                // SAFETY: Lent: no memory is named, and the ring outlives its request.
                unsafe { other.push(&Sqe::shutdown(place, libc::SHUT_WR)) }.unwrap();
                other.submit().unwrap();
                assert_eq!(came(&mut other, 1)[0].res, -libc::ENOTCONN, "it is a socket");
            }
        }
    }
    assert_eq!(rig.run(Sqe::close_direct(from)), 0);
    Ok(())
}

/// `futex(2)` of old, with private words: wakes as many as `count`.
fn wake(word: &AtomicU32, count: u32) -> i32 {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: Kernel's word: the word is there.
    answer(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, count) })
}

const MINE: FutexFlags = FutexFlags::PRIVATE;

fn futex_wait(rig: &mut Rig) -> Result<(), i32> {
    let word = AtomicU32::new(5);
    assert_eq!(rig.run(Sqe::futex_wait(&word, 4, 1, MINE)), -libc::EAGAIN);
    assert_eq!(rig.run(Sqe::futex_wait(&word, 5, 0, MINE)), EINVAL);
    rig.push(Sqe::futex_wait(&word, 5, u32::MAX, MINE).user_data(1));
    rig.ring.submit().unwrap();
    assert_eq!(wake(&word, 9), 1);
    assert_eq!(results(rig, 1), [(1, 0)]);
    rig.push(Sqe::futex_wait(&word, 5, 1, MINE).user_data(1));
    rig.push(Sqe::cancel(Cancel::user_data(1)).user_data(2));
    let ends = results(rig, 2);
    // One is counted, where others would be 0.
    assert!(ends[0] == (1, CANCELED) && [0, 1].contains(&ends[1].1), "{ends:?}");
    Ok(())
}

fn futex_wake(rig: &mut Rig) -> Result<(), i32> {
    let word = AtomicU32::new(5);
    assert_eq!((rig.run(Sqe::futex_wake(&word, 9, 1, MINE)), wake(&word, 9)), (0, 0), "nobody waits");
    assert_eq!(rig.run(Sqe::futex_wake(&word, 9, 0, MINE)), EINVAL);
    for (n, mask) in [(1, 1), (2, 2), (3, 2)] {
        rig.push(Sqe::futex_wait(&word, 5, mask, MINE).user_data(n));
    }
    rig.push(Sqe::futex_wake(&word, 9, 2, MINE).user_data(4));
    assert_eq!(results(rig, 3), [(2, 0), (3, 0), (4, 2)]);
    rig.push(Sqe::futex_wake(&word, 1, 1, MINE).user_data(4));
    assert_eq!(results(rig, 2), [(1, 0), (4, 1)]);
    Ok(())
}

fn futex_waitv(rig: &mut Rig) -> Result<(), i32> {
    let words = [AtomicU32::new(0), AtomicU32::new(1)];
    let both = |values: [u32; 2]| [0, 1].map(|at: usize| FutexWait::new(&words[at], values[at], MINE));
    assert_eq!(rig.run(Sqe::futex_waitv(both([0, 9]).as_ptr(), 2)), -libc::EAGAIN);
    assert_eq!(rig.run(Sqe::futex_waitv(ptr::null(), 0)), EINVAL);
    let waits = both([0, 1]);
    rig.push(Sqe::futex_waitv(waits.as_ptr(), 2).user_data(1));
    rig.ring.submit().unwrap();
    assert_eq!(wake(&words[1], 9), 1);
    assert_eq!(results(rig, 1), [(1, 1)]);
    assert_eq!(wake(&words[0], 9), 0, "nobody waits any more");
    Ok(())
}
