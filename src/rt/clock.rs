//! The clock of a runtime: the machine's own, until a test stops it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Tells the time of a runtime. It never goes back.
#[derive(Debug)]
pub(crate) struct Clock(Cell<Hands>);

#[derive(Clone, Copy, Debug)]
enum Hands {
    /// The machine's clock.
    Machine,
    /// They stand here.
    Stopped(Instant),
    /// They were here when the machine's clock was `then`, and have moved with it since.
    Resumed { here: Instant, then: Instant },
}

impl Clock {
    pub(super) fn new(stopped: bool) -> Clock {
        Clock(Cell::new(if stopped { Hands::Stopped(Instant::now()) } else { Hands::Machine }))
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        match self.0.get() {
            Hands::Machine => Instant::now(),
            Hands::Stopped(here) => here,
            Hands::Resumed { here, then } => here + then.elapsed(),
        }
    }

    /// The time at which it stands, if it does.
    pub(crate) fn stopped(&self) -> Option<Instant> {
        match self.0.get() {
            Hands::Stopped(here) => Some(here),
            Hands::Machine | Hands::Resumed { .. } => None,
        }
    }

    /// Stops it here; false if it stands already.
    pub(crate) fn stop(&self) -> bool {
        let goes = self.stopped().is_none();
        self.0.set(Hands::Stopped(self.now()));
        goes
    }

    /// Lets it go on from where it stands; false if it goes already.
    pub(crate) fn resume(&self) -> bool {
        let Some(here) = self.stopped() else { return false };
        self.0.set(Hands::Resumed { here, then: Instant::now() });
        true
    }

    /// Sets one that stands forward; false if it does not stand, or cannot say the time.
    pub(crate) fn set_forward(&self, by: Duration) -> bool {
        let to = self.stopped().and_then(|here| here.checked_add(by));
        to.into_iter().for_each(|to| self.0.set(Hands::Stopped(to)));
        to.is_some()
    }
}
