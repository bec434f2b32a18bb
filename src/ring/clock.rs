//! The clock that a ring's waits go by: `IORING_REGISTER_CLOCK`.

use super::Ring;
use crate::sys::{self, io_uring_clock_register};
use std::{io, mem::MaybeUninit, time::Duration};

/// A clock that waits go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`, which stands while the machine is suspended: a ring's clock if nothing else is said.
    #[default]
    Monotonic,
    /// `CLOCK_BOOTTIME`, which goes on while the machine is suspended.
    Boottime,
}

impl Clock {
    fn id(self) -> libc::clockid_t {
        match self {
            Clock::Monotonic => libc::CLOCK_MONOTONIC,
            Clock::Boottime => libc::CLOCK_BOOTTIME,
        }
    }

    /// How far this clock is from its zero. [`Enter::deadline`](super::Enter::deadline) is such a distance.
    #[must_use]
    pub fn now(self) -> Duration {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: Kernel's word: one structure, which the kernel writes.
        let failed = unsafe { libc::clock_gettime(self.id(), time.as_mut_ptr()) };
        assert_eq!(failed, 0, "every Linux that has rings has these clocks");
        // SAFETY: Kernel's word: the call succeeded, so it wrote the structure.
        let time = unsafe { time.assume_init() };
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(seconds, nanoseconds)
    }
}

impl Ring {
    /// Lets the waits of this ring go by `clock` from now on: timeouts and deadlines of [`Enter`](super::Enter), not
    /// the entries that are timers. Since Linux 6.12.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.12; `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn set_clock(&self, clock: Clock) -> io::Result<()> {
        let mut change = io_uring_clock_register { clockid: clock.id() as u32, ..io_uring_clock_register::default() };
        // SAFETY: Kernel's word: one structure, which is read before the call returns; its count is 0 by definition.
        unsafe { self.register(sys::IORING_REGISTER_CLOCK, (&raw mut change).cast(), 0) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when the clocks are exchanged on a machine that was suspended, or when seconds and nanoseconds are.
    #[test]
    fn clocks_go_on() {
        for clock in [Clock::Monotonic, Clock::Boottime] {
            let before = clock.now();
            std::thread::sleep(Duration::from_millis(2));
            let passed = clock.now() - before;
            assert!((Duration::from_millis(2)..Duration::from_secs(60)).contains(&passed), "{passed:?}");
        }
        assert!(Clock::Boottime.now() + Duration::from_millis(1) >= Clock::Monotonic.now());
    }
}
