//! What a ring or a thread has registered.

use crate::common::*;
use annulus::ring::{BufIndex, Ring, Sqe};
use annulus::sys;
use std::{
    fs,
    io::{self, Write},
    os::fd::AsRawFd,
    ptr, thread,
};

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

/// Red when an update is put elsewhere than it says, or an empty range does not clear its place.
#[test]
fn registered_memory_is_read_into_by_its_index() {
    const NAME: &str = "registered_memory_is_read_into_by_its_index";
    let mut ring = ring!("registered_memory_is_read_into_by_its_index", 4);
    match ring.register_buffer_table(8) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return skip(NAME, e),
        other => other.unwrap(),
    }
    assert_eq!(ring.register_buffer_table(8).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    let (rx, mut tx) = std::io::pipe().unwrap();
    let mut memory = Box::new([0_u8; 64]);
    let start = memory.as_mut_ptr();
    let mut read = |ring: &mut Ring, at: *mut u8, len: u32, index: u16| {
        tx.write_all(b"abc").unwrap();
        push(ring, Sqe::read_fixed(rx.as_raw_fd(), at, len, u64::MAX, BufIndex(index))).unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completions().next().unwrap().res
    };
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "nothing is there yet");
    // SAFETY: the memory outlives the ring, and is written by these reads alone.
    unsafe { ring.update_buffer(5, start..start.wrapping_add(64)) }.unwrap();
    assert_eq!(read(&mut ring, start.wrapping_add(60), 4, 5), 4);
    assert_eq!(read(&mut ring, start.wrapping_add(60), 5, 5), -libc::EFAULT, "past its end");
    assert_eq!(read(&mut ring, start, 3, 4), -libc::EFAULT, "another place");
    // SAFETY: no memory is named.
    unsafe { ring.update_buffer(5, ptr::null_mut()..ptr::null_mut()) }.unwrap();
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "it was taken out");
    // SAFETY: no memory is named.
    let outside = unsafe { ring.update_buffer(8, ptr::null_mut()..ptr::null_mut()) };
    assert_eq!(outside.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    drop(ring);
    assert_eq!(&memory[60..], b"abca");
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
