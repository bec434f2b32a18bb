//! Ticking.

use super::{Instant, Sleep, sleep_until};
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A tick that is late by more than this, or by a whole period, was missed. What is less is the scheduler's noise, and
/// not worth a change of rhythm.
const SLACK: Duration = Duration::from_millis(5);

/// Ticks every `period`, the first time at once.
///
/// # Panics
/// If `period` is zero.
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first time at `start`.
///
/// # Panics
/// If `period` is zero.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval is zero; it must be at least a nanosecond");
    Interval { sleep: sleep_until(start), period, missed: MissedTickBehavior::default() }
}

/// What an [`Interval`] does when ticks were missed, because the task was busy for longer than a period.
///
/// With ticks at 0, 10, 20, … and a task that is busy from 10 until 35:
///
/// | | the ticks after 10 come at |
/// |---|---|
/// | `Burst` | 35, 35, 40, 50 |
/// | `Delay` | 35, 45, 55 |
/// | `Skip` | 35, 40, 50 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Makes up for all missed ticks, one after the other without a pause, until the rhythm is caught up with.
    #[default]
    Burst,
    /// Ticks once and starts a new rhythm from there.
    Delay,
    /// Ticks once and goes on in the old rhythm.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after the one that was due at `due` and is late.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            MissedTickBehavior::Burst => due.after(period),
            MissedTickBehavior::Delay => now.after(period),
            MissedTickBehavior::Skip => now.after(period - remainder(now.duration_since(due), period)),
        }
    }
}

/// `time % period`, which `Duration` does not have.
fn remainder(time: Duration, period: Duration) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let ns = time.as_nanos() % period.as_nanos();
    Duration::new((ns / SECOND) as u64, (ns % SECOND) as u32)
}

/// Ticks; made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the time at which it was due.
    ///
    /// # Panics
    /// When polled outside an annulus runtime.
    ///
    /// # Cancellation
    /// **Clean**: a tick that was not returned is returned by the next call.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick. Only the task that polled last is woken.
    ///
    /// # Panics
    /// When called outside an annulus runtime.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let (due, now) = (self.sleep.deadline(), Instant::now());
        let missed = now.duration_since(due) > SLACK.min(self.period);
        self.reset_at(if missed { self.missed.next(due, now, self.period) } else { due.after(self.period) });
        Poll::Ready(due)
    }

    /// The next tick comes a period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// The next tick comes at once.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// The next tick comes `after` from now.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().after(after));
    }

    /// The next tick comes at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        Pin::new(&mut self.sleep).reset(deadline);
    }

    /// What happens when ticks were missed.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Decides what happens when ticks were missed.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}

#[cfg(test)]
impl Interval {
    /// When the next tick is due.
    pub(super) fn next_due(&self) -> Instant {
        self.sleep.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_missed_tick_is_followed_by_the_right_one() {
        let due = Instant::now();
        let next = |behavior: MissedTickBehavior, late: u32| behavior.next(due, due + MS * late, MS * 10) - due;
        assert_eq!(next(MissedTickBehavior::Burst, 25), MS * 10);
        assert_eq!(next(MissedTickBehavior::Delay, 25), MS * 35);
        assert_eq!(next(MissedTickBehavior::Skip, 25), MS * 30);
        assert_eq!(next(MissedTickBehavior::Skip, 20), MS * 30, "a tick that is due right now is the one returned");
        assert_eq!(next(MissedTickBehavior::Skip, 9), MS * 10);
    }

    #[test]
    fn the_longest_periods_overflow_nothing() {
        let now = Instant::now();
        for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
            assert!(behavior.next(now, now + MS, Duration::MAX) > now + MS);
        }
        assert_eq!(remainder(Duration::MAX, Duration::MAX), Duration::ZERO);
        assert_eq!(remainder(MS * 1001, Duration::from_secs(1)), MS);
    }

    #[test]
    #[should_panic(expected = "period of an interval is zero")]
    fn a_period_of_zero_is_refused() {
        drop(interval(Duration::ZERO));
    }
}
