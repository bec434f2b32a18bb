//! Who is in flight: one slot for each entry, from its push to its final completion.

use crate::{
    driver::{
        Answers, Outlook, close::close_never_began, direct, later::Ticket, lending::Lending, source::SourceId,
        stream::Stream,
    },
    entry::{Cqe, CqeFlags, Interest, Sqe, SqeFlags, Twin},
};
use std::{mem, os::fd::RawFd, task::Waker};

/// The name of an entry in flight, and the `user_data` of its SQE: the slot's index below, its generation above.
///
/// **Settled**: a generation is given out once in 2^32 pushes, so a completion that comes late, twice or from a
/// stranger finds nobody. It is counted then, and never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    /// The index that no slot has: entries with it are the driver's own.
    const OWN: u32 = u32::MAX;
    /// All indices of slots are below.
    const END: u32 = i32::MAX as u32;
    /// From this number on, the driver's own entries are the POLLs of watches.
    const WATCHES: u32 = 16;

    const fn new(index: u32, generation: u32) -> Key {
        Key((generation as u64) << 32 | index as u64)
    }

    /// The name of the driver's own entry number `n`.
    pub(crate) const fn own(n: u32) -> Key {
        Key::new(Key::OWN, n)
    }

    /// The name of the POLL of the watch at `index`. The numbers below are the driver's other entries'.
    #[allow(dead_code, reason = "where there is no ring, there are no such entries")]
    pub(crate) const fn watch(index: u32) -> Key {
        Key::own(Key::WATCHES + index)
    }

    /// Which watch it may be the name of.
    #[allow(dead_code, reason = "where there is no ring, there are no such entries")]
    pub(crate) fn as_watch(self) -> Option<u32> {
        let number = (self.0 >> 32) as u32;
        if self.is_own() { number.checked_sub(Key::WATCHES) } else { None }
    }

    /// Whether it may be the name of the driver's own entry.
    #[allow(dead_code, reason = "where there is no ring, there are no such entries")]
    pub(crate) const fn is_own(self) -> bool {
        self.0 as u32 == Key::OWN
    }

    fn index(self) -> usize {
        self.0 as u32 as usize
    }

    /// As an SQE carries it.
    pub(crate) const fn user_data(self) -> u64 {
        self.0
    }

    /// As a CQE returns it; any number may come.
    pub(crate) const fn from_user_data(word: u64) -> Key {
        Key(word)
    }
}

/// An operation whose future is gone. Somebody must still receive its completion.
pub(crate) trait Orphan {
    /// Finishes the operation with its last completion, and drops its output. `earlier` are the completions before it
    /// that were not fetched; only a stream has any.
    fn settle(self: Box<Self>, earlier: Answers, last: Cqe);
}

/// What a completion says beside the name that it came for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    res: i32,
    flags: CqeFlags,
}

impl Answer {
    fn of(cqe: Cqe) -> Answer {
        Answer { res: cqe.res, flags: cqe.flags }
    }

    fn to(self, key: Key) -> Cqe {
        Cqe { user_data: key.user_data(), res: self.res, flags: self.flags }
    }
}

/// Who waits for the completion.
pub(crate) enum Owner {
    /// Nobody: the slot is free, and this is the next one that is.
    Free(u32),
    /// A future, to be woken.
    Future(Waker),
    /// The future of a stream or of what lends memory, which was woken and has not asked since.
    Awake,
    /// Nobody any more; the operation lies here, because its memory is lent.
    Orphan(Box<dyn Orphan>),
    /// The last reference to a descriptor: this is its close. It has a number, or is a direct one.
    Close(Option<RawFd>),
    /// A future that has its result and has not fetched it; the memory is lent for longer, or for ever.
    Told { result: Answer, lost: bool },
    /// A future that has its completion and has not fetched it.
    Done(Answer),
    /// The same, with the result before it.
    Both(Answer, Answer),
    /// A future, at a driver that gave up waiting: the memory stays lent for ever.
    Lost,
}

