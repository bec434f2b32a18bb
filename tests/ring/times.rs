//! How long a wait is: by which clock, until when, and for how much at least.

use crate::{child::in_child, common::*};
use annulus::ring::{Clock, Enter, EnterFlags, Features, Ring, SetupFlags};
use std::{
    fs,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

/// Red when a deadline is taken for a timeout (the wait would go on for years), or is not handed on (it would end at
/// once).
#[test]
fn a_deadline_is_a_point_on_the_rings_clock() {
    let Some(mut ring) = ring_or_skip("a_deadline", 4, SetupFlags::empty()) else { return };
    let until = |clock: Clock| Enter { wait: 1, deadline: Some(clock.now() + ms(30)), ..Enter::default() };
    if os_error(ring.set_clock(Clock::Monotonic)) == Some(libc::EINVAL) {
        let refused = ring.enter(&until(Clock::Monotonic)).unwrap_err();
        assert!(refused.raw_os_error() == Some(libc::EINVAL) || refused.kind() == io::ErrorKind::Unsupported);
        return;
    }
    guard(&mut ring);
    ring.submit().unwrap();
    for clock in [Clock::Monotonic, Clock::Boottime] {
        ring.set_clock(clock).unwrap();
        let start = Instant::now();
        assert!(ring.enter(&until(clock)).unwrap().timed_out);
        assert!((ms(29)..LONG).contains(&start.elapsed()), "{clock:?}: {:?}", start.elapsed());
        let past = Enter { wait: 1, deadline: Some(clock.now() - ms(1)), ..Enter::default() };
        assert!(ring.enter(&past).unwrap().timed_out);
        // A timeout is as long on each.
        let start = Instant::now();
        assert!(ring.wait_timeout(1, ms(20)).unwrap().timed_out);
        assert!((ms(19)..LONG).contains(&start.elapsed()), "{clock:?}: {:?}", start.elapsed());
    }
    nops(&mut ring, 0..1);
    assert_eq!(ring.enter(&Enter { submit: 1, ..until(Clock::Boottime) }).unwrap().submitted, 1);
    assert_eq!(read(&mut ring), [0]);
}

/// What a time namespace does to a deadline: some kernels add its offset to the clock that they compare with, and some
/// forget to. Here the clock is set back, so that a forgotten offset ends the wait at once. Red when a wait in it hangs
/// or is refused.
#[test]
fn a_deadline_in_a_time_namespace_ends() {
    let Some(ring) = ring_or_skip("a_deadline_in_a_time_namespace_ends", 4, SetupFlags::empty()) else { return };
    if os_error(ring.set_clock(Clock::Monotonic)) == Some(libc::EINVAL) {
        return; // a deadline is refused: tested above
    }
    let waited = in_child(|| {
        // SAFETY: asks for a namespace for the children of this process, which is a child of its own.
        if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0 {
            return true; // not allowed, or not built into the kernel
        }
        let before = Clock::Monotonic.now();
        fs::write("/proc/self/timens_offsets", "monotonic -1 0").is_ok()
            && in_child(|| {
                let mut ring = Ring::new(4).unwrap();
                let now = Clock::Monotonic.now();
                let start = Instant::now();
                let wait = Enter { wait: 1, deadline: Some(now + ms(100)), ..Enter::default() };
                now < before && ring.enter(&wait).unwrap().timed_out && start.elapsed() < LONG
            })
    });
    assert!(waited);
}

/// How long a wait for 8 completions takes that has a minimum of 20 ms and a timeout of `most`, when `n` come.
fn minimal_wait(ring: &mut Ring, n: u64, most: Option<Duration>) -> (Duration, bool, usize) {
    nops(ring, 0..n);
    // With SQPOLL its thread posts them, at any time: the wait that is measured begins after.
    let start = Instant::now();
    let flags = if ring.needs_wakeup() { EnterFlags::SQ_WAKEUP } else { EnterFlags::empty() };
    ring.enter(&Enter { submit: 8, flags, ..Enter::default() }).unwrap();
    while ring.ready() < n as u32 && start.elapsed() < LONG {
        thread::yield_now();
    }
    let start = Instant::now();
    let wait = Enter { wait: 8, min_wait: Some(ms(20)), timeout: most, ..Enter::default() };
    let entered = ring.enter(&wait).unwrap();
    (start.elapsed(), entered.timed_out, read(ring).len())
}

/// Red when the minimum is not handed on (the wait for what does not come takes until the timeout), or is taken for the
/// timeout (a wait for nothing ends early).
#[test]
fn a_minimal_wait_collects_and_then_takes_what_there_is() {
    for flags in [SetupFlags::empty(), DEFER, SetupFlags::SQPOLL] {
        let Some(mut ring) = ring_or_skip("a_minimal_wait", 8, flags) else { continue };
        if !ring.features().contains(Features::MIN_TIMEOUT) {
            let refused = ring.enter(&Enter { wait: 1, min_wait: Some(ms(1)), ..Enter::default() }).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
            continue;
        }
        // All that was waited for is there: no wait.
        assert!(sometimes(|| {
            let (took, timed_out, n) = minimal_wait(&mut ring, 8, Some(LONG));
            assert!(!timed_out && n == 8);
            took < ms(20)
        }));
        // Some are: until the minimum has passed. Without a timeout, too.
        for most in [Some(LONG), None] {
            let (took, timed_out, n) = minimal_wait(&mut ring, 3, most);
            assert!(!timed_out && n == 3 && (ms(19)..LONG).contains(&took), "{flags:?}: {took:?}");
        }
        // Nothing is: until the timeout.
        let (took, timed_out, n) = minimal_wait(&mut ring, 0, Some(ms(60)));
        assert!(timed_out && n == 0 && (ms(59)..LONG).contains(&took), "{flags:?}: {took:?}");
    }
}

/// Red when the flag is not handed on as it is, or is let through to a kernel that does not know it.
#[test]
fn a_wait_need_not_count_as_io() {
    let Some(mut ring) = ring_or_skip("a_wait_need_not_count_as_io", 4, SetupFlags::empty()) else { return };
    let wait = Enter { wait: 1, flags: EnterFlags::NO_IOWAIT, timeout: Some(ms(1)), ..Enter::default() };
    match ring.enter(&wait) {
        Ok(entered) => assert!(entered.timed_out && ring.features().contains(Features::NO_IOWAIT)),
        Err(e) => assert!(!ring.features().contains(Features::NO_IOWAIT) && e.kind() == io::ErrorKind::Unsupported),
    }
}

/// Red when one of them is let through: the kernel would take the one for the other.
#[test]
fn waits_that_contradict_themselves_are_refused() {
    let Some(mut ring) = ring_or_skip("waits_that_contradict_themselves", 4, SetupFlags::empty()) else { return };
    let bad = [
        Enter { timeout: Some(LONG), deadline: Some(LONG), ..Enter::default() },
        Enter { timeout: Some(LONG), registered: Some(0), ..Enter::default() },
        Enter { min_wait: Some(LONG), registered: Some(0), ..Enter::default() },
        Enter { registered: Some(0), ..Enter::default() },
        Enter { flags: EnterFlags::ABS_TIMER, ..Enter::default() },
    ];
    for enter in bad {
        let error = ring.enter(&enter).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{enter:?}: {error}");
    }
}

/// A wait ends well with fewer completions than it was for, when time is up: an error would hide them. Red when the
/// kernel's ETIME is told although there is one.
#[test]
fn time_that_is_up_with_a_completion_there_is_no_error() {
    for flags in [SetupFlags::empty(), DEFER] {
        let Some(mut ring) = ring_or_skip("time_that_is_up", 4, flags) else { continue };
        let (_reader, mut writer) = pending_read(&mut ring, 3);
        ring.submit().unwrap();
        writer.write_all(b"x").unwrap();
        let start = Instant::now();
        let entered = ring.wait_timeout(2, ms(20)).unwrap();
        assert_eq!((entered.submitted, entered.timed_out), (0, false));
        assert!((ms(19)..LONG).contains(&start.elapsed()));
        assert_eq!(read(&mut ring), [3]);
        assert!(ring.wait_timeout(2, ms(1)).unwrap().timed_out);
    }
}
