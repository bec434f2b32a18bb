//! The instant: the standard library's, under the name that belongs to this module.

use crate::rt;
use std::{
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    time::Duration,
};

/// A point on the monotonic clock.
///
/// A [`std::time::Instant`] and nothing else; `From` leads both ways. Only *now* may be another one, inside a runtime
/// whose clock was [paused](super::pause).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// This very moment.
    #[must_use]
    pub fn now() -> Instant {
        Instant(rt::now())
    }

    /// The same point as the standard library names it.
    #[must_use]
    pub fn from_std(std: std::time::Instant) -> Instant {
        Instant(std)
    }

    /// The same point for the standard library.
    #[must_use]
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// How long after `earlier` this is; `None` if it is before it.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// How long ago this was; zero if it is yet to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// The point `duration` later; `None` if the clock cannot say it.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }

    /// The point `duration` earlier; `None` if the clock cannot say it.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_sub(duration).map(Instant)
    }

    /// The point `duration` later, or a century later if the clock cannot say that: a deadline that never comes.
    pub(crate) fn after(self, duration: Duration) -> Instant {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        self.checked_add(duration).or_else(|| self.checked_add(CENTURY)).unwrap_or(self)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<std::time::Instant> for Instant {
    fn from(std: std::time::Instant) -> Instant {
        Instant(std)
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> std::time::Instant {
        instant.0
    }
}

/// # Panics
/// If the clock cannot say the sum; see [`Instant::checked_add`].
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

/// # Panics
/// If the clock cannot say the sum; see [`Instant::checked_add`].
impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

/// # Panics
/// If the clock cannot say the difference; see [`Instant::checked_sub`].
impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0 - duration)
    }
}

/// # Panics
/// If the clock cannot say the difference; see [`Instant::checked_sub`].
impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

/// Zero if the right side is the later one.
impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}
