//! Waiting: for a time, with signals, and for what is deferred.

use crate::common::*;
use annulus::ring::{Enter, SetupFlags};
use std::{
    io::{self, Write},
    mem::MaybeUninit,
    ptr, thread,
    time::{Duration, Instant},
};

#[test]
fn a_wait_runs_out_without_an_error() {
    let mut ring = ring!("a_wait_runs_out_without_an_error", 4);
    let start = Instant::now();
    let entered = ring.wait_timeout(1, NOBODY).unwrap();
    assert!(entered.timed_out && entered.submitted == 0 && start.elapsed() >= NOBODY);

    nops(&mut ring, 0..1);
    let start = Instant::now();
    let entered = ring.wait_timeout(1, LONG).unwrap();
    assert!(!entered.timed_out && entered.submitted == 1 && start.elapsed() < LONG);

    // Completions are there, but fewer than waited for: the kernel tells of the submission alone.
    nops(&mut ring, 1..2);
    let start = Instant::now();
    let entered = ring.wait_timeout(4, NOBODY).unwrap();
    assert!(!entered.timed_out && entered.submitted == 1 && start.elapsed() >= NOBODY);
    assert_eq!(read(&mut ring), [0, 1]);
}

#[test]
fn a_huge_timeout_is_as_good_as_none() {
    let mut ring = ring!("a_huge_timeout_is_as_good_as_none", 4);
    nops(&mut ring, 0..1);
    assert_eq!(ring.wait_timeout(1, Duration::MAX).unwrap().submitted, 1);
}

#[test]
fn deferred_completions_appear_on_submit() {
    let defer = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for flags in [defer, defer | SetupFlags::TASKRUN_FLAG] {
        let mut ring = ring!("deferred_completions_appear_on_submit", 64, flags);
        let mut pairs: Vec<_> = (0..64).map(|n| pending_read(&mut ring, n)).collect();
        assert_eq!(ring.submit().unwrap(), 64);
        pairs.iter_mut().for_each(|(_, writer)| writer.write_all(b"x").unwrap());
        assert_eq!((ring.ready(), ring.needs_enter()), (0, true));
        assert_eq!(ring.taskrun(), flags.contains(SetupFlags::TASKRUN_FLAG));
        let mut all = vec![];
        for _ in 0..8 {
            ring.submit().unwrap();
            all.extend(read(&mut ring));
        }
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
        assert!(!ring.taskrun());
    }
}

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn a_signal_interrupts_unless_masked() {
    let mut ring = ring!("a_signal_interrupts_unless_masked", 4);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, ptr::null_mut()) }, 0);
    let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writes a whole set.
    assert_eq!(unsafe { libc::sigfillset(mask.as_mut_ptr()) }, 0);
    // SAFETY: just filled.
    let mask = unsafe { mask.assume_init() };
    // SAFETY: asks who this is.
    let me = unsafe { libc::pthread_self() } as usize; // a pointer in musl
    let wait = |sigmask| Enter { wait: 1, timeout: Some(Duration::from_millis(300)), sigmask, ..Enter::default() };
    thread::scope(|scope| {
        for sigmask in [None, Some(&mask)] {
            let sender = scope.spawn(move || {
                thread::sleep(Duration::from_millis(100));
                // SAFETY: the thread lives: it waits for this one.
                unsafe { libc::pthread_kill(me as libc::pthread_t, libc::SIGUSR2) }
            });
            let entered = ring.enter(&wait(sigmask));
            match sigmask {
                None => assert_eq!(entered.unwrap_err().kind(), io::ErrorKind::Interrupted),
                Some(_) => assert!(entered.unwrap().timed_out),
            }
            assert_eq!(sender.join().unwrap(), 0);
        }
    });
}
