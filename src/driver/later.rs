//! What is to be gone on with at a time of its own: timers of the poll driver, calls that nothing announces, and
//! streams that had to pause.

use crate::{driver::slots::Key, entry::Sqe, sys};
use slab::Slab;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Names in the order of their times. Each has one time at most, and its slot the ticket.
#[derive(Default)]
pub(super) struct Later {
    order: BTreeSet<(Instant, u32)>,
    tickets: Slab<(Instant, Key)>,
}

/// What to take something back with that was put off: four bytes in each slot, where a time would be sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

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
    /// Puts `key` off by `pause`.
    pub(super) fn put(&mut self, key: Key, pause: Duration) -> Ticket {
        let at = Instant::now() + pause.min(LONGEST);
        // There are no more than slots, whose indices have 32 bits.
        let ticket = self.tickets.insert((at, key)) as u32;
        self.order.insert((at, ticket));
        Ticket(ticket)
    }

    /// Takes back what was put off.
    pub(super) fn remove(&mut self, Ticket(ticket): Ticket) {
        if let Some((at, _)) = self.tickets.try_remove(ticket as usize) {
            self.order.remove(&(at, ticket));
        }
    }

    /// How long until the next is due. `None` when there is none.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let (at, _) = self.order.first()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// The next one that is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Key> {
        let &(at, ticket) = self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.tickets.try_remove(ticket as usize).map(|(_, key)| key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
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
        let ticket = later.put(b, Duration::from_secs(1));
        later.put(c, Duration::from_secs(2));
        assert!(later.next().unwrap() <= Duration::from_secs(1));
        let end = Instant::now() + Duration::from_secs(5);
        assert_eq!(later.pop(Instant::now()), None, "nothing is due yet");
        later.remove(ticket);
        assert_eq!((later.pop(end), later.pop(end), later.pop(end)), (Some(c), Some(a), None));
        later.put(a, Duration::MAX);
    }

    #[test]
    fn pauses_grow_to_a_tenth_of_a_second() {
        let pauses: Vec<u128> = [0, 1, 6, 7, u32::MAX].into_iter().map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses, [1, 2, 64, 100, 100]);
    }
}
