//! A ring in somebody else's event loop: by its descriptor, or by an eventfd.

use crate::{child::in_child, common::*};
use annulus::{
    entry::Interest,
    ring::{Enter, Ring, SetupFlags, Sqe, query},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    thread,
    time::{Duration, Instant},
};

/// An epoll that watches one descriptor, edge-triggered or not.
fn epoll(fd: RawFd, flags: i32) -> OwnedFd {
    // SAFETY: makes a descriptor.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(epoll >= 0);
    // SAFETY: made just now.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | flags) as u32, u64: 0 };
    // SAFETY: one structure, which is read.
    let added = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
    assert_eq!(added, 0);
    epoll
}

fn readable(epoll: &OwnedFd, timeout: Duration) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    loop {
        // SAFETY: room for one.
        let n = unsafe { libc::epoll_wait(epoll.as_raw_fd(), &mut event, 1, timeout.as_millis() as i32) };
        match n {
            0.. => return n > 0,
            // A ring that neither defers nor cooperates interrupts its thread for each completion.
            _ => assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted),
        }
    }
}

/// A counter for a ring to raise.
pub(crate) fn eventfd() -> File {
    // SAFETY: makes a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(fd >= 0);
    // SAFETY: made just now.
    unsafe { File::from_raw_fd(fd) }
}

/// The ways that the documentation describes, in a loop that sleeps in epoll while another thread brings things about:
/// by the ring's descriptor, and by an eventfd where work is deferred. Red when no submit runs deferred work (the
/// loop finds the ring readable and reads nothing), or when the eventfd is not handed on.
#[test]
fn a_ring_is_driven_from_an_epoll_loop() {
    for ring_flags in [SetupFlags::empty(), SetupFlags::COOP_TASKRUN, DEFER, DEFER | SetupFlags::TASKRUN_FLAG] {
        for epoll_flags in [0, libc::EPOLLET] {
            let Some(mut ring) = ring_or_skip("a_ring_is_driven_from_an_epoll_loop", 64, ring_flags) else { continue };
            let counter = ring_flags.contains(DEFER).then(eventfd);
            if let Some(counter) = &counter {
                ring.register_eventfd(counter).unwrap();
            }
            let epoll = epoll(counter.as_ref().map_or(ring.as_raw_fd(), File::as_raw_fd), epoll_flags);
            assert!(!readable(&epoll, Duration::ZERO));
            let pairs: Vec<_> = (0..64).map(|n| pending_read(&mut ring, n)).collect();
            assert_eq!(ring.submit().unwrap(), 64);
            let writer = thread::spawn(move || {
                for (n, (_reader, writer)) in pairs.iter().enumerate() {
                    (n % 8 == 0).then(|| thread::sleep(ms(2)));
                    (&*writer).write_all(b"x").unwrap();
                }
                pairs
            });
            // Linux 6.12 loses a signal now and then (seen with 6.12.117), so that nobody may sleep long there.
            let loses = counter.is_some() && query().is_err();
            let mut all = vec![];
            let start = Instant::now();
            while all.len() < 64 {
                let woken = readable(&epoll, if loses { ms(50) } else { LONG });
                assert!(woken || loses, "{ring_flags:?}: {} of 64 came", all.len());
                assert!(start.elapsed() < LONG);
                drop(counter.as_ref().map(|mut counter| counter.read(&mut [0; 8])));
                take_all(&mut ring, &mut all);
            }
            writer.join().unwrap();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..64));
            // Nothing is left, and it says so (a level; an edge, and a counter, may be one too many).
            assert!(epoll_flags != 0 || counter.is_some() || !readable(&epoll, Duration::ZERO));
        }
    }
}

/// Everything that is there, in the queue and inside the kernel.
fn take_all(ring: &mut Ring, all: &mut Vec<u64>) {
    loop {
        ring.submit().unwrap();
        let some = read(ring);
        if some.is_empty() {
            return;
        }
        all.extend(some);
    }
}

/// What `poll(2)` says of a ring now: 1 if it can be read, and else 0.
fn asked(ring: &Ring) -> i32 {
    let mut watched = libc::pollfd { fd: ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure.
    unsafe { libc::poll(&mut watched, 1, 0) }
}

/// What the documentation of the embedding says: a `poll(2)` that begins when there is deferred work sees it. (Epoll
/// does not look again at what was not readable, and is told by nobody.)
#[test]
fn deferred_work_makes_a_ring_readable_for_who_asks() {
    let mut ring = ring!("deferred_work_makes_a_ring_readable", 4, DEFER);
    let (_reader, mut writer) = pending_read(&mut ring, 5);
    ring.submit().unwrap();
    assert_eq!(asked(&ring), 0);
    writer.write_all(b"x").unwrap();
    assert_eq!((asked(&ring), ring.ready()), (1, 0));
    ring.submit().unwrap();
    assert_eq!(read(&mut ring), [5]);
    assert_eq!(asked(&ring), 0);
}

/// Red when what waits behind a full queue cannot be seen from outside, or does not come with a submit.
#[test]
fn an_overflow_makes_a_ring_readable() {
    for flags in [SetupFlags::empty(), DEFER] {
        let Some(mut ring) = ring_or_skip("an_overflow_makes_a_ring_readable", 4, flags) else { continue };
        for batch in 0..4 {
            nops(&mut ring, batch * 4..batch * 4 + 4);
            ring.enter(&Enter { submit: 4, ..Enter::default() }).unwrap();
        }
        let mut all = read(&mut ring);
        assert_eq!((all.len(), ring.ready(), ring.cq_overflow()), (8, 0, true));
        let mut rounds = 0;
        while asked(&ring) == 1 {
            // Submitting alone moves none of them.
            ring.enter(&Enter { submit: 4, ..Enter::default() }).unwrap();
            assert_eq!(ring.ready(), 0);
            ring.submit().unwrap();
            all.extend(read(&mut ring));
            rounds += 1;
            assert!(rounds < 10);
        }
        assert_eq!((all, ring.lost(), ring.cq_overflow()), ((0..16).collect(), 0, false));
    }
}

/// A ring that is asked to watch itself answers nothing, and keeps nobody from going: neither the ring nor the process.
#[test]
fn a_ring_that_watches_itself_lets_its_process_end() {
    // Where there is no ring, the child is not asked for one.
    let _ = ring!("a_ring_that_watches_itself", 4);
    assert!(in_child(|| {
        let mut ring = ring_or_skip("a_ring_that_watches_itself", 4, SetupFlags::empty()).unwrap();
        let own = ring.as_raw_fd();
        push(&mut ring, Sqe::poll_add(own, Interest::Read).user_data(1)).unwrap();
        nops(&mut ring, 2..3);
        ring.submit_and_wait(1).unwrap();
        let seen = read(&mut ring);
        std::mem::forget(ring);
        seen == [2] || seen == [1, 2] || seen == [2, 1]
    }));
}
