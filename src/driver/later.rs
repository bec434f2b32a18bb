//! What is to be gone on with at a time of its own: timers of the poll driver, calls that nothing announces, and
//! streams that had to pause.

use crate::{driver::slots::Key, entry::Sqe, sys};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Names in the order of their times. Each has one time at most, which its slot knows.
#[derive(Default)]
pub(super) struct Later(BTreeSet<(Instant, u64)>);

/// The longest that anything is put off: 34 years, which every clock can add.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// How long the entry of a timeout lasts.
pub(super) fn time(sqe: &Sqe) -> Duration {
    // SAFETY: Lent: an entry whose twin is a timer names a time, which stays until the entry has been answered.
    let time = unsafe { (sqe.addr as *const sys::__kernel_timespec).read() };
    let (secs, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into()))
}

impl Later {
    /// Puts `key` off by `pause`, and says until when.
    pub(super) fn put(&mut self, key: Key, pause: Duration) -> Instant {
        let at = Instant::now() + pause.min(LONGEST);
        self.0.insert((at, key.user_data()));
        at
    }

    /// Takes back what was put off until `at`.
    pub(super) fn remove(&mut self, key: Key, at: Instant) {
        self.0.remove(&(at, key.user_data()));
    }

    /// How long until the next is due. `None` when there is none.
    pub(super) fn next(&self) -> Option<Duration> {
        let (at, _) = self.0.first()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// The next one that is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Key> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, name)| Key::from_user_data(name))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The pause before attempt number `n` of what nothing announces: 1 ms, doubled each time, and at last a tenth of a
/// second.
pub(super) fn pause(n: u32) -> Duration {
    Duration::from_millis((1 << n.min(7)).min(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_comes_in_the_order_of_its_times() {
        let mut later = Later::default();
        assert!(later.is_empty() && later.next().is_none());
        let [a, b, c] = [Key::own(1), Key::own(2), Key::own(3)];
        later.put(a, Duration::from_secs(3));
        let at = later.put(b, Duration::from_secs(1));
        later.put(c, Duration::from_secs(2));
        assert!(later.next().unwrap() <= Duration::from_secs(1));
        let end = Instant::now() + Duration::from_secs(5);
        assert_eq!(later.pop(Instant::now()), None, "nothing is due yet");
        later.remove(b, at);
        assert_eq!((later.pop(end), later.pop(end), later.pop(end)), (Some(c), Some(a), None));
        later.put(a, Duration::MAX);
    }

    #[test]
    fn pauses_grow_to_a_tenth_of_a_second() {
        let pauses: Vec<u128> = [0, 1, 6, 7, u32::MAX].into_iter().map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses, [1, 2, 64, 100, 100]);
    }
}
