//! What a ring is made with.

use crate::common::*;
use annulus::ring::{Ring, SetupFlags};
use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

#[test]
fn bad_sizes_and_flags_are_refused_with_a_sentence() {
    use SetupFlags as F;
    let refused = |builder: annulus::ring::Builder, entries, word: &str| {
        let error = builder.build(entries).unwrap_err();
        assert!(error.to_string().contains(word), "{error} does not speak of {word}");
        error.kind()
    };
    let with = |flags| Ring::builder().flags(flags);
    let invalid = [
        (Ring::builder(), 0, "32768"),
        (Ring::builder(), 1 << 20, "32768"),
        (Ring::builder().clamp(), 0, "32768"),
        (Ring::builder().cq_entries(0), 8, "65536"),
        (Ring::builder().cq_entries(65537), 8, "65536"),
        (Ring::builder().cq_entries(8), 9, "16 entries"),
        (with(F::CQSIZE), 8, "cq_entries"),
        (with(F::SQPOLL | F::SQ_AFF), 8, "sq_thread_cpu"),
        (with(F::ATTACH_WQ), 8, "attach_wq"),
        (Ring::builder().sq_thread_cpu(0), 8, "SQPOLL"),
        (with(F::HYBRID_IOPOLL), 8, "IOPOLL"),
        (with(F::DEFER_TASKRUN), 8, "SINGLE_ISSUER"),
        (with(F::TASKRUN_FLAG), 8, "COOP_TASKRUN"),
        (with(F::SQPOLL | F::COOP_TASKRUN), 8, "SQPOLL"),
        (with(F::SQE128 | F::SQE_MIXED), 8, "take one"),
        (with(F::CQE32 | F::CQE_MIXED), 8, "take one"),
        (with(F::SQE_MIXED), 1, "2 entries"),
        (with(F::CQE_MIXED).cq_entries(1), 1, "2 completions"),
        (with(F::SQ_REWIND), 8, "NO_SQARRAY"),
        (with(F::NO_MMAP), 8, "build_in"),
        (with(F::REGISTERED_FD_ONLY), 8, "build_in"),
        (with(F::SQ_REWIND | F::NO_SQARRAY | F::SQPOLL), 8, "SQPOLL"),
    ];
    for (builder, entries, word) in invalid {
        assert_eq!(refused(builder, entries, word), io::ErrorKind::InvalidInput);
    }
    assert_eq!(refused(with(F::from_bits_retain(1 << 30)), 8, "0x40000000"), io::ErrorKind::Unsupported);
}

#[test]
fn a_single_issuer_is_alone() {
    let mut ring = ring!("a_single_issuer_is_alone", 4, SetupFlags::SINGLE_ISSUER);
    nops(&mut ring, 0..1);
    let mut ring = thread::spawn(move || {
        assert_eq!(ring.submit().unwrap_err().raw_os_error(), Some(libc::EEXIST));
        ring
    })
    .join()
    .unwrap();
    // Published stays: the failed enter lost nothing.
    assert_eq!((ring.queued(), ring.submit().unwrap()), (1, 1));
    assert_eq!(read(&mut ring), [0]);
}

#[test]
fn a_disabled_ring_belongs_to_who_enables_it() {
    let flags = SetupFlags::R_DISABLED | SetupFlags::SINGLE_ISSUER;
    let mut ring = ring!("a_disabled_ring_belongs_to_who_enables_it", 4, flags);
    nops(&mut ring, 0..1);
    assert_eq!(ring.submit().unwrap_err().raw_os_error(), Some(libc::EBADFD));
    thread::spawn(move || {
        ring.enable().unwrap();
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!(read(&mut ring), [0]);
    })
    .join()
    .unwrap();
}

#[test]
fn the_kernels_thread_is_woken() {
    let Some(_) = ring_or_skip("the_kernels_thread_is_woken", 4, SetupFlags::SQPOLL) else { return };
    let mut ring = Ring::builder().flags(SetupFlags::SQPOLL).sq_thread_idle(1).build(4).unwrap();
    for round in 0..3 {
        let start = Instant::now();
        while !ring.needs_wakeup() && start.elapsed() < LONG {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(ring.needs_wakeup() && ring.needs_enter());
        nops(&mut ring, round..round + 1);
        // Once by a submit that does not wait, else by one that does.
        if round == 0 {
            ring.submit().unwrap();
            assert!(!ring.wait_timeout(1, LONG).unwrap().timed_out);
        } else {
            ring.submit_and_wait(1).unwrap();
        }
        assert_eq!(read(&mut ring), [round]);
    }
}

#[test]
fn a_worker_pool_is_shared() {
    let ring = ring!("a_worker_pool_is_shared", 4);
    let mut other = Ring::builder().attach_wq(&ring).build(4).unwrap();
    nops(&mut other, 0..1);
    assert_eq!(other.submit_and_wait(1).unwrap(), 1);
    let null = fs::File::open("/dev/null").unwrap();
    let error = Ring::builder().attach_wq(&null).build(4).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}
