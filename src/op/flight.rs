//! Where an operation is, as its future knows it.

use crate::driver::{Driver, Key};
use std::{mem, rc::Rc};

/// Nobody has seen the operation, or a driver performs it, or it has been moved out. A future of an idle connection
/// holds one of these, so there is no tag.
pub(super) struct Flight {
    /// Whoever performs it, while it does.
    driver: Option<Rc<Driver>>,
    /// Its name there; without a driver, where it is.
    key: Key,
}

// In the place of a name, which is never one of these: nobody has seen the operation,
const FRESH: Key = Key::own(0);
// or it has been moved out.
const GONE: Key = Key::own(1);

static_assertions::const_assert!(size_of::<Flight>() <= 16);

impl Flight {
    pub(super) const fn new() -> Flight {
        Flight { driver: None, key: FRESH }
    }

    /// `driver` performs it from now on.
    #[inline]
    pub(super) fn begin(&mut self, driver: Rc<Driver>, key: Key) {
        *self = Flight { driver: Some(driver), key };
    }

    /// Who performs it, if somebody does, and its name there.
    #[inline]
    pub(super) fn flying(&self) -> Option<(&Rc<Driver>, Key)> {
        self.driver.as_ref().map(|driver| (driver, self.key))
    }

    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        self.key == FRESH
    }

    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.key == GONE
    }

    /// It is moved out, and nobody has performed it.
    #[inline]
    pub(super) fn leave(&mut self) {
        debug_assert!(self.is_fresh(), "it has begun");
        self.key = GONE;
    }

    /// It is moved out: takes the driver away for good, if one performs it.
    #[inline]
    pub(super) fn part(&mut self) -> Option<(Rc<Driver>, Key)> {
        let key = mem::replace(&mut self.key, GONE);
        self.driver.take().map(|driver| (driver, key))
    }

    /// In words.
    pub(super) fn state(&self) -> &'static str {
        match self.driver {
            Some(_) => "in flight",
            None if self.is_fresh() => "not started",
            None => "done",
        }
    }
}
