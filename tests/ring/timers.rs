//! Timeouts as entries: by time, by count, on each clock, changed, removed, and again and again.

use crate::common::{LONG, NOBODY, answers, pending_read, push, results, ring};
use annulus::{
    ring::{CqeFlags, Ring, Sqe, SqeFlags},
    sys::{self, __kernel_timespec},
};
use std::{
    io::Write,
    time::{Duration, Instant},
};

const CANCELED: i32 = -libc::ECANCELED;
const PASSED: i32 = -libc::ETIME;

/// A time that is never freed.
fn time(time: Duration) -> &'static __kernel_timespec {
    Box::leak(Box::new(__kernel_timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }))
}

fn timeout(after: Duration, flags: u32, number: u64) -> Sqe {
    Sqe { op_flags: flags, ..Sqe::timeout(time(after)) }.user_data(number)
}

fn remove(whom: u64, number: u64) -> Sqe {
    Sqe { opcode: sys::IORING_OP_TIMEOUT_REMOVE as u8, addr: whom, ..Sqe::nop() }.user_data(number)
}

fn update(whom: u64, to: Duration, flags: u32, number: u64) -> Sqe {
    let off = std::ptr::from_ref(time(to)) as u64;
    Sqe { off, op_flags: sys::IORING_TIMEOUT_UPDATE | flags, ..remove(whom, number) }
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: Kernel's word: one time, which is written.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Red when a count ends with the time, or the other way round.
#[test]
fn a_timeout_counts_completions() {
    let mut ring = ring!("a_timeout_counts_completions", 8);
    push(&mut ring, Sqe { off: 2, ..timeout(LONG, 0, 0) }).unwrap();
    push(&mut ring, Sqe::nop().user_data(1)).unwrap();
    ring.submit().unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 0)].into());
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out, "one is no two");
    push(&mut ring, Sqe::nop().user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(2, 0), (0, 0)].into());
    push(&mut ring, Sqe { off: 2, ..timeout(NOBODY, 0, 0) }).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(0, PASSED)].into());
}

/// Red when a point in time is taken for a length, or one clock for another.
#[test]
fn a_point_in_time_is_of_its_clock() {
    let mut ring = ring!("a_point_in_time_is_of_its_clock", 8);
    let clocks = [
        (0, libc::CLOCK_MONOTONIC),
        (sys::IORING_TIMEOUT_BOOTTIME, libc::CLOCK_BOOTTIME),
        (sys::IORING_TIMEOUT_REALTIME, libc::CLOCK_REALTIME),
    ];
    for (flag, clock) in clocks {
        for (ahead, least) in [(Duration::ZERO, Duration::ZERO), (NOBODY, NOBODY)] {
            let begun = Instant::now();
            push(&mut ring, timeout(now(clock) + ahead, sys::IORING_TIMEOUT_ABS | flag, 0)).unwrap();
            match results(answers(&mut ring, 1))[&0] {
                PASSED => assert!(begun.elapsed() >= least && begun.elapsed() < LONG, "{:?}", begun.elapsed()),
                other => assert_eq!((other, flag != 0), (-libc::EINVAL, true), "before Linux 5.15"),
            }
        }
    }
    push(&mut ring, timeout(NOBODY, sys::IORING_TIMEOUT_BOOTTIME | sys::IORING_TIMEOUT_REALTIME, 0)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(0, -libc::EINVAL)].into(), "two clocks");
}

