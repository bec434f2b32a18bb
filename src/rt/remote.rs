//! The shared half of a runtime: what other threads may touch.
//!
//! Every task (see `hold`) and every waker of the main future hold it, so it outlives the runtime as long as anybody
//! can wake. After the runtime's end the stack is closed and the sleep flag is never set again, so a late wake ends
//! here: it reaches no driver.

use super::{
    elsewhere::Elsewhere,
    handoff::{Chain, Sleep, Stack},
    pulse::Pulse,
    task::{Header, JoinError, RawTask},
};
use crate::{driver::WakeHandle, trace};
use std::{
    fmt,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Wake,
};

/// The shared half of a runtime.
#[derive(Debug)]
pub(crate) struct Remote {
    stack: Stack<Header>,
    sleep: Sleep,
    /// The main future has been woken.
    main: AtomicBool,
    driver: WakeHandle,
    sent: AtomicU64,
    elided: AtomicU64,
    unawaited: AtomicU64,
    pulse: Pulse,
    elsewhere: Elsewhere,
}

impl Remote {
    pub(super) fn new(driver: WakeHandle) -> Remote {
        Remote {
            stack: Stack::new(),
            sleep: Sleep::new(),
            main: AtomicBool::new(false),
            pulse: Pulse::new(driver.clone()),
            driver,
            sent: AtomicU64::new(0),
            elided: AtomicU64::new(0),
            unawaited: AtomicU64::new(0),
            elsewhere: Elsewhere::new(),
        }
    }

    /// Hands a notified task to the owner, or ends its wake if the runtime is gone.
    pub(super) fn push(&self, task: RawTask) {
        // SAFETY: Owner: the caller set NOTIFIED, so the task is in no queue, and the runtime's reference, which the
        // stack now holds, keeps it valid until it was taken.
        if unsafe { self.stack.push(task.header()) } {
            self.unpark();
        } else {
            task.release();
        }
    }

    /// Whether this is the runtime's process, and not a child that was forked since.
    pub(super) fn is_here(&self) -> bool {
        self.driver.is_here()
    }

    /// Rings if the runtime sleeps: there is something for it that no wake told.
    pub(super) fn rouse(&self) {
        if self.sleep.must_wake() {
            self.driver.wake();
        }
    }

    fn unpark(&self) {
        let wake = self.sleep.must_wake();
        // Relaxed: a counter.
        if wake { &self.sent } else { &self.elided }.fetch_add(1, Ordering::Relaxed);
        if wake {
            self.driver.wake();
        }
    }

    /// What the runtime shows of itself while it runs.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The atomic half of the count of tasks that hold it.
    pub(super) fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// Announces sleep; false (and no sleep) if there is something to do.
    pub(super) fn try_sleep(&self) -> bool {
        self.sleep.announce();
        // Relaxed: ordered by the fence of `announce`, as the stack is.
        let idle = self.stack.is_empty() && !self.main.load(Ordering::Relaxed) && !self.pulse.is_asked();
        if !idle {
            self.sleep.end();
        }
        idle
    }

    pub(super) fn end_sleep(&self) {
        self.sleep.end();
    }

    pub(super) fn take(&self) -> Chain<Header> {
        self.stack.take()
    }

    pub(super) fn close(&self) -> Chain<Header> {
        self.stack.close()
    }

    /// Marks the main future for a poll; true if nobody had.
    pub(super) fn notify_main(&self) -> bool {
        // Release: pairs with `take_main`.
        !self.main.swap(true, Ordering::Release)
    }

    /// Whether the main future was woken: a hint, without the wake's writes.
    pub(super) fn main_is_due(&self) -> bool {
        self.main.load(Ordering::Relaxed)
    }

    /// Takes the main future's wake, if there was one.
    pub(super) fn take_main(&self) -> bool {
        // Acquire: pairs with `notify_main`, of each wake until now.
        self.main_is_due() && self.main.swap(false, Ordering::Acquire)
    }

    /// Reports a panic that nobody will ever await.
    pub(super) fn unawaited_panic(&self, task: &dyn fmt::Display, error: &JoinError) {
        // Relaxed: a counter.
        self.unawaited.fetch_add(1, Ordering::Relaxed);
        let text = error.text().map(|text| format!(": {text}")).unwrap_or_default();
        let text = format!("{task} panicked and nobody awaited it{text}");
        trace::error(&text);
        // Not eprintln: it panics when the other end is closed, and this runs in `Drop`.
        let _ = writeln!(std::io::stderr(), "annulus: {text}");
    }

    /// Wakes sent, wakes elided, unawaited panics.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        // Relaxed: counters.
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (get(&self.sent), get(&self.elided), get(&self.unawaited))
    }
}

/// The waker of the main future.
impl Wake for Remote {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.notify_main() && !super::current::is(self) {
            self.unpark();
        }
    }
}
