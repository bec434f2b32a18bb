//! A bell on Linux: a message to the ring at which the driver sleeps, or else a counter that any backend can watch.
//!
//! A message costs its receiver a completion and nothing more; a counter has to be read and watched again each time.
//! Messages have no sender that could be blamed for a failure (a thread may have shut itself out of the system call,
//! by a seccomp filter), so a sleeping ring watches the counter as well: once, as nobody rings it while messages get
//! through.

use super::WakeHandle;
use crate::{
    ring::{self, Birth},
    sys::linux,
};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    mem,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// How long a driver sleeps at a time that nobody can wake, for lack of a descriptor.
pub(in crate::driver) const DEAF: Duration = Duration::from_millis(10);

pub(super) struct Bell {
    /// The process whose driver this is. A forked child would ring its parent's, and might find the lock held for good.
    birth: Birth,
    state: Mutex<State>,
    /// Made when somebody first wants to watch or ring it.
    counter: OnceLock<File>,
}

#[derive(Debug, Default)]
struct State {
    /// **Not after its close**: the ring's number is used under the lock, and taken out under it before the ring
    /// closes. A bare number might be another ring's by then, which would get an answer that it never asked for.
    ring: Option<RingName>,
    /// The ring was here, and has gone: there is nobody to hear.
    gone: bool,
    /// Somebody would have rung, and had no descriptor left for it.
    missed: bool,
}

/// Where a message goes, and what its completion carries.
#[derive(Debug)]
struct RingName {
    fd: RawFd,
    user_data: u64,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        // Before Linux 4.14 there is no way to know.
        let birth = Birth::now().unwrap_or_else(|_| Birth::anywhere());
        Ok(Bell { birth, state: Mutex::default(), counter: OnceLock::new() })
    }

    pub(super) fn is_here(&self) -> bool {
        self.birth.is_here()
    }

    /// Rings in the cheapest way that works, if anybody is there.
    pub(super) fn ring(&self) {
        if !self.is_here() {
            return;
        }
        let mut state = self.lock();
        let told = state.ring.as_ref().is_some_and(|ring| {
            // SAFETY: Not after its close: the number is that of an open ring as long as the lock is held.
            let fd = unsafe { BorrowedFd::borrow_raw(ring.fd) };
            ring::send_message(fd, ring.user_data, 0).is_ok()
        });
        if told || state.gone {
            return;
        }
        // The driver may not have come to watch the counter yet: then it finds it rung.
        match self.counter() {
            // A full counter (EAGAIN) rings just as well, and there is no other way to fail that could be mended here.
            Ok(mut counter) => drop(counter.write(&1u64.to_ne_bytes())),
            Err(_) => state.missed = true,
        }
    }

    pub(super) fn clear(&self) {
        if let Some(mut counter) = self.counter.get() {
            let _ = counter.read(&mut [0; 8]);
        }
    }

    fn counter(&self) -> io::Result<&File> {
        if let Some(counter) = self.counter.get() {
            return Ok(counter);
        }
        let made = File::from(linux::eventfd()?);
        Ok(self.counter.get_or_init(|| made))
    }

    /// Only system calls happen under the lock, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("state", &self.state).field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl WakeHandle {
    /// What a backend watches for readability.
    ///
    /// # Errors
    /// `EMFILE` when it is not there yet, and no descriptor is left for it.
    pub(crate) fn raw(&self) -> io::Result<RawFd> {
        self.0.counter().map(AsRawFd::as_raw_fd)
    }

    /// From now on, messages to the ring `fd` may ring, as completions with `user_data`. Whoever owns it calls
    /// [`WakeHandle::leave`] before it closes.
    pub(crate) fn enter(&self, fd: RawFd, user_data: u64) {
        self.0.lock().ring = Some(RingName { fd, user_data });
    }

    /// No more messages. Those under way have arrived when this returns.
    pub(crate) fn leave(&self) {
        if self.is_here() {
            let mut state = self.0.lock();
            (state.ring, state.gone) = (None, true);
        }
    }

    /// Whether somebody could not ring before there was a counter. To be asked once it is there: from then on everybody
    /// can.
    pub(crate) fn was_missed(&self) -> bool {
        mem::take(&mut self.0.lock().missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Batch, Choice, Config, Driver, DriverKind, Wait};
    use std::thread;

    /// Red when nobody looks for the note of whoever had no descriptor to ring with.
    #[test]
    fn who_could_not_ring_is_not_forgotten() {
        for kind in [DriverKind::Uring, DriverKind::Poll] {
            let config = Config { choice: Choice::Named(kind), entries: 8, ..Config::default() };
            let driver = match Driver::new(&config) {
                Ok(driver) => driver,
                Err(e) => {
                    let _ = writeln!(io::stderr(), "SKIP who_could_not_ring_is_not_forgotten::{kind}: {e}");
                    continue;
                }
            };
            driver.wake_handle().0.lock().missed = true;
            driver.turn(Wait::Forever, &mut Batch::default()).unwrap();
            assert!(!driver.wake_handle().was_missed(), "the note is taken");
        }
    }

    /// Red when the number of a ring outlives it: its next owner gets the messages then.
    #[test]
    fn who_is_gone_is_not_rung_and_neither_is_who_came_after() {
        let config = Config { choice: Choice::Named(DriverKind::Uring), entries: 8, ..Config::default() };
        let make = || Driver::new(&config);
        if let Err(e) = make() {
            return drop(writeln!(io::stderr(), "SKIP who_is_gone_is_not_rung_and_neither_is_who_came_after: {e}"));
        }
        let gone: Vec<WakeHandle> = (0..50).map(|_| make().unwrap().wake_handle()).collect();
        let later: Vec<_> = (0..20).map(|_| make().unwrap()).collect();
        thread::scope(|scope| {
            gone.chunks(10).for_each(|some| drop(scope.spawn(|| some.iter().for_each(WakeHandle::wake))));
        });
        for driver in &later {
            driver.turn(Wait::For(Duration::from_millis(1)), &mut Batch::default()).unwrap();
            let counters = driver.counters();
            assert_eq!((counters.woken_by_message, counters.woken_by_counter, counters.strays), (0, 0, 0));
        }
        later[0].wake_handle().wake();
        later[0].turn(Wait::Forever, &mut Batch::default()).unwrap();
        let counters = later[0].counters();
        assert_eq!(counters.woken_by_message + counters.woken_by_counter, 1, "{counters:?}");
    }

    /// Red when the bell is looked at before the ring knows whether it is a child's.
    #[test]
    fn a_child_is_refused_whoever_had_the_lock() {
        let config = Config { choice: Choice::Named(DriverKind::Uring), entries: 8, ..Config::default() };
        let driver = match Driver::new(&config) {
            Ok(driver) => driver,
            Err(e) => return drop(writeln!(io::stderr(), "SKIP a_child_is_refused_whoever_had_the_lock: {e}")),
        };
        let bell = driver.wake_handle();
        // What another thread may have at the moment of a fork.
        let lock = bell.0.lock();
        let refused = || assert!(driver.turn(Wait::Forever, &mut Batch::default()).is_err());
        assert!(crate::testing::in_child(refused));
        drop(lock);
    }
}
