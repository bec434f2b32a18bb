//! When to look after those who wait: a descriptor that somebody else closed tells nothing any more.

use crate::driver::Wait;
use std::time::{Duration, Instant};

/// How many descriptors are looked at in one go.
pub(super) const ROUND: usize = 256;
/// How long after the last wait began the first look comes, and how long between two looks at last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(64);

/// The time of the next look. Where nothing begins to wait, looks become rare: thousands of idle connections cost no
/// CPU.
#[derive(Default)]
pub(super) struct Patrol {
    /// `None`: nobody waits that was not looked at often enough.
    due: Option<Instant>,
    pause: Duration,
    /// Where to go on, in the middle of a round.
    from: usize,
    /// Somebody has begun to wait since the last look.
    expected: bool,
}

impl Patrol {
    /// Somebody begins to wait.
    pub(super) fn expect(&mut self) {
        self.expected = true;
    }

    /// How long a turn may sleep that would sleep for `wait`.
    pub(super) fn limit(&mut self, wait: Wait) -> Wait {
        if wait == Wait::Not || (self.due.is_none() && !self.expected) {
            return wait;
        }
        let now = Instant::now();
        if std::mem::take(&mut self.expected) {
            self.pause = FIRST;
            self.due = Some(self.due.map_or(now + FIRST, |due| due.min(now + FIRST)));
        }
        wait.at_most(self.due.map(|due| due.saturating_duration_since(now)))
    }

    /// Where to begin a look, if it is time for one. Busy turns, which would not have slept, do not even ask.
    pub(super) fn is_due(&self, wait: Wait) -> Option<usize> {
        let due = self.due.filter(|_| wait != Wait::Not)?;
        (due <= Instant::now()).then_some(self.from)
    }

    /// A look is over. It ended at `last`, with more to see behind, or has seen everything.
    pub(super) fn went(&mut self, last: Option<usize>) {
        self.from = last.map_or(0, |last| last + 1);
        if last.is_none() {
            self.pause = (self.pause * 2).min(LAST);
        }
        self.due = Some(Instant::now() + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(patrol: &mut Patrol) -> Option<Duration> {
        match patrol.limit(Wait::Forever) {
            Wait::For(time) => Some(time),
            _ => None,
        }
    }

    #[test]
    fn looks_become_rare_until_somebody_new_waits() {
        let mut patrol = Patrol::default();
        assert_eq!(limit(&mut patrol), None, "nobody waits");
        patrol.expect();
        assert_eq!(patrol.limit(Wait::Not), Wait::Not);
        assert!(limit(&mut patrol).unwrap() <= FIRST);
        assert_eq!(patrol.is_due(Wait::Forever), None);
        for pause in [2, 4, 8, 16, 32, 64, 64] {
            patrol.went(None);
            let limit = limit(&mut patrol).unwrap();
            assert!(limit <= Duration::from_secs(pause) && limit > Duration::from_secs(pause - 1), "{limit:?}");
        }
        patrol.expect();
        assert!(limit(&mut patrol).unwrap() <= FIRST);
    }

    #[test]
    fn a_round_goes_on_where_it_ended() {
        let mut patrol = Patrol { due: Some(Instant::now()), pause: FIRST, ..Patrol::default() };
        assert_eq!(patrol.is_due(Wait::Forever), Some(0));
        assert_eq!(patrol.is_due(Wait::Not), None);
        patrol.went(Some(255));
        assert_eq!((patrol.from, patrol.pause), (256, FIRST));
        patrol.went(None);
        assert_eq!((patrol.from, patrol.pause), (0, FIRST * 2));
    }
}
