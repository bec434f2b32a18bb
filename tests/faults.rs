//! What goes wrong around a runtime: signals at any moment, no descriptor left, thousands of connections that say
//! nothing, peers that refuse, reset and vanish.

#[path = "outside/again.rs"]
mod again;
#[path = "faults/closed.rs"]
mod closed;
#[path = "faults/descriptors.rs"]
mod descriptors;
#[path = "faults/idle.rs"]
mod idle;
#[cfg(all(target_os = "linux", not(annulus_kqueue)))] // for the test of workers
#[path = "outside/inotify.rs"]
mod inotify;
#[path = "outside/limits.rs"]
mod limits;
#[path = "faults/peers.rs"]
mod peers;
#[cfg(target_os = "linux")] // which sends them to one thread of many
#[path = "faults/signals.rs"]
mod signals;
#[path = "sound/mod.rs"]
mod sound;
#[cfg(all(target_os = "linux", not(annulus_kqueue)))] // whose ring it is
#[path = "faults/workers.rs"]
mod workers;

use std::{mem::MaybeUninit, time::Duration};

/// The CPU time that this process has used so far.
fn cpu() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes a whole structure.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) }, 0);
    // SAFETY: just written.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The control of all that is said about CPU time here.
#[test]
fn the_meter_sees_a_spin() {
    let (before, start) = (cpu(), std::time::Instant::now());
    // Others may have the processor meanwhile.
    while cpu() - before < Duration::from_millis(20) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", cpu() - before);
    }
}