impl Owner {
    /// Whether no completion is owed.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Owner::Done(_) | Owner::Both(..) | Owner::Free(_))
    }
}

/// Where the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// With the backend, as the SQE it is.
    Native,
    /// Its twin waits for readiness, by a POLL_ADD on the ring.
    Waiting,
    /// Its twin waits for readiness, in the queue of a source.
    Queued(Interest),
    /// Its twin waits for its socket, at a watch of the ring's.
    Watched,
    /// Its twin is with the pool.
    Pool,
    /// With nobody, until the time of this ticket.
    Later(Ticket),
    /// With nobody, until its group has a buffer and its turn comes.
    Starved,
    /// With nobody, until somebody asks for more.
    Resting,
}

/// One entry in flight. In two lines of the cache, of which each look at it takes both.
#[repr(align(64))]
pub(crate) struct Slot {
    /// Its `user_data` is the slot's name; that of a free one names nobody.
    pub(crate) sqe: Sqe,
    pub(crate) owner: Owner,
    pub(crate) twin: &'static Twin,
    /// There, if the request is answered many times.
    pub(crate) stream: Option<Box<Stream>>,
    pub(crate) stage: Stage,
    /// Where the driver watches the descriptor, as far as its `Fd` knows.
    pub(crate) source: Option<SourceId>,
    /// How often the twin was called.
    pub(crate) attempt: u32,
    /// An early end was asked for: what the twin has not done by now it need not begin.
    pub(crate) cancelled: bool,
    /// An `Fd` owns the descriptor, and will report its close.
    pub(crate) owned: bool,
    /// Whether its memory is lent for longer than until its result, and how far it is.
    pub(crate) lending: Lending,
}

// An idle connection keeps one.
static_assertions::const_assert!(size_of::<Slot>() <= 128);

/// The twin of no entry.
static NOTHING: Twin = Twin::here(|_, _| -libc::ENOSYS);

impl Slot {
    /// One that nobody has taken yet.
    pub(super) fn unused() -> Slot {
        Slot {
            sqe: Sqe { user_data: Key::own(0).user_data(), ..Sqe::default() },
            owner: Owner::Free(Key::OWN),
            twin: &NOTHING,
            stream: None,
            stage: Stage::Native,
            source: None,
            attempt: 0,
            cancelled: false,
            owned: false,
            lending: Lending::No,
        }
    }

    /// The name of the entry in it.
    pub(crate) fn key(&self) -> Key {
        Key::from_user_data(self.sqe.user_data)
    }

    /// Whether its buffers come from a group.
    pub(crate) fn selects(&self) -> bool {
        self.sqe.flags.contains(SqeFlags::BUFFER_SELECT)
    }

    /// Whether it is answered once, and never by a step of something else.
    pub(crate) fn is_plain(&self) -> bool {
        self.stream.is_none() && self.lending == Lending::No
    }

    /// Whether a completion is its entry's only answer.
    fn is_answered_once(&self, cqe: Cqe) -> bool {
        self.stage == Stage::Native && self.is_plain() && !self.selects() && cqe.is_final()
    }

    /// Whether a completion is its only answer, and needs no look at what it may mean: EAGAIN may be that of a
    /// descriptor that does not block, EINVAL that of a flag, and ECANCELED that of a kernel without a thread.
    pub(crate) fn is_answered_by(&self, cqe: Cqe) -> bool {
        self.is_answered_once(cqe)
            && !(cqe.res < 0 && [-libc::EAGAIN, -libc::EINVAL, -libc::ECANCELED].contains(&cqe.res))
    }

    /// Whether its entry ended before it began, though nobody asked for that.
    pub(crate) fn lacked_a_worker(&self, cqe: Cqe) -> bool {
        cqe.res == -libc::ECANCELED && !self.cancelled && self.is_answered_once(cqe)
    }

