//! Entries in, completions out.

use crate::common::*;
use annulus::ring::{Enter, EnterFlags, Features, Full, Ring, SetupFlags, Sqe};
use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

#[test]
fn nops_come_back_at_every_size() {
    for flags in [SetupFlags::empty(), SetupFlags::NO_SQARRAY] {
        for entries in [1, 2, 4, 64, 1024, 32768] {
            let mut ring = ring!("nops_come_back_at_every_size", entries, flags);
            assert_eq!((ring.sq_entries(), ring.cq_entries()), (entries, 2 * entries));
            let n = u64::from(entries);
            for round in 0..2 {
                nops(&mut ring, round * n..(round + 1) * n);
                assert_eq!(push(&mut ring, Sqe::nop()), Err(Full));
                assert_eq!((ring.queued(), ring.space_left()), (entries, 0));
                assert_eq!(ring.submit_and_wait(entries).unwrap(), entries);
                assert_eq!((ring.queued(), ring.space_left()), (0, entries));
            }
            assert_eq!(read(&mut ring), (0..2 * n).collect::<Vec<_>>());
            assert_eq!((ring.lost(), ring.dropped(), ring.poisoned()), (0, 0, false));
        }
    }
}

#[test]
fn sizes_are_rounded_and_the_completion_queue_has_its_own() {
    let Some(ring) = ring_or_skip("sizes_are_rounded", 3, SetupFlags::empty()) else { return };
    assert_eq!((ring.sq_entries(), ring.cq_entries()), (4, 8));
    let ring = Ring::builder().cq_entries(9).build(8).unwrap();
    assert_eq!((ring.sq_entries(), ring.cq_entries()), (8, 16));
    let ring = Ring::builder().cq_entries(8).build(8).unwrap();
    assert_eq!(ring.cq_entries(), 8);
    let ring = Ring::builder().clamp().build(1 << 20).unwrap();
    assert_eq!(ring.sq_entries(), 32768);
}

#[test]
fn user_data_is_returned_as_it_is() {
    let mut ring = ring!("user_data_is_returned_as_it_is", 4);
    for data in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
        push(&mut ring, Sqe::nop().user_data(data)).unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(read(&mut ring), [data]);
    }
}

#[test]
fn half_read_completions_stay() {
    let mut ring = ring!("half_read_completions_stay", 8);
    nops(&mut ring, 0..8);
    ring.submit_and_wait(8).unwrap();
    assert_eq!(ring.completions().next().map(|cqe| cqe.user_data), Some(0));
    assert_eq!(ring.ready(), 7);
    assert_eq!(read(&mut ring), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_bad_entry_stops_its_batch_unless_all_are_asked_for() {
    let bad = Sqe { opcode: 200, ..Sqe::default() };
    for (flags, taken) in [(SetupFlags::empty(), 2), (SetupFlags::SUBMIT_ALL, 4)] {
        let mut ring = ring!("a_bad_entry_stops_its_batch", 4, flags);
        nops(&mut ring, 0..1);
        push(&mut ring, bad.user_data(1)).unwrap();
        nops(&mut ring, 2..4);
        assert_eq!(ring.submit().unwrap(), taken);
        assert_eq!(ring.queued(), 4 - taken);
        assert_eq!(ring.submit().unwrap(), 4 - taken);
        // Old kernels answer the refused one first.
        let results: BTreeMap<_, _> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
        assert!(results.into_iter().eq([(0, 0), (1, -libc::EINVAL), (2, 0), (3, 0)]));
    }
}

#[test]
fn flags_that_are_not_the_callers_are_refused() {
    let mut ring = ring!("flags_that_are_not_the_callers_are_refused", 4);
    for flags in [EnterFlags::EXT_ARG, EnterFlags::EXT_ARG_REG, EnterFlags::REGISTERED_RING] {
        let error = ring.enter(&Enter { flags, ..Enter::default() }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    // What it would make of the argument nobody knows.
    let flags = EnterFlags::from_bits_retain(1 << 30);
    assert_eq!(ring.enter(&Enter { flags, ..Enter::default() }).unwrap_err().kind(), io::ErrorKind::Unsupported);
    assert_eq!(ring.enter(&Enter::default()).unwrap(), Default::default());
}

#[test]
fn an_enter_submits_no_more_than_it_is_told() {
    let mut ring = ring!("an_enter_submits_no_more_than_it_is_told", 4);
    nops(&mut ring, 0..3);
    let entered = ring.enter(&Enter { submit: 2, wait: 2, ..Enter::default() }).unwrap();
    assert_eq!((entered.submitted, ring.queued(), ring.ready()), (2, 1, 2));
}

#[test]
fn a_drop_waits_for_nobody() {
    let mut ring = ring!("a_drop_waits_for_nobody", 4);
    let (_reader, _writer) = pending_read(&mut ring, 0);
    ring.submit().unwrap();
    let start = Instant::now();
    drop(ring);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_is_read() {
    let mut ring = ring!("a_file_is_read", 4);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (file, text) = (fs::File::open(path).unwrap(), fs::read(path).unwrap());
    let mut buf = vec![0; text.len() + 1];
    push(&mut ring, Sqe::read(file.as_raw_fd(), buf.as_mut_ptr(), buf.len() as u32, 0)).unwrap();
    ring.submit_and_wait(1).unwrap();
    let n = ring.completions().next().unwrap().result().unwrap();
    assert_eq!(buf[..n as usize], text);
    assert!(ring.features().contains(Features::SINGLE_MMAP));
}
