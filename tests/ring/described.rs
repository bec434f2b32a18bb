//! Waits that are described once and named by a number.

use crate::common::*;
use annulus::ring::{Clock, Enter, Ring, SetupFlags};
use std::{io, thread, time::Instant};

/// A ring with room for `waits` described waits, not enabled yet; or what refused it.
fn with_waits(name: &str, waits: u32) -> Option<io::Result<Ring>> {
    let mut ring = ring_or_skip(name, 4, SetupFlags::R_DISABLED)?;
    Some(ring.register_waits(waits).map(|()| ring))
}

/// Red when an offset, a flag or a time of the description is wrong, or when a wait goes by another's.
#[test]
fn described_waits_are_named_by_their_number() {
    let Some(made) = with_waits("described_waits", 70) else { return };
    let mut ring = match made {
        Err(e) => return assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 6.13"),
        Ok(ring) => ring,
    };
    // Beyond the first page of waits, and with each of the descriptions.
    ring.set_wait(69, &Enter { timeout: Some(ms(20)), ..Enter::default() }).unwrap();
    ring.set_wait(68, &Enter { timeout: Some(LONG), min_wait: Some(ms(20)), ..Enter::default() }).unwrap();
    ring.enable().unwrap();
    guard(&mut ring);
    ring.submit().unwrap();
    let wait = |wait, index| Enter { submit: 4, wait, registered: Some(index), ..Enter::default() };
    let start = Instant::now();
    assert!(ring.enter(&wait(1, 69)).unwrap().timed_out);
    assert!((ms(19)..LONG).contains(&start.elapsed()));

    nops(&mut ring, 0..1);
    assert_eq!(ring.enter(&wait(0, 69)).unwrap().submitted, 1);
    let start = Instant::now();
    assert!(!ring.enter(&wait(4, 68)).unwrap().timed_out);
    assert!((ms(19)..LONG).contains(&start.elapsed()));
    assert_eq!(read(&mut ring), [0]);

    // It can be described anew while the ring runs: by a point on the clock, and by nothing at all.
    let soon = Clock::Monotonic.now() + ms(20);
    ring.set_wait(69, &Enter { deadline: Some(soon), ..Enter::default() }).unwrap();
    assert!(ring.enter(&wait(1, 69)).unwrap().timed_out);
    assert!(Clock::Monotonic.now() >= soon);
    ring.set_wait(69, &Enter::default()).unwrap();
    nops(&mut ring, 1..2);
    assert_eq!(ring.enter(&wait(1, 69)).unwrap().submitted, 1);
    let refused = [ring.enter(&wait(1, 70)).map(drop), ring.set_wait(70, &Enter::default())];
    assert!(refused.into_iter().all(|r| r.unwrap_err().kind() == io::ErrorKind::InvalidInput));
}

/// Red when the mask of a described wait is not where the description says: the signal would interrupt, or the kernel
/// would say EFAULT.
#[test]
fn a_described_wait_has_its_signals() {
    let Some(made) = with_waits("a_described_wait_has_its_signals", 3) else { return };
    let Ok(mut ring) = made else { return }; // tested above
    let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writes a whole set.
    assert_eq!(unsafe { libc::sigfillset(mask.as_mut_ptr()) }, 0);
    // SAFETY: just filled.
    let mask = unsafe { mask.assume_init() };
    // SAFETY: no signals at all are a set, too.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
    for (index, sigmask) in [(1, None), (2, Some(&mask)), (0, Some(&none))] {
        ring.set_wait(index, &Enter { timeout: Some(ms(300)), sigmask, ..Enter::default() }).unwrap();
    }
    ring.enable().unwrap();
    // SAFETY: asks who this is.
    let me = unsafe { libc::pthread_self() } as usize; // a pointer in musl
    thread::scope(|scope| {
        for index in [1, 2] {
            let sender = scope.spawn(move || {
                thread::sleep(ms(100));
                // SAFETY: the thread lives: it waits for this one.
                unsafe { libc::pthread_kill(me as libc::pthread_t, libc::SIGUSR1) }
            });
            let entered = ring.enter(&Enter { wait: 1, registered: Some(index), ..Enter::default() });
            match index {
                1 => assert_eq!(entered.unwrap_err().kind(), io::ErrorKind::Interrupted),
                _ => assert!(entered.unwrap().timed_out),
            }
            assert_eq!(sender.join().unwrap(), 0);
        }
    });
}

/// Red when a ring that runs, or one that has waits, takes them in; or when a count that cannot be reaches the kernel.
#[test]
fn described_waits_come_once_and_before_all_else() {
    let Some(made) = with_waits("described_waits_come_once", 1) else { return };
    let mut enabled = ring_or_skip("described_waits_come_once", 4, SetupFlags::empty()).unwrap();
    assert_eq!(os_error(enabled.register_waits(1)), Some(libc::EINVAL));
    assert_eq!(enabled.set_wait(0, &Enter::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    for count in [0, u32::MAX] {
        assert_eq!(enabled.register_waits(count).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    let Ok(mut ring) = made else { return };
    assert_eq!(os_error(ring.register_waits(1)), Some(libc::EBUSY));
    // The first ones are still there.
    ring.set_wait(0, &Enter { timeout: Some(ms(1)), ..Enter::default() }).unwrap();
    ring.enable().unwrap();
    assert!(ring.enter(&Enter { wait: 1, registered: Some(0), ..Enter::default() }).unwrap().timed_out);
}