    /// Who counts the buffers that it takes: itself, if it is a stream that may only have so many.
    pub(crate) fn counts_as(&self) -> Option<u64> {
        self.stream.as_ref().filter(|stream| stream.is_limited()).map(|_| self.sqe.user_data)
    }

    /// Takes what a stream gave before its last completion.
    fn take_queue(&mut self) -> Answers {
        self.stream.take().map(|stream| stream.queue).unwrap_or_default()
    }

    /// Wakes whoever waits for a completion that is not the last, and notes who has it.
    fn rouse(&mut self, told: Owner) -> Effect {
        match self.owner {
            Owner::Future(_) | Owner::Awake => match mem::replace(&mut self.owner, told) {
                Owner::Future(waker) => Effect::Wake(waker),
                _ => Effect::None,
            },
            _ => Effect::None,
        }
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
    Done(Box<dyn Orphan>, Answers, Cqe),
    /// Its driver gave up on it: it must be leaked.
    Lost(Box<dyn Orphan>),
}

/// What a completion asks of the world outside the driver.
pub(crate) enum Effect {
    /// Wake this future.
    Wake(Waker),
    /// Settle this operation.
    Settle(Box<dyn Orphan>, Answers, Cqe),
    /// Close this number: its CLOSE never began.
    Close(RawFd),
    /// Nothing.
    None,
}

/// All slots of a driver.
///
/// A vector whose free slots are a list: an entry is written into the slot that was free last, and keeps its
/// index; the slots themselves move when the vector grows.
pub(crate) struct Slots {
    all: Vec<Slot>,
    /// The first free slot; the index that no slot has, if there is none.
    free: u32,
    next_generation: u32,
    /// How many slots are taken.
    taken: usize,
    /// How many final completions are owed. Not the number of slots: a forgotten future never reads its slot.
    owed: usize,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots { all: Vec::new(), free: Key::OWN, next_generation: 0, taken: 0, owed: 0 }
    }

    /// Takes in an entry, and writes its name into it.
    #[inline(always)] // so that the slot is written once, with what its owner has to say of it
    pub(crate) fn insert(&mut self, sqe: &Sqe, twin: &'static Twin, owner: Owner) -> &mut Slot {
        let index = if self.free == Key::OWN { self.grow() } else { self.free };
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        self.taken += 1;
        self.owed += 1;
        let slot = &mut self.all[index as usize];
        let Owner::Free(next) = slot.owner else { unreachable!("a slot of the list is free") };
        self.free = next;
        slot.sqe = *sqe;
        slot.sqe.user_data = Key::new(index, generation).user_data();
        slot.owner = owner;
        slot.twin = twin;
        (slot.stage, slot.source, slot.attempt) = (Stage::Native, None, 0);
        (slot.cancelled, slot.owned, slot.lending) = (false, false, Lending::No);
        slot
    }

    /// Makes one slot more. There are as many as were taken at once at most.
    #[cold]
    fn grow(&mut self) -> u32 {
        let index = u32::try_from(self.all.len()).unwrap_or(Key::OWN);
        assert!(index < Key::END, "annulus: 2^31 operations are in flight");
        self.all.push(Slot::unused());
        index
    }

    /// Frees the slot of `key`, of which nobody has to hear any more.
    #[inline(always)] // so that it is known what there is to drop: mostly nothing
    fn free(&mut self, key: Key) {
        let slot = &mut self.all[key.index()];
        slot.sqe.user_data = Key::own(0).user_data();
        (slot.owner, slot.stream) = (Owner::Free(self.free), None);
        self.free = key.index() as u32;
        self.taken -= 1;
    }

    /// The slot of `key`, unless it is gone or never was.
    #[inline]
    pub(crate) fn get(&mut self, key: Key) -> Option<&mut Slot> {
        self.all.get_mut(key.index()).filter(|slot| slot.sqe.user_data == key.user_data())
    }

