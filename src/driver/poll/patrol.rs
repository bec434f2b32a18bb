//! When to look after those who wait: a descriptor that somebody else closed tells nothing any more.
//!
//! The time comes by an alarm that is set once for each look. A limit on each sleep would do as well, but the kernel
//! would have to set and to stop a timer for each, which costs a busy server a twelfth of its time.

use crate::driver::Wait;
use std::{mem, time::Duration};

/// How many descriptors are looked at in one go.
pub(super) const ROUND: usize = 256;
/// How long after somebody began to wait a look comes at the latest, and how long between two looks at last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(64);

/// The time of the next look. Where nothing begins to wait, looks become rare: thousands of idle connections cost no
/// CPU.
pub(super) struct Patrol {
    /// What the alarm was set to.
    pause: Duration,
    /// It rang.
    due: bool,
    /// Where to go on, in the middle of a round.
    from: usize,
    /// Somebody has begun to wait since the last look.
    expected: bool,
}

impl Patrol {
    pub(super) fn new() -> Patrol {
        Patrol { pause: Duration::MAX, due: false, from: 0, expected: false }
    }

    /// Somebody begins to wait. Gives what the alarm has to be set to, if it is not soon enough.
    #[inline]
    pub(super) fn expect(&mut self) -> Option<Duration> {
        // Whoever was the first since the last look has seen to the alarm.
        if mem::replace(&mut self.expected, true) {
            return None;
        }
        let late = self.pause > FIRST;
        self.pause = self.pause.min(FIRST);
        late.then_some(FIRST)
    }

    /// The alarm could not be set. Whoever begins to wait next asks for it again.
    pub(super) fn has_no_alarm(&mut self) {
        (self.pause, self.expected) = (Duration::MAX, false);
    }

    /// The alarm rang.
    pub(super) fn ring(&mut self) {
        self.due = true;
    }

    /// Where to begin a look, if it is time for one. Busy turns, which would not have slept, leave it to others.
    pub(super) fn is_due(&self, wait: Wait) -> Option<usize> {
        (self.due && wait != Wait::Not).then_some(self.from)
    }

    /// A look is over. It ended at `last`, with more to see behind, or has seen everything. Gives what the alarm has to
    /// be set to.
    pub(super) fn went(&mut self, last: Option<usize>) -> Duration {
        self.due = false;
        self.from = last.map_or(0, |last| last + 1);
        if last.is_none() {
            let expected = mem::take(&mut self.expected);
            self.pause = if expected { FIRST } else { (self.pause * 2).min(LAST) };
        }
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare_until_somebody_new_waits() {
        let mut patrol = Patrol::new();
        assert_eq!(patrol.is_due(Wait::Forever), None, "nobody waits");
        assert_eq!((patrol.expect(), patrol.expect()), (Some(FIRST), None), "one alarm for all");
        assert_eq!(patrol.is_due(Wait::Forever), None, "not yet");
        patrol.ring();
        assert_eq!(patrol.is_due(Wait::Not), None, "there is something better to do");
        assert_eq!(patrol.is_due(Wait::For(FIRST)), Some(0));
        assert_eq!(patrol.went(None), FIRST, "they began to wait just now, for all that is known");
        assert_eq!(patrol.is_due(Wait::Forever), None);
        for pause in [2, 4, 8, 16, 32, 64, 64] {
            patrol.ring();
            assert_eq!(patrol.went(None), Duration::from_secs(pause));
        }
        assert_eq!(patrol.expect(), Some(FIRST), "a minute is too long for somebody new");
    }

    #[test]
    fn an_alarm_that_could_not_be_set_is_asked_for_again() {
        let mut patrol = Patrol::new();
        assert_eq!(patrol.expect(), Some(FIRST));
        patrol.has_no_alarm();
        assert_eq!((patrol.expect(), patrol.expect()), (Some(FIRST), None));
    }

    #[test]
    fn a_round_goes_on_where_it_ended() {
        let mut patrol = Patrol::new();
        patrol.expect();
        patrol.ring();
        assert_eq!((patrol.went(Some(255)), patrol.from), (FIRST, 256));
        patrol.ring();
        assert_eq!(patrol.is_due(Wait::Forever), Some(256));
        assert_eq!((patrol.went(None), patrol.from), (FIRST, 0));
        patrol.ring();
        assert_eq!(patrol.went(Some(255)), FIRST);
        patrol.ring();
        assert_eq!(patrol.went(None), FIRST * 2);
    }
}
