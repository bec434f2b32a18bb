//! Who is in flight: one slot for each entry, from its push to its final completion.

use crate::{
    driver::{Few, Outlook, close::close_never_began, direct, lending::Lending, poll::SourceId, stream::Stream},
    entry::{Cqe, Interest, Sqe, SqeFlags, Twin},
};
use slab::Slab;
use std::{os::fd::RawFd, task::Waker, time::Instant};

/// The name of an entry in flight, and the `user_data` of its SQE: the slot's index below, its generation above.
///
/// **Settled**: a generation is given out once in 2^32 pushes, so a completion that comes late, twice or from a
/// stranger finds nobody. It is counted then, and never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The index that no slot has: entries with it are the driver's own.
    const OWN: u32 = u32::MAX;

    /// The name of the driver's own entry number `n`.
    #[allow(dead_code, reason = "where there is no ring, there are no such entries")]
    pub(crate) const fn own(n: u32) -> Key {
        Key { index: Key::OWN, generation: n }
    }

    /// As an SQE carries it.
    pub(crate) const fn user_data(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// As a CQE returns it; any number may come.
    pub(crate) const fn from_user_data(word: u64) -> Key {
        Key { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// An operation whose future is gone. Somebody must still receive its completion.
pub(crate) trait Orphan {
    /// Finishes the operation with its last completion, and drops its output. `earlier` are the completions before it
    /// that were not fetched; only a stream has any.
    fn settle(self: Box<Self>, earlier: Few<Cqe>, last: Cqe);
}

/// Who waits for the completion.
pub(crate) enum Owner {
    /// A future, to be woken.
    Future(Waker),
    /// The future of a stream, which was woken and has not asked since.
    Awake,
    /// Nobody any more; the operation lies here, because its memory is lent.
    Orphan(Box<dyn Orphan>),
    /// The last reference to a descriptor: this is its close. It has a number, or is a direct one.
    Close(Option<RawFd>),
    /// A future that has its completion and has not fetched it.
    Done(Cqe),
    /// A future, at a driver that gave up waiting: the memory stays lent for ever.
    Lost,
}

/// Where the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// With the backend, as the SQE it is.
    Native,
    /// Its twin waits for readiness, by a POLL_ADD on the ring.
    Waiting,
    /// Its twin waits for readiness, in the queue of a source.
    Queued(SourceId, Interest),
    /// Its twin is with the pool.
    Pool,
    /// With nobody, until this time.
    Later(Instant),
    /// With nobody, until a buffer comes back to its group.
    Starved,
    /// With nobody, until somebody asks for more.
    Resting,
}

/// One entry in flight.
pub(crate) struct Slot {
    pub(super) generation: u32,
    pub(crate) owner: Owner,
    pub(crate) stage: Stage,
    /// An early end was asked for: what the twin has not done by now it need not begin.
    pub(crate) cancelled: bool,
    /// How often the twin was called.
    pub(crate) attempt: u32,
    pub(crate) sqe: Sqe,
    pub(crate) twin: &'static Twin,
    /// An `Fd` owns the descriptor, and will report its close.
    pub(crate) owned: bool,
    /// Where the poll driver watches the descriptor, as far as its `Fd` knows.
    pub(crate) source: Option<SourceId>,
    /// There, if the request is answered many times.
    pub(crate) stream: Option<Box<Stream>>,
    /// Whether its memory is lent for longer than until its result, and how far it is.
    pub(crate) lending: Lending,
}

impl Slot {
    /// What a new entry's slot holds.
    pub(crate) fn new(sqe: Sqe, twin: &'static Twin, owner: Owner) -> Slot {
        Slot {
            generation: 0,
            owner,
            stage: Stage::Native,
            cancelled: false,
            attempt: 0,
            sqe,
            twin,
            owned: false,
            source: None,
            stream: None,
            lending: Lending::No,
        }
    }

    /// Whether its buffers come from a group.
    pub(crate) fn selects(&self) -> bool {
        self.sqe.flags.contains(SqeFlags::BUFFER_SELECT)
    }

    /// Who counts the buffers that it takes: itself, if it is a stream that may only have so many.
    pub(crate) fn counts_as(&self) -> Option<u64> {
        self.stream.as_ref().filter(|stream| stream.is_limited()).map(|_| self.sqe.user_data)
    }

    /// Whether nothing lies in it that a stream gave before its last completion.
    fn is_fetched(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.queue.is_empty())
    }
}

/// Calls a twin on this thread, until it is not interrupted.
pub(crate) fn call(twin: &Twin, sqe: &Sqe, attempt: u32) -> i32 {
    loop {
        // SAFETY: Lent: the operation that encoded this entry has not been finished, so what it names is still lent.
        let res = unsafe { (twin.call)(sqe, attempt) };
        if res != -libc::EINTR {
            return res;
        }
    }
}

/// What became of an operation that its future gave up.
pub(crate) enum Fate {
    /// It is in flight and parked in its slot: somebody should cancel it.
    InFlight,
    /// It had completed: it is to be settled now, outside the driver.
    Done(Box<dyn Orphan>, Few<Cqe>, Cqe),
    /// Its driver gave up on it: it must be leaked.
    Lost(Box<dyn Orphan>),
}

/// What a completion asks of the world outside the driver.
pub(crate) enum Effect {
    /// Wake this future.
    Wake(Waker),
    /// Settle this operation.
    Settle(Box<dyn Orphan>, Few<Cqe>, Cqe),
    /// Close this number: its CLOSE never began.
    Close(RawFd),
    /// Nothing.
    None,
}

/// All slots of a driver.
pub(crate) struct Slots {
    all: Slab<Slot>,
    next_generation: u32,
    /// How many final completions are owed. Not the number of slots: a forgotten future never reads its slot.
    owed: usize,
    most: usize,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots { all: Slab::new(), next_generation: 0, owed: 0, most: 0 }
    }

    /// Takes in an entry, and writes its name into it.
    pub(crate) fn insert(&mut self, mut slot: Slot) -> Key {
        let (generation, entry) = (self.next_generation, self.all.vacant_entry());
        let index = u32::try_from(entry.key()).unwrap_or(Key::OWN);
        assert!(index != Key::OWN, "annulus: 2^32 operations are in flight");
        let key = Key { index, generation };
        slot.sqe.user_data = key.user_data();
        slot.generation = generation;
        entry.insert(slot);
        self.next_generation = generation.wrapping_add(1);
        self.owed += 1;
        self.most = self.most.max(self.all.len());
        key
    }

    /// The slot of `key`, unless it is gone or never was.
    pub(crate) fn get(&mut self, key: Key) -> Option<&mut Slot> {
        self.all.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    /// How many final completions are owed.
    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    /// How many slots are taken, settled ones included.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many were taken at once at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// The next completion of `key`, if one is there; with the last one, the slot is free.
    pub(crate) fn take(&mut self, key: Key) -> Option<Cqe> {
        let slot = self.get(key)?;
        if let Some(cqe) = slot.stream.as_mut().and_then(|stream| stream.queue.pop_front()) {
            return Some(cqe);
        }
        if let Some(result) = slot.lending.fetch() {
            return Some(result);
        }
        let Owner::Done(cqe) = slot.owner else { return None };
        self.all.remove(key.index as usize);
        Some(cqe)
    }

    /// Whether a stream rests in `key`'s slot that could go on: all it gave was fetched, and it may have more buffers.
    pub(crate) fn rests(&mut self, key: Key) -> bool {
        let has_credit = |slot: &Slot| slot.stream.as_ref().is_none_or(|stream| stream.has_credit());
        self.get(key).is_some_and(|slot| slot.stage == Stage::Resting && slot.is_fetched() && has_credit(slot))
    }

    /// Whether `waker` differs from the one that waits in the slot.
    pub(crate) fn wants(&mut self, key: Key, waker: &Waker) -> bool {
        match self.get(key).map(|slot| &slot.owner) {
            Some(Owner::Future(current)) => !current.will_wake(waker),
            Some(Owner::Awake) => true,
            _ => false,
        }
    }

    /// Puts `waker` in the slot, and hands out what is not needed: dropping it runs somebody else's code.
    pub(crate) fn set_waker(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        match self.get(key).map(|slot| &mut slot.owner) {
            Some(Owner::Future(current)) => Some(std::mem::replace(current, waker)),
            Some(owner @ Owner::Awake) => {
                *owner = Owner::Future(waker);
                None
            }
            _ => Some(waker),
        }
    }

    /// Parks the operation of a future that is gone. The waker is handed out, to be dropped outside the driver.
    pub(crate) fn abandon(&mut self, key: Key, op: Box<dyn Orphan>) -> (Fate, Option<Waker>) {
        let Some(slot) = self.get(key) else { return (Fate::Lost(op), None) };
        match &slot.owner {
            Owner::Done(cqe) => {
                let cqe = *cqe;
                let slot = self.all.remove(key.index as usize);
                (Fate::Done(op, slot.stream.map(|stream| stream.queue).unwrap_or_default(), cqe), None)
            }
            Owner::Future(_) | Owner::Awake => match std::mem::replace(&mut slot.owner, Owner::Orphan(op)) {
                Owner::Future(waker) => (Fate::InFlight, Some(waker)),
                _ => (Fate::InFlight, None),
            },
            // A slot that was given up, and (never, by Home) one that belongs to somebody else.
            Owner::Lost | Owner::Orphan(_) | Owner::Close(_) => (Fate::Lost(op), None),
        }
    }

    /// Keeps one of a stream's completions that is not the last. `None` if nobody has that name, or it is no stream.
    pub(crate) fn add(&mut self, key: Key, cqe: Cqe) -> Option<Effect> {
        let slot = self.get(key)?;
        slot.stream.as_mut()?.queue.push_back(cqe);
        self.rouse(key)
    }

    /// Wakes whoever waits for a completion of `key`'s that is not the last.
    pub(crate) fn rouse(&mut self, key: Key) -> Option<Effect> {
        let slot = self.get(key)?;
        if !matches!(slot.owner, Owner::Future(_)) {
            return Some(Effect::None);
        }
        match std::mem::replace(&mut slot.owner, Owner::Awake) {
            Owner::Future(waker) => Some(Effect::Wake(waker)),
            _ => Some(Effect::None),
        }
    }

    /// Settles `key` with its final completion. `None` if nobody has that name.
    pub(crate) fn complete(&mut self, key: Key, cqe: Cqe) -> Option<Effect> {
        let slot = self.get(key)?;
        if matches!(slot.owner, Owner::Done(_)) {
            return None;
        }
        let effect = match std::mem::replace(&mut slot.owner, Owner::Done(cqe)) {
            Owner::Future(waker) => return self.settled(Effect::Wake(waker)),
            Owner::Awake => return self.settled(Effect::None),
            Owner::Orphan(op) => {
                let earlier = slot.stream.take().map(|stream| stream.queue).unwrap_or_default();
                Effect::Settle(op, earlier, cqe)
            }
            Owner::Close(Some(fd)) if close_never_began(cqe.res) => Effect::Close(fd),
            Owner::Close(_) | Owner::Lost | Owner::Done(_) => Effect::None,
        };
        self.all.remove(key.index as usize);
        self.settled(effect)
    }

    fn settled(&mut self, effect: Effect) -> Option<Effect> {
        self.owed -= 1;
        Some(effect)
    }

    /// The names of all entries that are owed a completion, as far as they are `meant`.
    pub(crate) fn in_flight(&self, meant: impl Fn(&Slot) -> bool) -> Vec<Key> {
        let waits = |slot: &Slot| !matches!(slot.owner, Owner::Done(_)) && meant(slot);
        let key = |(index, slot): (usize, &Slot)| Key { index: index as u32, generation: slot.generation };
        self.all.iter().filter(|(_, slot)| waits(slot)).map(key).collect()
    }

    /// What is to be expected of the entries that are owed a completion.
    pub(crate) fn outlook(&self) -> Outlook {
        let ends = |slot: &Slot| direct::ends(slot.twin);
        match self.owed {
            0 => Outlook::Rests,
            _ if self.all.iter().any(|(_, slot)| !matches!(slot.owner, Owner::Done(_)) && ends(slot)) => Outlook::Ends,
            _ => Outlook::Waits,
        }
    }

    /// Gives up on everything that is owed a completion, and forgets the operations: their memory stays lent for ever.
    /// Returns how many, and the wakers of the futures that will never be answered.
    pub(crate) fn give_up(&mut self) -> (usize, Vec<Waker>) {
        let mut wakers = Vec::new();
        let lost = self.owed;
        for (_, slot) in &mut self.all {
            if matches!(slot.owner, Owner::Done(_)) {
                continue;
            }
            match std::mem::replace(&mut slot.owner, Owner::Lost) {
                Owner::Future(waker) => wakers.push(waker),
                Owner::Orphan(op) => std::mem::forget(op),
                Owner::Awake | Owner::Close(_) | Owner::Lost | Owner::Done(_) => {}
            }
        }
        self.owed = 0;
        (lost, wakers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, sync::Arc, task::Wake};

    static TWIN: Twin = Twin::here(|_, _| 0);

    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    struct Count(Rc<Cell<u32>>);
    impl Orphan for Count {
        fn settle(self: Box<Self>, _: Few<Cqe>, _: Cqe) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn future() -> Owner {
        Owner::Future(Arc::new(Nobody).into())
    }

    #[test]
    fn a_key_survives_user_data() {
        let key = Key { index: 7, generation: u32::MAX };
        assert_eq!(Key::from_user_data(key.user_data()), key);
        assert_eq!(Key::from_user_data(Key::own(1).user_data()), Key::own(1));
    }

    #[test]
    fn stale_and_foreign_keys_find_nobody() {
        let mut slots = Slots::new();
        slots.next_generation = u32::MAX;
        let old = slots.insert(Slot::new(Sqe::nop(), &TWIN, future()));
        assert!(slots.complete(old, Cqe::new(0, 1)).is_some());
        assert!(slots.complete(old, Cqe::new(0, 2)).is_none(), "a second final completion");
        assert_eq!(slots.take(old).unwrap().res, 1);
        let new = slots.insert(Slot::new(Sqe::nop(), &TWIN, future()));
        assert_eq!(new.index, old.index, "the slot is used again");
        assert!(slots.complete(old, Cqe::new(0, 3)).is_none(), "the old name is gone");
        assert!(slots.complete(Key::from_user_data(0xdead_beef), Cqe::default()).is_none());
        assert_eq!((slots.owed(), slots.len()), (1, 1));
        assert!(slots.take(new).is_none());
    }

    #[test]
    fn an_abandoned_operation_settles_once() {
        let (mut slots, count) = (Slots::new(), Rc::new(Cell::new(0)));
        let key = slots.insert(Slot::new(Sqe::nop(), &TWIN, future()));
        let (fate, waker) = slots.abandon(key, Box::new(Count(count.clone())));
        assert!(matches!(fate, Fate::InFlight) && waker.is_some());
        let Some(Effect::Settle(op, earlier, cqe)) = slots.complete(key, Cqe::new(0, 0)) else {
            panic!("nobody to settle")
        };
        op.settle(earlier, cqe);
        assert_eq!((count.get(), slots.owed(), slots.len()), (1, 0, 0));
    }

    #[test]
    fn what_is_given_up_is_leaked_and_not_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("lent memory was freed");
            }
        }
        impl Orphan for Bomb {
            fn settle(self: Box<Self>, _: Few<Cqe>, _: Cqe) {}
        }
        let mut slots = Slots::new();
        let orphan = slots.insert(Slot::new(Sqe::nop(), &TWIN, future()));
        slots.abandon(orphan, Box::new(Bomb));
        let kept = slots.insert(Slot::new(Sqe::nop(), &TWIN, future()));
        let (lost, wakers) = slots.give_up();
        assert_eq!((lost, wakers.len(), slots.owed()), (2, 1, 0));
        let (fate, _) = slots.abandon(kept, Box::new(Bomb));
        let Fate::Lost(op) = fate else { panic!("a lost slot must say so") };
        std::mem::forget(op);
    }

    #[test]
    fn a_cancelled_close_is_made_up_for() {
        let mut slots = Slots::new();
        let key = slots.insert(Slot::new(Sqe::nop(), &TWIN, Owner::Close(Some(9))));
        assert!(matches!(slots.complete(key, Cqe::new(0, -libc::ECANCELED)), Some(Effect::Close(9))));
        let key = slots.insert(Slot::new(Sqe::nop(), &TWIN, Owner::Close(Some(9))));
        assert!(matches!(slots.complete(key, Cqe::new(0, 0)), Some(Effect::None)));
    }
}