/// Red when what was removed fires, or what was put off does so early.
#[test]
fn a_timeout_is_changed_and_removed() {
    let mut ring = ring!("a_timeout_is_changed_and_removed", 8);
    push(&mut ring, timeout(LONG, 0, 1)).unwrap();
    push(&mut ring, remove(1, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, CANCELED), (2, 0)].into());
    push(&mut ring, remove(1, 2)).unwrap();
    push(&mut ring, update(1, LONG, 0, 3)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(2, -libc::ENOENT), (3, -libc::ENOENT)].into(), "it is gone");
    push(&mut ring, timeout(LONG, 0, 1)).unwrap();
    push(&mut ring, update(1, NOBODY, 0, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(2, 0), (1, PASSED)].into(), "sooner");
    let begun = Instant::now();
    push(&mut ring, timeout(NOBODY, 0, 1)).unwrap();
    push(&mut ring, update(1, 5 * NOBODY, 0, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(2, 0), (1, PASSED)].into());
    assert!(begun.elapsed() >= 5 * NOBODY, "later: {:?}", begun.elapsed());
    // At a point in time, which is long past.
    push(&mut ring, timeout(LONG, 0, 1)).unwrap();
    push(&mut ring, update(1, Duration::from_nanos(1), sys::IORING_TIMEOUT_ABS, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(2, 0), (1, PASSED)].into());
}

/// Red when the timeout of a link cannot be put off. Since Linux 5.15.
#[test]
fn the_timeout_of_a_link_is_changed() {
    let mut ring = ring!("the_timeout_of_a_link_is_changed", 8);
    let pair = linked_read(&mut ring, NOBODY);
    push(&mut ring, update(1, LONG, sys::IORING_LINK_TIMEOUT_UPDATE, 2)).unwrap();
    ring.submit().unwrap();
    let changed = answers(&mut ring, 1)[0];
    if changed.res == -libc::EINVAL {
        return assert_eq!(results(answers(&mut ring, 2)), [(0, CANCELED), (1, PASSED)].into());
    }
    assert_eq!((changed.user_data, changed.res), (2, 0));
    assert!(ring.wait_timeout(1, 2 * NOBODY).unwrap().timed_out, "it was put off");
    let (_reader, mut writer) = pair;
    writer.write_all(b"x").unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(0, 1), (1, CANCELED)].into());
}

/// A read with a timeout: numbers 0 and 1.
fn linked_read(ring: &mut Ring, after: Duration) -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::os::fd::AsRawFd;
    let (rx, tx) = std::io::pipe().unwrap();
    let byte: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    let sqe = Sqe::read(rx.as_raw_fd(), byte.as_mut_ptr(), 1, u64::MAX).user_data(0).flags(SqeFlags::IO_LINK);
    push(ring, sqe).unwrap();
    let opcode = sys::IORING_OP_LINK_TIMEOUT as u8;
    push(ring, Sqe { opcode, ..timeout(after, 0, 1) }).unwrap();
    (rx, tx)
}

/// Red when the last of its answers is not told from the others, or there are more. Since Linux 6.4.
#[test]
fn a_timeout_fires_many_times() {
    let mut ring = ring!("a_timeout_fires_many_times", 8);
    let again = |off| Sqe { off, ..timeout(Duration::from_millis(2), sys::IORING_TIMEOUT_MULTISHOT, 0) };
    push(&mut ring, again(3)).unwrap();
    let first = answers(&mut ring, 1)[0];
    if first.res == -libc::EINVAL {
        return assert!(first.is_final(), "this kernel fires once");
    }
    let rest = answers(&mut ring, 2);
    let all: Vec<_> = [first].iter().chain(&rest).map(|cqe| (cqe.res, cqe.flags.contains(CqeFlags::MORE))).collect();
    assert_eq!(all, [(PASSED, true), (PASSED, true), (PASSED, false)]);
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out, "three are three");
    push(&mut ring, again(0)).unwrap();
    assert!(answers(&mut ring, 20).iter().all(|cqe| cqe.res == PASSED && !cqe.is_final()));
    until_removed(&mut ring);
    let forever = sys::IORING_TIMEOUT_MULTISHOT | sys::IORING_TIMEOUT_ABS;
    push(&mut ring, timeout(NOBODY, forever, 0)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(0, -libc::EINVAL)].into(), "a point in time comes once");
}

