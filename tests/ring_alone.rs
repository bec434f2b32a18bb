//! What can only be counted while nothing else runs in the process: allocations, descriptors, maps.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "outside/counting.rs"]
mod counting;

use annulus::ring::{Ring, Sqe};
use counting::ALLOCATIONS;
use std::{
    fs,
    io::{self, Write},
    thread,
    time::Duration,
};

/// A ring; closed ones are credited late.
fn ring() -> io::Result<Ring> {
    for _ in 0..500 {
        match Ring::new(16) {
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
    Ring::new(16)
}

/// Many round trips; gives how often something was allocated.
fn allocations_of_a_busy_ring(ring: &mut Ring) -> usize {
    let before = ALLOCATIONS.get();
    ring.register_ring_fd().unwrap();
    for round in 0..1000 {
        for n in 0..16 {
            // SAFETY: Lent: a NOP names nothing.
            unsafe { ring.push(&Sqe::nop().user_data(round + n)) }.unwrap();
        }
        ring.submit().unwrap();
        ring.submit_and_wait(16).unwrap();
        assert_eq!(ring.completions().count(), 16);
        ring.wait_timeout(1, Duration::ZERO).unwrap();
    }
    ring.probe().unwrap();
    ring.unregister_ring_fd().unwrap();
    ALLOCATIONS.get() - before
}

fn descriptors_and_maps() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (fs::read_dir("/proc/self/fd").unwrap().count(), maps.matches("io_uring").count())
}

/// Written past the harness, which hides what a passing test prints.
fn skip(reason: &io::Error) {
    let _ = writeln!(io::stderr(), "SKIP a_ring_allocates_nothing_and_leaves_nothing: {reason}");
}

#[test]
fn a_ring_allocates_nothing_and_leaves_nothing() {
    let mut first = match ring() {
        Ok(ring) => ring,
        Err(e) => return skip(&e),
    };
    match first.register_ring_fd() {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return skip(&e), // before Linux 5.18
        other => other.unwrap(),
    }
    first.unregister_ring_fd().unwrap();
    assert_eq!(allocations_of_a_busy_ring(&mut first), 0);
    drop(first);
    let before = descriptors_and_maps();
    for _ in 0..1000 {
        let mut ring = ring().unwrap();
        ring.register_ring_fd().unwrap();
    }
    assert_eq!(descriptors_and_maps(), before);
    assert_eq!(before.1, 0);
}
