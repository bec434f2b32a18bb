//! The eventfd that a ring raises.

use crate::{common::*, loops::eventfd};
use annulus::{
    entry::Interest,
    ring::{Ring, SetupFlags, Sqe, query, send_message},
};
use std::{
    fs::File,
    hint::spin_loop,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
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

/// Whether the counter is raised within so many milliseconds.
fn is_raised(counter: &File, ms: i32) -> bool {
    let mut watched = libc::pollfd { fd: counter.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: Plain call: one entry, which lives through it.
    unsafe { libc::poll(&mut watched, 1, ms) == 1 }
}

/// Red when the flag may still be on its way while completions are looked for: the kernel has seen it set then, and we
/// have not seen the completion. Without the fence a round in some ten thousands is lost on a machine that is quiet, so
/// this finds it now and then; the model in `tests/loom` always does.
#[test]
fn a_completion_beside_the_unmuting_is_seen_or_raises_the_counter() {
    const NAME: &str = "a_completion_beside_the_unmuting";
    const LAST: u64 = u64::MAX;
    let mut ring = ring!(NAME, 64);
    let counter = eventfd();
    ring.register_eventfd(&counter).unwrap();
    let to = ring.fd().unwrap().try_clone_to_owned().unwrap();
    if let Err(e) = ring.mute_eventfd(true).and_then(|()| send_message(to.as_fd(), 0, 0)) {
        return skip(NAME, e); // before Linux 5.8, or 6.13
    }
    assert_eq!(read(&mut ring), [0]);
    let (wanted, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let sender = {
        let wanted = wanted.clone();
        thread::spawn(move || {
            let mut sent = 0;
            loop {
                match wanted.load(SeqCst) {
                    LAST => return,
                    wanted if wanted == sent => spin_loop(),
                    _ => {
                        sent += 1;
                        send_message(to.as_fd(), sent, 0).unwrap();
                    }
                }
            }
        })
    };
    // How long the message takes, about, in turns of the loop below. Too short is as good as too long.
    let mut aim = 0u64;
    let mut lost = 0;
    for round in (1..).take_while(|_| begun.elapsed() < Duration::from_secs(2)) {
        ring.mute_eventfd(true).unwrap();
        wanted.store(round, SeqCst);
        (0..aim.saturating_sub(32) + round * 7 % 64).for_each(|_| spin_loop());
        ring.mute_eventfd(false).unwrap();
        let mut seen = read(&mut ring);
        aim = if seen.is_empty() { aim + 1 } else { aim.saturating_sub(1) };
        while seen.is_empty() {
            assert!(!sender.is_finished() && begun.elapsed() < Duration::from_secs(60), "nobody sends");
            // A signal may be of the round before.
            let raised = is_raised(&counter, 200) && count(&counter) > 0;
            seen = read(&mut ring);
            // Whoever is slow to raise it loses nothing.
            lost += u32::from(!raised && !seen.is_empty() && !is_raised(&counter, 5000));
        }
        assert_eq!((seen, lost), (vec![round], 0), "neither was it seen, nor did it raise the counter");
    }
    wanted.store(LAST, SeqCst);
    sender.join().unwrap();
}

/// Where completions wait for an enter, to look for them is to enter: as long as one waits that raised nothing, no
/// other raises anything.
#[test]
fn a_deferred_ring_that_is_unmuted_is_looked_at_by_an_enter() {
    let mut ring = ring!("a_deferred_ring_that_is_unmuted", 8, SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    let counter = eventfd();
    ring.register_eventfd(&counter).unwrap();
    let ends = [1, 2].map(|n| pending_read(&mut ring, n));
    ring.submit().unwrap();
    ring.mute_eventfd(true).unwrap();
    let [(_near, mut first), (_other, mut second)] = ends;
    first.write_all(b"x").unwrap();
    ring.mute_eventfd(false).unwrap();
    assert!(!is_raised(&counter, 0));
    ring.submit().unwrap();
    assert_eq!(read(&mut ring), [1], "it came meanwhile");
    let _ = count(&counter);
    second.write_all(b"x").unwrap();
    // Linux 6.12 loses such a signal now and then.
    assert!(is_raised(&counter, 10_000) || query().is_err());
    ring.submit().unwrap();
    assert_eq!(read(&mut ring), [2]);
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
    writer.write_all(b"x").unwrap();
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
