//! Timers: a hierarchical timing wheel, the clockwork behind `time`.
//!
//! Time is counted in ticks of 65,536 ns since the wheel was made. Level 0 has a slot for each of the 64 ticks around
//! now, level 1 a slot for each 64 of those, and so on: eleven levels of six bits hold every `u64`, so no deadline is
//! too far and nothing is parked. A timer's level is where the highest bit lies in which its tick differs from now,
//! hence whatever is in a lower level is due before whatever is in a higher one, and all timers of one tick share a
//! slot. When time reaches a slot of a higher level, its timers move down: each moves at most ten times in its life.
//!
//! A wheel without timers owns no memory, and has no levels beyond the one that its farthest timer needed.
//!
//! Insert and cancel are O(1): the slots are circular lists through a slab, linked by index. Timers of one tick fire in
//! the order in which they were inserted. A timer fires up to one tick late (its deadline is rounded up), never early;
//! and up to two after sixteen or more were due at once, because a thread that is woken for a crowd in each tick spends
//! most of its time on falling asleep. Only for a clock that stands, the wheel goes by the deadlines themselves, which
//! costs it a look at each timer of a slot.
//!
//! The invariant **Quiet** shapes the signatures: wakers come and go by value, and none is cloned, dropped or woken
//! here, so that the caller can do that when its borrow of the wheel has ended.

use slab::Slab;
use std::{
    cmp::Reverse,
    iter,
    task::Waker,
    time::{Duration, Instant},
};

/// A tick is 2^16 ns, so 65.5 µs: fine enough for a resolution of 100 µs, and a shift instead of a division.
const TICK_BITS: u32 = 16;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = u64::BITS.div_ceil(LEVEL_BITS) as usize;
/// So many timers at once are a crowd: whoever waits for the next ones waits for twice as many, in two ticks.
const CROWD: usize = 16;
/// The place before all levels: timers whose time had passed when they were inserted.
const DUE: usize = 0;
/// The head of an empty list.
const NIL: u32 = u32::MAX;

/// All timers of one thread.
pub(crate) struct Timers {
    /// The instant of tick 0.
    origin: Instant,
    /// The tick that has been reached. Every timer in the levels lies after it, every timer in `DUE` does not.
    elapsed: u64,
    entries: Slab<Entry>,
    /// `DUE`, then level by level, up to the highest that was ever used.
    slots: Vec<Slot>,
    /// For each level, a bit for each slot that holds timers.
    occupied: [u64; LEVELS],
    /// The serial number of the next timer.
    serial: u64,
    /// Whoever is due by this tick comes right after a crowd.
    crowd_until: u64,
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("pending", &self.len()).finish_non_exhaustive()
    }
}

/// Names one timer; a key outlives its timer and then names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    /// Tells apart the timers that used the same `index`, one after the other.
    serial: u64,
}

/// One timer, and its neighbours in the circle of its slot. A million of them should not take more than they need.
struct Entry {
    tick: u64,
    serial: u64,
    waker: Waker,
    prev: u32,
    next: u32,
    place: u16,
    /// By how many nanoseconds the deadline lies before the tick.
    rest: u16,
}

static_assertions::const_assert!(1 << TICK_BITS <= 100_000);
static_assertions::const_assert!(size_of::<Entry>() <= 48 && DUE + LEVELS * SLOTS <= u16::MAX as usize);

/// A circular list of timers; `head.prev` is its tail.
#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    /// No timer of the list has a lower tick. (The one that had exactly this one may have been cancelled.)
    soonest: u64,
}

const EMPTY: Slot = Slot { head: NIL, soonest: u64::MAX };

impl Timers {
    /// A wheel whose time begins `now`.
    pub(crate) fn new(now: Instant) -> Timers {
        let (entries, slots, occupied) = (Slab::new(), Vec::new(), [0; LEVELS]);
        Timers { origin: now, elapsed: 0, entries, slots, occupied, serial: 0, crowd_until: 0 }
    }