    /// How many final completions are owed.
    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    /// How many slots are taken, settled ones included.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// How many were taken at once at most.
    pub(crate) fn most(&self) -> usize {
        self.all.len()
    }

    /// The next completion of `key`, if one is there; with the last one, the slot is free.
    #[inline]
    pub(crate) fn take(&mut self, key: Key) -> Option<Cqe> {
        let slot = self.get(key)?;
        match slot.owner {
            Owner::Done(last) if slot.stream.is_none() => {
                self.free(key);
                Some(last.to(key))
            }
            _ => self.take_one(key),
        }
    }

    /// The next completion of `key`, which may be one of several.
    #[inline(never)]
    fn take_one(&mut self, key: Key) -> Option<Cqe> {
        let slot = self.get(key)?;
        if let Some(cqe) = slot.stream.as_mut().and_then(|stream| stream.queue.pop_front()) {
            return Some(cqe);
        }
        match slot.owner {
            Owner::Done(last) => {
                self.free(key);
                Some(last.to(key))
            }
            Owner::Told { result, lost } => {
                slot.owner = if lost { Owner::Lost } else { Owner::Awake };
                Some(result.to(key))
            }
            Owner::Both(result, last) => {
                slot.owner = Owner::Done(last);
                Some(result.to(key))
            }
            _ => None,
        }
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
            Some(Owner::Future(current)) => Some(mem::replace(current, waker)),
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
        match slot.owner {
            Owner::Done(last) | Owner::Both(_, last) => {
                let earlier = slot.take_queue();
                self.free(key);
                (Fate::Done(op, earlier, last.to(key)), None)
            }
            Owner::Future(_) | Owner::Awake | Owner::Told { lost: false, .. } => {
                match mem::replace(&mut slot.owner, Owner::Orphan(op)) {
                    Owner::Future(waker) => (Fate::InFlight, Some(waker)),
                    _ => (Fate::InFlight, None),
                }
            }
            // A slot that was given up, and (never, by Home) one that belongs to somebody else.
            _ => (Fate::Lost(op), None),
        }
    }

    /// Keeps one of a stream's completions that is not the last. `None` if nobody has that name, or it is no stream.
    pub(crate) fn add(&mut self, key: Key, cqe: Cqe) -> Option<Effect> {
        let slot = self.get(key)?;
        slot.stream.as_mut()?.queue.push_back(cqe);
        Some(slot.rouse(Owner::Awake))
    }

    /// Keeps the result of what lends its memory for longer. `None` if nobody has that name.
    pub(crate) fn add_result(&mut self, key: Key, result: Cqe) -> Option<Effect> {
        let slot = self.get(key)?;
        Some(slot.rouse(Owner::Told { result: Answer::of(result), lost: false }))
    }

    /// Settles `key` with its final completion if a future waits for it, and gives its waker.
    #[inline]
    pub(crate) fn answer(&mut self, key: Key, last: Cqe) -> Option<Waker> {
        let slot = self.get(key)?;
        if !matches!(slot.owner, Owner::Future(_)) {
            return None;
        }
        let Owner::Future(waker) = mem::replace(&mut slot.owner, Owner::Done(Answer::of(last))) else { return None };
        self.owed -= 1;
        Some(waker)
    }

    /// Settles `key` with its final completion. `None` if nobody has that name.
    pub(crate) fn complete(&mut self, key: Key, last: Cqe) -> Option<Effect> {
        let slot = self.get(key)?;
        if slot.owner.is_settled() {
            return None;
        }
        let (effect, is_heard) = match mem::replace(&mut slot.owner, Owner::Done(Answer::of(last))) {
            Owner::Future(waker) => (Effect::Wake(waker), true),
            Owner::Awake => (Effect::None, true),
            Owner::Told { result, .. } => {
                slot.owner = Owner::Both(result, Answer::of(last));
                (Effect::None, true)
            }
            Owner::Orphan(op) => (Effect::Settle(op, slot.take_queue(), last), false),
            Owner::Close(Some(fd)) if close_never_began(last.res) => (Effect::Close(fd), false),
            _ => (Effect::None, false),
        };
        self.owed -= 1;
        if !is_heard {
            self.free(key);
        }
        Some(effect)
    }

