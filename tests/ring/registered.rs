//! What a ring or a thread has registered.

use crate::common::*;
use annulus::ring::Ring;
use annulus::sys;
use std::{fs, io, os::fd::AsRawFd, thread};

#[test]
fn the_registered_index_is_used() {
    let Some(mut ring) = indexed_or_skip("the_registered_index_is_used", 4) else { return };
    assert_eq!(ring.register_ring_fd().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    nops(&mut ring, 0..1);
    // With another file under the ring's number only the index still leads to it.
    let null = fs::File::open("/dev/null").unwrap();
    // SAFETY: the number stays the ring's to close; nobody else uses it.
    assert!(unsafe { libc::dup2(null.as_raw_fd(), ring.as_raw_fd()) } >= 0);
    assert_eq!(ring.submit_and_wait(1).unwrap(), 1);
    assert_eq!(read(&mut ring), [0]);
}

#[test]
fn an_index_is_given_back() {
    let Some(mut ring) = indexed_or_skip("an_index_is_given_back", 4) else { return };
    ring.unregister_ring_fd().unwrap();
    assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
    // A thread has 16 of them.
    for _ in 0..40 {
        ring.register_ring_fd().unwrap();
        ring.unregister_ring_fd().unwrap();
        let mut other = Ring::new(1).unwrap();
        other.register_ring_fd().unwrap();
    }
}

#[test]
fn an_index_is_used_on_its_own_thread_only() {
    let Some(mut ring) = indexed_or_skip("an_index_is_used_on_its_own_thread_only", 4) else { return };
    thread::spawn(move || {
        let mut other = Ring::new(4).unwrap();
        other.register_ring_fd().unwrap();
        nops(&mut ring, 1..2);
        nops(&mut other, 2..3);
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!((read(&mut ring), read(&mut other)), (vec![1], vec![]));
        assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
        ring.register_ring_fd().unwrap();
        nops(&mut ring, 3..4);
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!(read(&mut ring), [3]);
    })
    .join()
    .unwrap();
}

#[test]
fn the_probe_knows_the_opcodes() {
    let ring = ring!("the_probe_knows_the_opcodes", 1);
    let probe = ring.probe().unwrap();
    assert!(probe.supports(sys::IORING_OP_NOP as u8) && probe.supports(sys::IORING_OP_READ as u8));
    assert!(!probe.supports(u8::MAX));
    assert!(format!("{probe:?}").starts_with("{NOP, READV, "));
}

#[test]
fn the_number_of_workers_is_set_and_told() {
    let ring = ring!("the_number_of_workers", 4);
    let before = match ring.set_max_workers(0, 0) {
        Ok(before) => before,
        Err(e) => return skip("the_number_of_workers", format!("no REGISTER_IOWQ_MAX_WORKERS: {e}")),
    };
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    assert_eq!(ring.set_max_workers(before.0 + 3, 0).unwrap(), before);
    assert_eq!(ring.set_max_workers(0, 0).unwrap(), (before.0 + 3, before.1));
}