    /// Adds a timer. One whose deadline has passed is handed out by the next [`expire`](Timers::expire).
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        let serial = self.serial;
        self.serial += 1;
        let (tick, rest) = self.tick_after(deadline);
        let index = self.entries.insert(Entry { tick, serial, waker, prev: NIL, next: NIL, place: DUE as u16, rest });
        let index = u32::try_from(index).expect("four billion timers, of 48 bytes each");
        self.link(index);
        TimerKey { index, serial }
    }

    /// Replaces a timer's waker. What comes back is nobody's: the old waker, or the new one if the timer is gone.
    pub(crate) fn update_waker(&mut self, key: TimerKey, waker: Waker) -> Waker {
        match self.entries.get_mut(key.index as usize) {
            Some(entry) if entry.serial == key.serial => std::mem::replace(&mut entry.waker, waker),
            _ => waker,
        }
    }

    /// Whether the timer has this waker already, so that there is nothing to update.
    pub(crate) fn will_wake(&self, key: TimerKey, waker: &Waker) -> bool {
        self.get(key).is_some_and(|entry| entry.waker.will_wake(waker))
    }

    /// Removes a timer and frees its place at once. `None` if it has fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        self.get(key)?;
        self.unlink(key.index);
        Some(self.entries.remove(key.index as usize).waker)
    }

    /// Whether the timer has neither fired nor been cancelled.
    pub(crate) fn is_pending(&self, key: TimerKey) -> bool {
        self.get(key).is_some()
    }

    /// When [`expire`](Timers::expire) is to be called next: never later than the tick at which the earliest timer
    /// fires, or, after a crowd, the one after it; and earlier only when the timer that it was computed for has been
    /// cancelled.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.slots.first()?.head != NIL {
            return self.instant(self.elapsed);
        }
        let (place, _) = self.first()?;
        let soonest = self.slots[place].soonest;
        self.instant(soonest | u64::from(soonest <= self.crowd_until))
    }

    /// Moves the wakers of all timers that are due to the end of `out`, in the order of their deadlines.
    ///
    /// A `now` before an earlier one counts as the earlier one.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Waker>) {
        let (target, before) = (self.tick_before(now).max(self.elapsed), out.len());
        if !self.slots.is_empty() {
            self.empty(DUE, out);
        }
        while let Some((place, start)) = self.first().filter(|&(_, start)| start <= target) {
            self.elapsed = start;
            self.empty(place, out);
        }
        self.elapsed = target;
        self.crowd_until = match out.len() - before {
            0 => self.crowd_until,
            due if due < CROWD => 0,
            _ => target.saturating_add(2),
        };
    }

    /// The earliest deadline itself, for a clock that stands: that one may be put there. Takes as long as the slot is
    /// full in which it lies.
    pub(crate) fn next_exactly(&self) -> Option<Instant> {
        if self.slots.first()?.head != NIL {
            return self.instant(self.elapsed);
        }
        let (place, _) = self.first()?;
        let (tick, before) = self.list(place).map(|(_, entry)| (entry.tick, Reverse(entry.rest))).min()?;
        self.instant(tick)?.checked_sub(Duration::from_nanos(before.0.into()))
    }

    /// Does what [`expire`](Timers::expire) does, and goes on within the tick that has begun: for a clock that stands,
    /// no deadline at `now` or before is left.
    pub(crate) fn expire_exactly(&mut self, now: Instant, out: &mut Vec<Waker>) {
        self.expire(now, out);
        let into = now.saturating_duration_since(self.origin).as_nanos() as u16;
        let Some((place, _)) = self.first().filter(|_| self.tick_before(now) == self.elapsed) else { return };
        let is_due = |entry: &Entry| entry.tick == self.elapsed + 1 && entry.rest.checked_add(into).is_none();
        let mut due: Vec<_> =
            self.list(place).filter(|(_, entry)| is_due(entry)).map(|(at, entry)| (Reverse(entry.rest), at)).collect();
        due.sort_by_key(|&(before, _)| before);
        for (_, index) in due {
            self.unlink(index);
            out.push(self.entries.remove(index as usize).waker);
        }
    }

    /// The timers in a slot, in the order in which they were inserted.
    fn list(&self, place: usize) -> impl Iterator<Item = (u32, &Entry)> {
        let head = self.slots[place].head;
        let mut next = (head != NIL).then_some(head);
        iter::from_fn(move || {
            let index = next?;
            let entry = &self.entries[index as usize];
            next = (entry.next != head).then_some(entry.next);
            Some((index, entry))
        })
    }

    /// How many timers are pending.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes all timers without regard to their time and gives the memory back: for the end of a runtime.
    pub(crate) fn clear(&mut self, out: &mut Vec<Waker>) {
        self.slots = Vec::new();
        self.occupied = [0; LEVELS];
        out.extend(std::mem::take(&mut self.entries).into_iter().map(|(_, entry)| entry.waker));
    }

    fn get(&self, key: TimerKey) -> Option<&Entry> {
        self.entries.get(key.index as usize).filter(|entry| entry.serial == key.serial)
    }

    /// The first tick at or after `deadline`, and how far after. What lies 38 million years ahead counts as never.
    fn tick_after(&self, deadline: Instant) -> (u64, u16) {
        let ns = deadline.saturating_duration_since(self.origin).as_nanos();
        (u64::try_from(ns.div_ceil(1 << TICK_BITS)).unwrap_or(u64::MAX), (ns as u16).wrapping_neg())
    }

    /// The last tick at or before `now`, and never the tick that means never.
    fn tick_before(&self, now: Instant) -> u64 {
        let ns = now.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(ns >> TICK_BITS).unwrap_or(u64::MAX).min(u64::MAX - 1)
    }

    /// When `tick` begins; `None` if this machine's clock cannot say it.
    fn instant(&self, tick: u64) -> Option<Instant> {
        const SECOND: u128 = 1_000_000_000;
        let ns = u128::from(tick) << TICK_BITS;
        self.origin.checked_add(Duration::new((ns / SECOND) as u64, (ns % SECOND) as u32))
    }

    /// Where a timer for `tick` belongs, seen from now.
    fn place(&self, tick: u64) -> usize {
        if tick <= self.elapsed {
            return DUE;
        }
        let level = (tick ^ self.elapsed).ilog2() / LEVEL_BITS;
        1 + level as usize * SLOTS + (tick >> (level * LEVEL_BITS)) as usize % SLOTS
    }

    /// The earliest slot that holds timers, and its first tick.
    ///
    /// The slots of a level that hold timers all lie after now and before any of the next level, so the first bit of
    /// the first level that has one is it.
    fn first(&self) -> Option<(usize, u64)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = level as u32 * LEVEL_BITS;
        // Two shifts, because together they may be 66.
        let turn = self.elapsed >> shift >> LEVEL_BITS << LEVEL_BITS;
        Some((1 + level * SLOTS + slot as usize, (turn | u64::from(slot)) << shift))
    }

    /// Appends the entry to the list where it belongs now.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let place = self.place(tick);
        if place >= self.slots.len() {
            self.slots.resize(1 + place.div_ceil(SLOTS) * SLOTS, EMPTY);
        }
        let slot = &mut self.slots[place];
        slot.soonest = slot.soonest.min(tick);
        let (prev, next) = if slot.head == NIL {
            slot.head = index;
            self.mark(place, true);
            (index, index)
        } else {
            let head = slot.head;
            (self.entries[head as usize].prev, head)
        };
        self.entries[prev as usize].next = index;
        self.entries[next as usize].prev = index;
        let entry = &mut self.entries[index as usize];
        (entry.place, entry.prev, entry.next) = (place as u16, prev, next);
    }

    /// Takes the entry out of its list.
    fn unlink(&mut self, index: u32) {
        let Entry { place, prev, next, .. } = self.entries[index as usize];
        let place = usize::from(place);
        if next == index {
            self.slots[place] = EMPTY;
            self.mark(place, false);
            return;
        }
        self.entries[prev as usize].next = next;
        self.entries[next as usize].prev = prev;
        if self.slots[place].head == index {
            self.slots[place].head = next;
        }
    }

    /// Takes a whole list: what is due goes to `out`, the rest to where it belongs now.
    fn empty(&mut self, place: usize, out: &mut Vec<Waker>) {
        let head = std::mem::replace(&mut self.slots[place], EMPTY).head;
        if head == NIL {
            return;
        }
        self.mark(place, false);
        let last = self.entries[head as usize].prev;
        let (mut index, mut scout, mut met) = (head, last, false);
        loop {
            let Entry { tick, next, .. } = self.entries[index as usize];
            // Each step along a list of many timers waits for memory. A second look that comes from the other end,
            // until they meet, waits at the same time: what it has seen is in the cache by the time that it is due.
            met |= scout == index || scout == next;
            if !met {
                scout = self.entries[scout as usize].prev;
            }
            if tick <= self.elapsed {
                out.push(self.entries.remove(index as usize).waker);
            } else {
                self.link(index);
            }
            if index == last {
                return;
            }
            index = next;
        }
    }

    /// Notes whether a slot holds timers. `DUE` needs no bit: it is looked at first anyway.
    fn mark(&mut self, place: usize, holds: bool) {
        if place != DUE {
            let bit = 1 << ((place - 1) % SLOTS);
            let level = &mut self.occupied[(place - 1) / SLOTS];
            *level = if holds { *level | bit } else { *level & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
        task::Wake,
    };

    const TICK: Duration = Duration::from_nanos(1 << TICK_BITS);
    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    /// Writes its number down when woken.
    struct Bell {
        number: u64,
        rung: Arc<Mutex<Vec<u64>>>,
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.rung.lock().unwrap().push(self.number);
        }
    }

    /// A pseudo-random generator (xorshift64*): the same steps in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        fn below(&mut self, n: u64) -> u64 {
            self.roll() % n
        }

        /// A length of time whose magnitude is random too: from below a tick to hundreds of years.
        fn span(&mut self) -> Duration {
            let bits = self.below(64) + 1;
            let ns = self.roll() >> (64 - bits);
            let level = self.below(9) as u32 * LEVEL_BITS;
            match self.below(4) {
                0 => Duration::from_nanos((1 << level.min(46)) << TICK_BITS),
                1 => Duration::from_nanos(((1 << level.min(46)) << TICK_BITS) - 1),
                2 => Duration::from_nanos(ns % 1_000_000_000),
                _ => Duration::from_nanos(ns),
            }
        }
    }

    /// The wheel beside what it should do: a sorted map by (tick at which it fires, order of insertion).
    struct Pair {
        wheel: Timers,
        model: BTreeMap<(u64, u64), (Instant, TimerKey)>,
        rung: Arc<Mutex<Vec<u64>>>,
        now: Instant,
        latest: Instant,
        count: u64,
        gone: Vec<TimerKey>,
    }

    impl Pair {
        fn new() -> Pair {
            // Room for instants before the wheel's origin.
            let now = Instant::now() + Duration::from_secs(1000);
            let wheel = Timers::new(now);
            let (model, rung) = Default::default();
            Pair { wheel, model, rung, now, latest: now, count: 0, gone: Vec::new() }
        }

        fn waker(&self, number: u64) -> Waker {
            Arc::new(Bell { number, rung: self.rung.clone() }).into()
        }

        fn ticks(&self, ns: u128) -> u64 {
            u64::try_from(ns / TICK.as_nanos()).unwrap_or(u64::MAX)
        }

        fn insert(&mut self, deadline: Instant) {
            let after = deadline.saturating_duration_since(self.wheel.origin).as_nanos();
            let reached = self.ticks(self.latest.duration_since(self.wheel.origin).as_nanos());
            let tick = self.ticks(after + TICK.as_nanos() - 1).max(reached);
            let key = self.wheel.insert(deadline, self.waker(self.count));
            self.model.insert((tick, self.count), (deadline, key));
            self.count += 1;
        }

        fn cancel_random(&mut self, dice: &mut Dice) {
            let at = dice.below(self.model.len().max(1) as u64) as usize;
            let Some((&id, &(_, key))) = self.model.iter().nth(at) else { return };
            self.model.remove(&id);
            let other = self.waker(u64::MAX);
            assert!(self.wheel.is_pending(key) && !self.wheel.will_wake(key, &other));
            let waker = self.wheel.cancel(key).expect("a pending timer can be cancelled");
            waker.wake();
            assert_eq!(self.rung.lock().unwrap().pop(), Some(id.1), "the waker is the timer's own");
            self.gone.push(key);
        }

        fn expire(&mut self, now: Instant) {
            self.now = now;
            self.latest = self.latest.max(now);
            let reached = self.ticks(self.latest.duration_since(self.wheel.origin).as_nanos());
            let mut out = Vec::new();
            self.wheel.expire(now, &mut out);
            out.into_iter().for_each(Waker::wake);
            let rest = self.model.split_off(&(reached + 1, 0));
            let due = std::mem::replace(&mut self.model, rest);
            let numbers: Vec<u64> = due.keys().map(|&(_, number)| number).collect();
            assert_eq!(*self.rung.lock().unwrap(), numbers, "exactly what is due, in order");
            self.rung.lock().unwrap().clear();
            for (deadline, key) in due.into_values() {
                assert!(deadline <= self.latest, "never early");
                self.gone.push(key);
            }
        }

        fn check(&mut self) {
            assert_eq!(self.wheel.len(), self.model.len());
            let soonest = self.model.keys().next().map(|&(tick, _)| tick);
            assert_eq!(self.wheel.next().is_some(), soonest.is_some());
            if let (Some(next), Some(tick)) = (self.wheel.next(), soonest) {
                let latest = tick + u64::from(tick <= self.wheel.crowd_until);
                assert!(next <= self.wheel.instant(latest).unwrap(), "never later than the earliest deadline");
            }
            for key in self.gone.drain(..) {
                assert!(!self.wheel.is_pending(key) && self.wheel.cancel(key).is_none(), "gone is gone");
            }
        }
    }

    /// Red when a thread is woken for each tick of a crowd, and when one that is woken for few is late for them.
    #[test]
    fn a_crowd_is_woken_for_every_other_tick() {
        let now = Instant::now();
        let (mut wheel, mut out) = (Timers::new(now), Vec::new());
        let at = |ticks: u32| now + TICK * ticks;
        for (due, first, next) in [(CROWD - 1, 2, 4), (CROWD, 6, 9), (CROWD, 11, 13), (1, 15, 17)] {
            for tick in [first, first + 2].into_iter().chain(std::iter::repeat_n(first, due - 1)) {
                wheel.insert(at(tick), Waker::noop().clone());
            }
            wheel.expire(at(first), &mut out);
            assert_eq!((out.drain(..).count(), wheel.next()), (due, Some(at(next))), "{due} at {first}");
            wheel.expire(at(first), &mut out);
            assert_eq!(wheel.next(), Some(at(next)), "nobody was due, so nothing was learnt");
            wheel.expire(at(first + 2), &mut out);
            assert_eq!(out.drain(..).count(), 1);
        }
        for _ in 0..CROWD {
            wheel.insert(at(20), Waker::noop().clone());
        }
        wheel.insert(at(24), Waker::noop().clone());
        wheel.expire(at(20), &mut out);
        assert_eq!(wheel.next(), Some(at(24)), "long after the crowd");
        for _ in 0..CROWD {
            wheel.insert(at(24), Waker::noop().clone());
        }
        wheel.expire(at(24), &mut out);
        wheel.expire(at(40), &mut out);
        wheel.insert(at(42), Waker::noop().clone());
        assert_eq!(wheel.next(), Some(at(42)), "the crowd is long gone");
    }

    #[test]
    fn the_wheel_agrees_with_a_sorted_map() {
        for seed in 1..=20 {
            let (mut dice, mut pair) = (Dice(seed), Pair::new());
            for _ in 0..3_000 {
                match dice.below(10) {
                    0..5 => {
                        let deadline = pair.now + dice.span();
                        pair.insert(deadline);
                    }
                    5 => {
                        let past = dice.span().min(Duration::from_secs(900));
                        pair.insert(pair.now - past);
                    }
                    6..8 => pair.cancel_random(&mut dice),
                    8 => {
                        // Where the wheel asks to be woken, as a runtime does.
                        let next = pair.wheel.next().unwrap_or(pair.now).max(pair.now);
                        pair.expire(next);
                    }
                    _ => {
                        // A jump, and now and then a clock that stands or goes back.
                        let span = dice.span().min(YEAR * 3);
                        let backwards = dice.below(8) == 0;
                        let now = if backwards { pair.wheel.origin } else { pair.now.max(pair.latest) + span };
                        pair.expire(now);
                    }
                }
                pair.check();
            }
            let end = pair.latest + YEAR * 2000;
            pair.expire(end);
            pair.check();
            assert_eq!(pair.wheel.len(), 0);
        }
    }

    #[test]
    fn a_wheel_without_timers_owns_no_memory() {
        let mut wheel = Timers::new(Instant::now());
        let mut out = Vec::new();
        wheel.expire(wheel.origin + YEAR, &mut out);
        assert_eq!((wheel.next(), wheel.slots.capacity(), wheel.entries.capacity()), (None, 0, 0));
        let key = wheel.insert(wheel.origin + YEAR + Duration::from_secs(1), Waker::noop().clone());
        assert!(wheel.slots.len() <= 1 + 4 * SLOTS, "a second needs no more levels than three or four");
        drop(wheel.cancel(key));
        wheel.insert(wheel.origin + YEAR * 300_000, Waker::noop().clone());
        wheel.clear(&mut out);
        assert_eq!((wheel.slots.capacity(), wheel.entries.capacity()), (0, 0));
    }

    #[test]
    fn every_level_keeps_its_borders() {
        let origin = Instant::now();
        // Up to level 9: the last would be 150,000 centuries away.
        for level in 0..LEVELS as u32 - 1 {
            for ticks in
                [(1_u64 << (level * LEVEL_BITS)) - 1, 1 << (level * LEVEL_BITS), (1 << (level * LEVEL_BITS)) + 1]
            {
                let mut wheel = Timers::new(origin);
                let deadline = wheel.instant(ticks).unwrap();
                let mut out = Vec::new();
                wheel.insert(deadline, Waker::noop().clone());
                assert_eq!(wheel.next(), Some(deadline), "one timer, one wake");
                wheel.expire(deadline.checked_sub(Duration::from_nanos(1)).unwrap(), &mut out);
                assert_eq!(out.len(), usize::from(ticks == 0), "early at level {level}");
                wheel.expire(deadline, &mut out);
                assert_eq!((out.len(), wheel.len()), (1, 0), "late at level {level}");
            }
        }
    }

    #[test]
    fn a_deadline_between_two_ticks_is_rounded_up() {
        let origin = Instant::now();
        let mut wheel = Timers::new(origin);
        let mut out = Vec::new();
        wheel.insert(origin + Duration::from_nanos(1), Waker::noop().clone());
        wheel.expire(origin, &mut out);
        wheel.expire(origin + TICK - Duration::from_nanos(1), &mut out);
        assert_eq!(out.len(), 0);
        assert_eq!(wheel.next(), Some(origin + TICK));
        wheel.expire(origin + TICK, &mut out);
        assert_eq!(out.len(), 1);
    }

    /// Deadlines around the border of two levels, and the same one twice.
    #[test]
    fn for_a_clock_that_stands_nothing_is_rounded() {
        let mut wheel = Timers::new(Instant::now());
        let (origin, rung) = (wheel.origin, Arc::new(Mutex::new(Vec::new())));
        let border = u64::from(TICK.subsec_nanos()) * 64;
        let deadlines = [border + 7, border, border - 1, border + 6, border - 70_000, border + 7, border + 1];
        for (number, ns) in (0..).zip(deadlines) {
            wheel.insert(origin + Duration::from_nanos(ns), Arc::new(Bell { number, rung: rung.clone() }).into());
        }
        let mut out = Vec::new();
        let mut seen = Vec::new();
        while let Some(next) = wheel.next_exactly() {
            wheel.expire_exactly(next - Duration::from_nanos(1), &mut out);
            assert_eq!(out.len(), 0, "early by a nanosecond");
            wheel.expire_exactly(next, &mut out);
            out.drain(..).for_each(Waker::wake);
            rung.lock().unwrap().drain(..).for_each(|number| seen.push((next - origin, number)));
        }
        let seen: Vec<_> = seen.into_iter().map(|(at, number)| (at.as_nanos() as u64, number)).collect();
        let order = [4, 2, 1, 6, 3, 0, 5];
        assert_eq!(seen, order.map(|number| (deadlines[number as usize], number)));
        for ns in [3, 2, 1] {
            wheel.insert(
                wheel.instant(wheel.elapsed).unwrap() + Duration::from_nanos(10 + ns),
                Arc::new(Bell { number: ns, rung: rung.clone() }).into(),
            );
        }
        wheel.expire_exactly(wheel.instant(wheel.elapsed).unwrap() + Duration::from_nanos(13), &mut out);
        out.drain(..).for_each(Waker::wake);
        assert_eq!(*rung.lock().unwrap(), [1, 2, 3], "one jump, in the order of the deadlines");
        assert_eq!((wheel.len(), wheel.next_exactly()), (0, None));
    }

    #[test]
    fn a_deadline_beyond_all_ticks_never_fires() {
        let origin = Instant::now();
        let mut wheel = Timers::new(origin);
        let mut out = Vec::new();
        let beyond = (0..63).rev().find_map(|bits| origin.checked_add(Duration::from_secs(1 << bits))).unwrap();
        let key = wheel.insert(beyond, Waker::noop().clone());
        assert!(wheel.next().is_none_or(|next| next > origin + YEAR * 1_000_000));
        wheel.expire(beyond, &mut out);
        assert!(out.is_empty() && wheel.is_pending(key));
        assert!(wheel.cancel(key).is_some());
    }

    #[test]
    fn ten_million_cancelled_timers_leave_no_trace() {
        let mut dice = Dice(7);
        let mut wheel = Timers::new(Instant::now());
        let mut pending = std::collections::VecDeque::new();
        for _ in 0..10_000_000 {
            let deadline = wheel.origin + Duration::from_nanos(dice.roll() >> 20);
            pending.push_back(wheel.insert(deadline, Waker::noop().clone()));
            if pending.len() == 100 {
                let key = pending.pop_front().unwrap();
                assert!(wheel.cancel(key).is_some());
            }
        }
        assert_eq!(wheel.len(), 99);
        assert!(wheel.entries.capacity() <= 128, "{} places for 100 timers", wheel.entries.capacity());
    }

    #[test]
    fn a_million_are_pending_and_all_of_them_fire() {
        let mut dice = Dice(9);
        let mut wheel = Timers::new(Instant::now());
        for _ in 0..1_000_000 {
            wheel.insert(wheel.origin + Duration::from_nanos(dice.below(60_000_000_000)), Waker::noop().clone());
        }
        let (mut out, mut wakes) = (Vec::new(), 0);
        while let Some(next) = wheel.next() {
            let before = out.len();
            wheel.expire(next, &mut out);
            assert!(out.len() > before, "without cancels, no wake is for nothing");
            wakes += 1;
        }
        assert_eq!(out.len(), 1_000_000);
        assert!(wakes <= 60_000_000_000_u64 >> TICK_BITS);
    }

    #[test]
    fn a_wake_for_a_cancelled_timer_is_followed_by_better_ones() {
        let mut wheel = Timers::new(Instant::now());
        let hour = wheel.origin + Duration::from_secs(3600);
        let soon = wheel.insert(hour - Duration::from_secs(1), Waker::noop().clone());
        wheel.insert(hour, Waker::noop().clone());
        drop(wheel.cancel(soon));
        let (mut out, mut wakes) = (Vec::new(), 0);
        while out.is_empty() {
            let next = wheel.next().unwrap();
            assert!(next <= hour + TICK);
            wheel.expire(next, &mut out);
            wakes += 1;
        }
        assert!(wakes <= LEVELS, "{wakes} wakes for one timer");
    }

    #[test]
    fn an_old_key_names_nobody() {
        let mut wheel = Timers::new(Instant::now());
        let first = wheel.insert(wheel.origin + TICK, Waker::noop().clone());
        drop(wheel.cancel(first));
        // One static waker is not always equal to itself: its table may exist more than once.
        let other = Waker::from(Arc::new(Bell { number: 2, rung: Arc::default() }));
        let second = wheel.insert(wheel.origin + TICK, other.clone());
        assert_eq!(first.index, second.index, "the place is used again");
        assert!(!wheel.is_pending(first) && wheel.cancel(first).is_none() && wheel.is_pending(second));
        let bell = Arc::new(Bell { number: 1, rung: Arc::default() });
        let refused = wheel.update_waker(first, bell.clone().into());
        assert!(refused.will_wake(&Waker::from(bell.clone())), "a stale key changes nobody's waker");
        assert!(wheel.will_wake(second, &other));
        let old = wheel.update_waker(second, bell.clone().into());
        assert!(old.will_wake(&other) && wheel.will_wake(second, &bell.into()));
    }

    #[test]
    fn clear_hands_out_everything() {
        let mut wheel = Timers::new(Instant::now());
        let mut out = Vec::new();
        let keys: Vec<_> = (0..100).map(|n| wheel.insert(wheel.origin + YEAR * n, Waker::noop().clone())).collect();
        wheel.clear(&mut out);
        assert_eq!((out.len(), wheel.len(), wheel.next()), (100, 0, None));
        assert!(keys.into_iter().all(|key| wheel.cancel(key).is_none()));
        wheel.insert(wheel.origin + TICK, Waker::noop().clone());
        wheel.expire(wheel.origin + TICK, &mut out);
        assert_eq!(out.len(), 101, "the wheel is as good as new");
    }
}