    /// The names of all entries that are owed a completion, as far as they are `meant`.
    pub(crate) fn in_flight(&self, meant: impl Fn(&Slot) -> bool) -> Vec<Key> {
        self.all.iter().filter(|slot| !slot.owner.is_settled() && meant(slot)).map(Slot::key).collect()
    }

    /// What is to be expected of the entries that are owed a completion.
    pub(crate) fn outlook(&self) -> Outlook {
        let ends = |slot: &Slot| direct::ends(slot.twin);
        match self.owed {
            0 => Outlook::Rests,
            _ if self.all.iter().any(|slot| !slot.owner.is_settled() && ends(slot)) => Outlook::Ends,
            _ => Outlook::Waits,
        }
    }

    /// Gives up on everything that is owed a completion, and forgets the operations: their memory stays lent for ever.
    /// Returns how many, and the wakers of the futures that will never be answered.
    pub(crate) fn give_up(&mut self) -> (usize, Vec<Waker>) {
        let mut wakers = Vec::new();
        let lost = self.owed;
        for slot in self.all.iter_mut().filter(|slot| !slot.owner.is_settled()) {
            match mem::replace(&mut slot.owner, Owner::Lost) {
                Owner::Future(waker) => wakers.push(waker),
                Owner::Orphan(op) => mem::forget(op),
                Owner::Told { result, .. } => slot.owner = Owner::Told { result, lost: true },
                _ => {}
            }
        }
        self.owed = 0;
        (lost, wakers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{After, Multishot};
    use std::{cell::Cell, rc::Rc, sync::Arc, task::Wake};

    static TWIN: Twin = Twin::here(|_, _| 0);

    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    struct Count(Rc<Cell<u32>>);
    impl Orphan for Count {
        fn settle(self: Box<Self>, _: Answers, _: Cqe) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn future() -> Owner {
        Owner::Future(Arc::new(Nobody).into())
    }

    #[test]
    fn a_key_survives_user_data() {
        let key = Key::new(7, u32::MAX);
        assert_eq!(Key::from_user_data(key.user_data()), key);
        assert_eq!(Key::from_user_data(Key::own(1).user_data()), Key::own(1));
    }

    #[test]
    fn stale_and_foreign_keys_find_nobody() {
        let mut slots = Slots::new();
        slots.next_generation = u32::MAX;
        let old = slots.insert(&Sqe::nop(), &TWIN, future()).key();
        assert!(slots.complete(old, Cqe::new(0, 1)).is_some());
        assert!(slots.complete(old, Cqe::new(0, 2)).is_none(), "a second final completion");
        assert_eq!(slots.take(old).unwrap().res, 1);
        let new = slots.insert(&Sqe::nop(), &TWIN, future()).key();
        assert_eq!(new.index(), old.index(), "the slot is used again");
        assert!(slots.complete(old, Cqe::new(0, 3)).is_none(), "the old name is gone");
        assert!(slots.complete(Key::from_user_data(0xdead_beef), Cqe::default()).is_none());
        assert_eq!((slots.owed(), slots.len()), (1, 1));
        assert!(slots.take(new).is_none());
    }

    #[test]
    fn an_abandoned_operation_settles_once() {
        let (mut slots, count) = (Slots::new(), Rc::new(Cell::new(0)));
        let key = slots.insert(&Sqe::nop(), &TWIN, future()).key();
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
            fn settle(self: Box<Self>, _: Answers, _: Cqe) {}
        }
        let mut slots = Slots::new();
        let orphan = slots.insert(&Sqe::nop(), &TWIN, future()).key();
        slots.abandon(orphan, Box::new(Bomb));
        let kept = slots.insert(&Sqe::nop(), &TWIN, future()).key();
        let (lost, wakers) = slots.give_up();
        assert_eq!((lost, wakers.len(), slots.owed()), (2, 1, 0));
        let (fate, _) = slots.abandon(kept, Box::new(Bomb));
        let Fate::Lost(op) = fate else { panic!("a lost slot must say so") };
        std::mem::forget(op);
    }

    /// Red when a step of a twin, one answer of many, or the half of what is owed is told as all of it.
    #[test]
    fn only_a_plain_answer_needs_no_second_look() {
        let (mut slots, one) = (Slots::new(), Cqe::new(0, 1));
        let slot = slots.insert(&Sqe::nop(), &TWIN, future());
        assert!(slot.is_answered_by(one) && slot.is_answered_by(Cqe::new(0, -libc::EIO)));
        let first = Cqe { flags: CqeFlags::MORE, ..one };
        for cqe in [first, Cqe::new(0, -libc::EAGAIN), Cqe::new(0, -libc::EINVAL)] {
            assert!(!slot.is_answered_by(cqe), "{cqe:?}");
        }
        let differs: [fn(&mut Slot); 4] = [
            |slot| slot.stage = Stage::Waiting,
            |slot| slot.lending = Lending::Sent,
            |slot| slot.sqe.flags = SqeFlags::BUFFER_SELECT,
            |slot| slot.stream = Some(Stream::new(&RULE, 1)),
        ];
        for differ in differs {
            let slot = slots.insert(&Sqe::nop(), &TWIN, future());
            differ(slot);
            assert!(!slot.is_answered_by(one));
        }
    }

    static RULE: Multishot = Multishot { flag: None, after: |_| After::More };

    /// Red when one of the two is lost, comes twice, or is fetched before the other; and when memory is freed that a
    /// driver gave up on.
    #[test]
    fn a_result_and_the_end_are_fetched_in_their_order() {
        let (result, end) = (Cqe { flags: CqeFlags::MORE, ..Cqe::new(0, 5) }, Cqe::notification(0, true));
        let answer = |cqe: Option<Cqe>| cqe.map(|cqe| (cqe.res, cqe.flags));
        let [told, ended] = [result, end].map(|cqe| answer(Some(cqe)));
        for fetched_between in [false, true] {
            let mut slots = Slots::new();
            let key = slots.insert(&Sqe::nop(), &TWIN, future()).key();
            assert!(matches!(slots.add_result(key, result), Some(Effect::Wake(_))));
            if fetched_between {
                assert_eq!((answer(slots.take(key)), answer(slots.take(key))), (told, None));
            }
            assert!(matches!(slots.complete(key, end), Some(Effect::None)) && slots.complete(key, end).is_none());
            if !fetched_between {
                assert_eq!(answer(slots.take(key)), told);
            }
            assert_eq!((answer(slots.take(key)), slots.take(key)), (ended, None));
            assert_eq!((slots.len(), slots.owed()), (0, 0));
        }
        let mut slots = Slots::new();
        let key = slots.insert(&Sqe::nop(), &TWIN, future()).key();
        slots.add_result(key, result);
        assert_eq!((slots.give_up().0, answer(slots.take(key)), slots.take(key)), (1, told, None));
        assert!(matches!(slots.abandon(key, Box::new(Count(Rc::default()))).0, Fate::Lost(_)));
    }

    #[test]
    fn a_cancelled_close_is_made_up_for() {
        let mut slots = Slots::new();
        let key = slots.insert(&Sqe::nop(), &TWIN, Owner::Close(Some(9))).key();
        assert!(matches!(slots.complete(key, Cqe::new(0, -libc::ECANCELED)), Some(Effect::Close(9))));
        let key = slots.insert(&Sqe::nop(), &TWIN, Owner::Close(Some(9))).key();
        assert!(matches!(slots.complete(key, Cqe::new(0, 0)), Some(Effect::None)));
    }
}
