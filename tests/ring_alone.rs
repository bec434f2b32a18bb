//! What can only be counted while nothing else runs in the process: allocations, descriptors, maps.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "outside/child.rs"]
mod child;
#[path = "outside/counting.rs"]
mod counting;

use annulus::ring::{Ring, Sqe};
use child::in_child;
use counting::ALLOCATIONS;
use std::{
    fs,
    io::{self, Write},
    os::fd::AsRawFd,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// The tests of this file, one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

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
fn skip(name: &str, reason: &io::Error) {
    let _ = writeln!(io::stderr(), "SKIP {name}: {reason}");
}

#[test]
fn a_ring_allocates_nothing_and_leaves_nothing() {
    const NAME: &str = "a_ring_allocates_nothing_and_leaves_nothing";
    let _alone = alone();
    let mut first = match ring() {
        Ok(ring) => ring,
        Err(e) => return skip(NAME, &e),
    };
    match first.register_ring_fd() {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return skip(NAME, &e), // before Linux 5.18
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

#[test]
fn a_child_that_drops_the_ring_unmaps_nothing_else() {
    let _alone = alone();
    let ring = match ring() {
        Ok(ring) => ring,
        Err(e) => return skip("a_child_that_drops_the_ring_unmaps_nothing_else", &e),
    };
    let before = fs::read_to_string("/proc/self/maps").unwrap();
    let line = before.lines().find(|line| line.contains("io_uring")).unwrap();
    let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
    let fd = ring.as_raw_fd();
    assert!(in_child(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: takes a place where nothing is: DONTFORK left it empty.
        let ours = unsafe { libc::mmap(start as *mut _, end - start, libc::PROT_READ, flags, -1, 0) };
        drop(ring);
        // SAFETY: asks about an address and touches nothing.
        let mapped = unsafe { libc::msync(ours, 1, libc::MS_ASYNC) } == 0;
        // SAFETY: asks about a descriptor.
        let closed = unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1;
        ours as usize == start && mapped && closed
    }));
}
