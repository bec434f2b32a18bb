//! Messages between rings, as entries.

use crate::common::{LONG, answer, answers, push, ring};
use annulus::{
    ring::{Cqe, CqeFlags, Ring, SetupFlags, Sqe},
    sys,
};
use std::{
    os::fd::AsRawFd,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Red when a ring of some kind is told nothing, or something else. Since Linux 5.18.
#[test]
fn a_message_reaches_rings_of_every_kind() {
    let mut ring = ring!("a_message_reaches_rings_of_every_kind", 8);
    if !ring.probe().unwrap().supports(sys::IORING_OP_MSG_RING as u8) {
        return;
    }
    let kinds = [
        SetupFlags::empty(),
        SetupFlags::SQPOLL,
        SetupFlags::IOPOLL,
        SetupFlags::COOP_TASKRUN,
        SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN,
        SetupFlags::CQE32,
    ];
    for flags in kinds {
        let Ok(mut other) = Ring::builder().flags(flags).build(2) else { continue };
        for n in [0, 1, u64::MAX] {
            let sent = answer(&mut ring, Sqe::msg_ring(other.as_raw_fd(), i32::MIN, n));
            assert_eq!(sent.res, 0, "{flags:?}");
            let begun = Instant::now();
            let came = loop {
                other.submit().unwrap();
                if let Some(came) = other.completions().next() {
                    break came;
                }
                assert!(begun.elapsed() < LONG, "{flags:?}: nothing came");
                thread::sleep(Duration::from_millis(1));
            };
            assert_eq!(came, Cqe { user_data: n, res: i32::MIN, flags: CqeFlags::empty() }, "{flags:?}");
        }
    }
}

/// Red when a message to the ring itself is lost, or its own answer is.
#[test]
fn a_ring_may_tell_itself() {
    let mut ring = ring!("a_ring_may_tell_itself", 8);
    if !ring.probe().unwrap().supports(sys::IORING_OP_MSG_RING as u8) {
        return;
    }
    let itself = ring.as_raw_fd();
    push(&mut ring, Sqe::msg_ring(itself, 7, 1).user_data(2)).unwrap();
    let mut both: Vec<_> = answers(&mut ring, 2).iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
    both.sort_unstable();
    assert_eq!(both, [(1, 7), (2, 0)]);
}

/// Red when one that is not enabled is told something, or is not told it later.
#[test]
fn a_ring_that_is_not_enabled_is_told_nothing() {
    const NAME: &str = "a_ring_that_is_not_enabled_is_told_nothing";
    let (mut ring, mut other) = (ring!(NAME, 8), ring!(NAME, 8, SetupFlags::R_DISABLED));
    if !ring.probe().unwrap().supports(sys::IORING_OP_MSG_RING as u8) {
        return;
    }
    let tell = Sqe::msg_ring(other.as_raw_fd(), 0, 5);
    let refused = answer(&mut ring, tell).res;
    assert_eq!((refused, other.ready()), (-libc::EBADFD, 0), "before Linux 6.1.9 it was told");
    other.enable().unwrap();
    assert_eq!((answer(&mut ring, tell).res, answers(&mut other, 1)[0].user_data), (0, 5));
}

/// Two rings on two threads, which tell each other numbers. Red when one is lost, or comes twice or out of turn.
#[test]
fn threads_talk_by_their_rings() {
    const MANY: u64 = 2000;
    let mut ring = ring!("threads_talk_by_their_rings", 8);
    if !ring.probe().unwrap().supports(sys::IORING_OP_MSG_RING as u8) {
        return;
    }
    let (tell, told) = mpsc::channel();
    let ours = ring.as_raw_fd();
    let other = thread::spawn(move || {
        let mut ring = Ring::new(8).unwrap();
        tell.send(ring.as_raw_fd()).unwrap();
        let mut next = 0;
        while next < MANY {
            for cqe in answers(&mut ring, 1) {
                if cqe.user_data == u64::MAX {
                    assert_eq!(cqe.res, 0);
                    continue;
                }
                assert_eq!(cqe.user_data, next);
                next += 1;
                push(&mut ring, Sqe::msg_ring(ours, 1, cqe.user_data).user_data(u64::MAX)).unwrap();
            }
        }
        // The last has to be sent before the ring goes.
        ring.submit().unwrap();
    });
    let there = told.recv().unwrap();
    for n in 0..MANY {
        push(&mut ring, Sqe::msg_ring(there, 0, n).user_data(u64::MAX)).unwrap();
        let both = answers(&mut ring, 2);
        assert!(both.iter().any(|cqe| (cqe.user_data, cqe.res) == (n, 1)), "{n}: {both:?}");
    }
    other.join().unwrap();
}
