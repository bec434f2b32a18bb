//! The eventfd that a ring raises.

use crate::{common::*, loops::eventfd};
use annulus::{
    entry::Interest,
    ring::{Ring, SetupFlags, Sqe},
};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsRawFd,
};

/// How often the counter was raised since the last time; 0 if it was not.
fn count(mut counter: &File) -> u64 {
    let mut bytes = [0; 8];
    match counter.read(&mut bytes) {
        Ok(n) => assert_eq!(n, 8),
        Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
    }
    u64::from_ne_bytes(bytes)
}

fn rounds(ring: &mut Ring, nop: u64) {
    nops(ring, 0..nop);
    ring.submit_and_wait(nop as u32).unwrap();
    assert_eq!(read(ring).len() as u64, nop);
}

/// Red when the descriptor is not the one that was given, or when an end leaves it there.
#[test]
fn an_eventfd_is_raised_once_for_what_comes_together() {
    let mut ring = ring!("an_eventfd_is_raised_once", 8);
    let counter = eventfd();
    assert_eq!(os_error(ring.unregister_eventfd()), Some(libc::ENXIO));
    ring.register_eventfd(&counter).unwrap();
    assert_eq!(os_error(ring.register_eventfd(&counter)), Some(libc::EBUSY));
    assert_eq!(count(&counter), 0);
    rounds(&mut ring, 3);
    // Some kernels raise it for each of a batch.
    assert!((1..=3).contains(&count(&counter)));
    rounds(&mut ring, 1);
    rounds(&mut ring, 1);
    assert_eq!(count(&counter), 2);
    ring.unregister_eventfd().unwrap();
    rounds(&mut ring, 1);
    assert_eq!(count(&counter), 0);
    let null = File::open("/dev/null").unwrap();
    assert!(matches!(os_error(ring.register_eventfd(&null)), Some(libc::EINVAL | libc::EBADF)));
}

/// Red when the flag goes to another word, or does not go away.
#[test]
fn a_muted_ring_raises_nothing() {
    let mut ring = ring!("a_muted_ring_raises_nothing", 4);
    let counter = eventfd();
    ring.register_eventfd(&counter).unwrap();
    if let Err(e) = ring.mute_eventfd(true) {
        return assert_eq!(e.kind(), io::ErrorKind::Unsupported); // before Linux 5.8
    }
    rounds(&mut ring, 2);
    assert_eq!(count(&counter), 0);
    ring.mute_eventfd(false).unwrap();
    rounds(&mut ring, 1);
    assert_eq!(count(&counter), 1);
}

/// Red when the asynchronous form is the other one.
#[test]
fn an_asynchronous_eventfd_tells_of_what_comes_later() {
    let mut ring = ring!("an_asynchronous_eventfd", 4);
    let counter = eventfd();
    ring.register_eventfd_async(&counter).unwrap();
    rounds(&mut ring, 2);
    assert_eq!(count(&counter), 0);
    let (_reader, mut writer) = pending_read(&mut ring, 1);
    ring.submit().unwrap();
    io::Write::write_all(&mut writer, b"x").unwrap();
    ring.submit_and_wait(1).unwrap();
    assert_eq!(read(&mut ring), [1]);
    // Kernels before 6.2 raise it from a worker thread only.
    assert!(count(&counter) <= 1);
}

/// Two rings that watch each other's counter, and one that watches its own, come to rest.
#[test]
fn rings_that_watch_each_others_eventfd_end() {
    let rings: Vec<_> = (0..2).map_while(|_| ring_or_skip("rings_that_watch", 8, SetupFlags::empty())).collect();
    let Ok([mut one, mut two]) = <[Ring; 2]>::try_from(rings) else { return };
    let counters = [eventfd(), eventfd()];
    one.register_eventfd(&counters[0]).unwrap();
    two.register_eventfd(&counters[1]).unwrap();
    let watch = |ring: &mut Ring, watched: usize| {
        let poll = Sqe::poll_add(counters[watched].as_raw_fd(), Interest::Read);
        push(ring, poll.user_data(watched as u64)).unwrap();
        ring.submit().unwrap();
    };
    watch(&mut one, 1);
    watch(&mut two, 0);
    watch(&mut one, 0);
    nops(&mut one, 7..8);
    one.submit_and_wait(3).unwrap();
    let mut all = read(&mut one);
    all.sort_unstable();
    assert_eq!((all, two.submit_and_wait(1).unwrap(), read(&mut two)), (vec![0, 1, 7], 0, vec![0]));
    assert_eq!(one.ready() + two.ready(), 0);
}