/// Removes number 0, which may be just firing and is then not found.
fn until_removed(ring: &mut Ring) {
    let begun = Instant::now();
    let (mut removed, mut over) = (false, false);
    while !(removed && over) {
        assert!(begun.elapsed() < LONG);
        if !removed {
            push(ring, remove(0, 1)).unwrap();
        }
        ring.wait_timeout(1, NOBODY).unwrap();
        for cqe in ring.completions() {
            match (cqe.user_data, cqe.res) {
                (1, 0) => removed = true,
                (1, res) => assert!([-libc::ENOENT, -libc::EALREADY, -libc::EBUSY].contains(&res), "{res}"),
                (_, CANCELED) => over = cqe.is_final(),
                (_, res) => assert!(res == PASSED && !over),
            }
        }
    }
}

/// Red when the time that was to pass breaks what follows it. Since Linux 5.16.
#[test]
fn time_that_passed_is_no_failure_where_it_is_said() {
    let mut ring = ring!("time_that_passed_is_no_failure", 8);
    for (flags, then) in [(0, CANCELED), (sys::IORING_TIMEOUT_ETIME_SUCCESS, 0)] {
        push(&mut ring, timeout(NOBODY, flags, 0).flags(SqeFlags::IO_LINK)).unwrap();
        push(&mut ring, Sqe::nop().user_data(1)).unwrap();
        let all = results(answers(&mut ring, 2));
        let old = flags != 0 && all[&0] == -libc::EINVAL;
        assert_eq!(all, [(0, if old { -libc::EINVAL } else { PASSED }), (1, if old { CANCELED } else { then })].into());
    }
}

/// Red when a timer is early, or is lost among many. Those that are due together come in any order.
#[test]
fn of_many_timers_none_is_early() {
    const MANY: u64 = 256;
    let mut ring = ring!("of_many_timers_none_is_early", MANY as u32);
    let base = now(libc::CLOCK_MONOTONIC) + NOBODY;
    // Neighbours in time are no neighbours in the queue.
    let due = |n: u64| base + Duration::from_millis(5 * (n * 101 % MANY / 16));
    for n in 0..MANY {
        push(&mut ring, timeout(due(n), sys::IORING_TIMEOUT_ABS, n)).unwrap();
    }
    let mut left: std::collections::BTreeSet<_> = (0..MANY).collect();
    while !left.is_empty() {
        let cqe = answers(&mut ring, 1)[0];
        assert!(left.remove(&cqe.user_data) && cqe.res == PASSED, "{cqe:?}");
        assert!(now(libc::CLOCK_MONOTONIC) >= due(cqe.user_data), "{} is early", cqe.user_data);
    }
    assert_eq!(ring.ready(), 0);
}

/// T6, and that a time is read once: red when the kernel looks at it again after the submit.
#[test]
fn a_time_is_read_when_it_is_submitted() {
    let mut ring = ring!("a_time_is_read_when_it_is_submitted", 8);
    let (_reader, _writer) = pending_read(&mut ring, 9);
    let mut times = [__kernel_timespec { tv_sec: 0, tv_nsec: 1_000_000 }; 2];
    let [first, second] = &mut times;
    push(&mut ring, Sqe::timeout(first).user_data(0)).unwrap();
    // One that is not started yet, too.
    push(
        &mut ring,
        Sqe { op_flags: sys::IORING_TIMEOUT_ETIME_SUCCESS, ..timeout(NOBODY, 0, 1) }.flags(SqeFlags::IO_LINK),
    )
    .unwrap();
    push(&mut ring, Sqe::timeout(second).user_data(2)).unwrap();
    ring.submit().unwrap();
    for time in [first, second] {
        *time = __kernel_timespec { tv_sec: -1, tv_nsec: -1 };
    }
    let all = results(answers(&mut ring, 3));
    if all[&1] == -libc::EINVAL {
        assert_eq!(all, [(0, PASSED), (1, -libc::EINVAL), (2, CANCELED)].into(), "before Linux 5.16");
    } else {
        assert_eq!(all, [(0, PASSED), (1, PASSED), (2, PASSED)].into());
    }
}
