//! A ring in user space: readiness and twins.
//!
//! An entry's twin is tried; at `EAGAIN` the entry waits in the queue of its descriptor and direction, first come first
//! served, and is tried again when the descriptor becomes ready. Descriptors that an [`Fd`](crate::Fd) owns are watched
//! edge-triggered from their first wait to their close, so a busy connection costs no further call; bare numbers
//! are watched once for each wait, because nobody would tell when they close.

#[cfg(not(annulus_kqueue))]
mod epoll;
mod inflow;
#[cfg(annulus_kqueue)]
mod kqueue;
mod numbers;
mod patrol;
#[cfg(test)]
mod tests;
mod waiting;
mod watch;

use crate::{
    driver::{
        Counters, Wait,
        groups::Groups,
        slots::{Key, Slot, Slots, Stage},
        source::SourceId,
        wake::{BELL, WakeHandle},
    },
    entry::{Cqe, Interest, Place, Sqe},
};
#[cfg(not(annulus_kqueue))]
use epoll::Selector;
use inflow::Inflow;
#[cfg(annulus_kqueue)]
use kqueue::Selector;
use numbers::Numbers;
use patrol::Patrol;
use slab::Slab;
use std::{io, mem, num::NonZeroU32, os::fd::RawFd, task::Waker, time::Duration};
use waiting::{Waiter, Waiting};
use watch::{ALARM, Watch};

/// A watched descriptor, and who waits for it.
struct Source {
    generation: NonZeroU32,
    fd: RawFd,
    /// An `Fd` owns the number, and will say when it closes.
    owned: bool,
    waiting: Waiting,
    inflow: Inflow,
}

// An idle connection has one.
static_assertions::const_assert!(size_of::<Source>() <= 32);

impl Source {
    fn watch(&self) -> Watch {
        match self.owned {
            true => Watch { read: true, write: true, once: false },
            false => {
                let waits = |interest| !self.waiting.is_empty(interest);
                Watch { read: waits(Interest::Read), write: waits(Interest::Write), once: true }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty(Interest::Read) && self.waiting.is_empty(Interest::Write)
    }

    /// What a call for `interest` would come to.
    #[inline]
    fn prospect(&self, sqe: &Sqe, room: u32, interest: Interest) -> Prospect {
        match interest {
            _ if self.waiting.is_queue(interest) => Prospect::Queued,
            Interest::Read if self.inflow.is_dry_for(sqe, room) => Prospect::Dry,
            _ => Prospect::Open,
        }
    }

    /// Calls the twins of those who wait, in their order, until one has to wait on.
    fn serve(&mut self, interest: Interest, desk: &mut Desk<'_>) {
        let mut next = self.waiting.front(interest);
        while let Some(key) = next {
            if let Some(slot) = desk.slots.get(key) {
                desk.counters.twins_ready += 1;
                let cqe = desk.groups.call(slot);
                if cqe.res == -libc::EAGAIN {
                    break;
                }
                if self.owned && inflow::is_short(&slot.sqe, desk.groups.room(&slot.sqe), cqe.res) {
                    self.inflow.came_short(|| Selector::tells_when_empty(slot.sqe.fd));
                }
                slot.stage = Stage::Native;
                let is_plain = slot.is_plain();
                desk.answer(key, cqe, is_plain);
            }
            next = self.waiting.pop_front(interest);
        }
    }
}

/// What a turn works on, beside the sources.
pub(super) struct Desk<'a> {
    pub(super) slots: &'a mut Slots,
    pub(super) groups: &'a Groups,
    /// Answers that somebody has to look at.
    pub(super) done: &'a mut Vec<Cqe>,
    /// Who has an answer.
    pub(super) wakers: &'a mut Vec<Waker>,
    pub(super) counters: &'a mut Counters,
}

impl Desk<'_> {
    /// Tells an answer. A plain one, which is all that its future waits for, is told here, as long as none is before it
    /// that is not.
    #[inline]
    fn answer(&mut self, key: Key, cqe: Cqe, is_plain: bool) {
        let plainly = is_plain && self.done.is_empty();
        match plainly.then(|| self.slots.answer(key, cqe)).flatten() {
            Some(waker) => {
                self.counters.cqes += 1;
                self.wakers.push(waker);
            }
            None => self.done.push(cqe),
        }
    }
}

/// What a call would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// Nobody knows.
    Open,
    /// It would overtake somebody.
    Queued,
    /// It would be answered with EAGAIN.
    Dry,
}

/// The poll backend.
pub(super) struct Poll {
    selector: Selector,
    sources: Slab<Source>,
    by_fd: Numbers,
    next_generation: NonZeroU32,
    /// Queues whose first waiter was cancelled: the next one may need less than it did, and there is no new edge.
    overdue: Vec<(SourceId, Interest)>,
    patrol: Patrol,
    bell: WakeHandle,
    /// Calls of the selector that changed what it watches, or asked.
    watches: u64,
    /// Rings of the bell that ended a sleep.
    rings: u64,
}

impl Poll {
    pub(super) fn new(bell: WakeHandle) -> io::Result<Poll> {
        Ok(Poll {
            selector: Selector::new(&bell)?,
            sources: Slab::new(),
            by_fd: Numbers::default(),
            next_generation: NonZeroU32::MIN,
            overdue: Vec::new(),
            patrol: Patrol::new(),
            bell,
            watches: 0,
            rings: 0,
        })
    }

    /// How long there is nothing to do, unless the selector's descriptor is readable. `None`: there is something now.
    pub(super) fn rests(&mut self) -> Option<Wait> {
        if self.overdue.is_empty() { self.selector.rests() } else { None }
    }

    /// What is readable when something happens to what is watched.
    ///
    /// # Errors
    /// `EMFILE` when there is no descriptor left for it.
    pub(super) fn descriptor(&mut self) -> io::Result<RawFd> {
        self.selector.descriptor()
    }

    /// Whether a newcomer's call would be in vain or too early: there is nothing to receive, or somebody waits for
    /// `interest` in the descriptor already, behind whom it has to queue. `room` is its buffer's size.
    #[inline]
    pub(super) fn prospect(&self, sqe: &Sqe, room: u32, id: Option<SourceId>, interest: Interest) -> Prospect {
        match id.and_then(|id| self.get(id)) {
            Some(source) => source.prospect(sqe, room, interest),
            None => self.prospect_of_number(sqe.fd, interest),
        }
    }

    /// The same for who does not know its source. What is known of that may be of another owner's file.
    #[inline(never)]
    fn prospect_of_number(&self, fd: RawFd, interest: Interest) -> Prospect {
        let source = self.by_fd.get(fd).and_then(|index| self.sources.get(index as usize));
        let queued = source.is_some_and(|source| source.waiting.is_queue(interest));
        if queued { Prospect::Queued } else { Prospect::Open }
    }

    /// Learns from what an entry was answered that did not wait.
    #[inline]
    pub(super) fn answered(&mut self, sqe: &Sqe, room: u32, id: Option<SourceId>, res: i32) {
        if inflow::is_short(sqe, room, res) {
            self.came_short(sqe.fd, id);
        }
    }

    #[inline(never)]
    fn came_short(&mut self, fd: RawFd, id: Option<SourceId>) {
        if let Some(source) = id.and_then(|id| self.get_mut(id)) {
            source.inflow.came_short(|| Selector::tells_when_empty(fd));
        }
    }

    /// Adds what was counted here.
    pub(super) fn counted(&self, counters: Counters) -> Counters {
        Counters { watches: self.watches, woken_by_counter: self.rings, ..counters }
    }

    /// Queues an entry that was tried in vain at the source that watches its descriptor. `false`: it has not been
    /// tried, or there is no such source yet, and nothing was done.
    #[inline]
    pub(super) fn line_up(&mut self, slot: &mut Slot, key: Key) -> bool {
        let Place::Ready(interest) = slot.twin.place else { return false };
        if slot.attempt == 0 {
            return false;
        }
        let Some(source) = self.watched(slot) else { return false };
        source.waiting.push_back(Waiter { key, interest, in_turn: true });
        slot.stage = Stage::Queued(interest);
        self.expect();
        true
    }

    /// Queues `key` until there is `interest` in its slot's descriptor; not `in_turn`, until that changes. Who waits in
    /// vain for a number that is another file by now is answered into `done`.
    ///
    /// # Errors
    /// What the selector says: `EPERM` for a file without readiness, `EBADF` for a closed number.
    pub(super) fn queue(
        &mut self,
        slot: &mut Slot,
        key: Key,
        (interest, in_turn): (Interest, bool),
        done: &mut Vec<Cqe>,
    ) -> io::Result<()> {
        let waiter = Waiter { key, interest, in_turn };
        match self.watched(slot) {
            Some(source) => source.waiting.push_back(waiter),
            None => {
                self.attend(slot, Some(waiter), done)?;
            }
        }
        slot.stage = Stage::Queued(interest);
        self.expect();
        Ok(())
    }

    /// Somebody begins to wait, and has to be looked after.
    #[inline]
    fn expect(&mut self) {
        if let Some(time) = self.patrol.expect() {
            self.set_alarm(time);
        }
    }

    #[inline(never)]
    fn set_alarm(&mut self, time: Duration) {
        if !self.selector.alarm(time) {
            self.patrol.has_no_alarm();
        }
    }

    /// What watches a slot's descriptor, if that is an `Fd`'s and known to it.
    #[inline]
    fn watched(&mut self, slot: &Slot) -> Option<&mut Source> {
        let id = slot.source.filter(|_| slot.owned)?;
        self.get_mut(id).filter(|source| source.owned)
    }

    /// Watches the descriptor of a stream, if an `Fd` owns it, before anybody waits: so the `Fd` knows where from the
    /// start. `true`: it is watched from now on, and what it is ready for, or why it never will be, is told at once.
    /// What the selector refuses is for the twin to explain.
    pub(super) fn watch(&mut self, slot: &mut Slot, done: &mut Vec<Cqe>) -> bool {
        let from_now_on = slot.owned && self.attend(slot, None, done).unwrap_or(false);
        from_now_on && Selector::TELLS_ERRORS
    }

    /// Watches a slot's descriptor, and lets a waiter queue at it. Tells whether it was not watched as an
    /// `Fd`'s before.
    fn attend(&mut self, slot: &mut Slot, waiter: Option<Waiter>, done: &mut Vec<Cqe>) -> io::Result<bool> {
        self.end_namesake(slot, done);
        let (fd, known) = (slot.sqe.fd, self.find(slot.sqe.fd, slot.source));
        let id = known.unwrap_or_else(|| self.insert(fd));
        let source = &mut self.sources[id.index as usize];
        let was_owned = source.owned;
        source.owned |= slot.owned;
        if source.owned && !was_owned {
            // What was known was of another owner's file.
            source.inflow = Inflow::default();
        }
        waiter.into_iter().for_each(|waiter| source.waiting.push_back(waiter));
        self.watches += u64::from(known.is_none() || !was_owned);
        let watched = match known {
            Some(_) if was_owned => Ok(()),
            Some(_) => self.selector.change(fd, id.token(), source.watch()),
            None => self.selector.add(fd, id.token(), source.watch()),
        };
        if let Err(error) = watched {
            waiter.into_iter().for_each(|waiter| source.waiting.pop_back(waiter.interest));
            source.owned = was_owned;
            self.forget_if_idle(id);
            return Err(error);
        }
        slot.source = slot.owned.then_some(id);
        Ok(!was_owned)
    }

    /// Ends whoever waits for the number of a slot's `Fd` at a source of another one, which was closed, and not by its
    /// owner. The kernel knows: it watches a file, and this one's is not it.
    fn end_namesake(&mut self, slot: &Slot, done: &mut Vec<Cqe>) {
        if !slot.owned || slot.source.is_some() {
            return;
        }
        if let Some(index) = self.by_fd.get(slot.sqe.fd) {
            if self.sources[index as usize].owned && self.is_gone(index) {
                self.end(index, done);
            }
        }
    }

    /// Whether somebody else closed the number of a source, so that it is not watched any more.
    fn is_gone(&mut self, index: u32) -> bool {
        self.watches += 1;
        let source = &self.sources[index as usize];
        let id = SourceId { index, generation: source.generation };
        let error = self.selector.check(source.fd, id.token(), source.watch()).err().and_then(|e| e.raw_os_error());
        matches!(error, Some(libc::EBADF | libc::ENOENT))
    }

    /// Answers all who wait at a source whose number was closed by somebody else, and lets it go.
    fn end(&mut self, index: u32, done: &mut Vec<Cqe>) {
        let source = &mut self.sources[index as usize];
        let waiting = source.waiting.drain();
        done.extend(waiting.map(|key| Cqe::new(key.user_data(), -libc::EBADF)));
        self.remove(index);
    }

    fn insert(&mut self, fd: RawFd) -> SourceId {
        let generation = self.next_generation;
        self.next_generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let (waiting, inflow) = Default::default();
        let source = Source { generation, fd, owned: false, waiting, inflow };
        let index = self.sources.insert(source) as u32;
        self.by_fd.insert(fd, index);
        SourceId { index, generation }
    }

    /// The source `id`, unless it is gone.
    #[inline]
    fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.index as usize).filter(|source| source.generation == id.generation)
    }

    /// The same, to change it.
    #[inline]
    fn get_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.sources.get_mut(id.index as usize).filter(|source| source.generation == id.generation)
    }

    /// The source `id`, or whichever watches the number `fd`.
    fn find(&self, fd: RawFd, id: Option<SourceId>) -> Option<SourceId> {
        id.filter(|&id| self.get(id).is_some()).or_else(|| {
            let index = self.by_fd.get(fd)?;
            Some(SourceId { index, generation: self.sources.get(index as usize)?.generation })
        })
    }

    /// Takes `key` out of the queue of its descriptor. `false`: its source was ended, and so it is answered already.
    pub(super) fn unqueue(&mut self, key: Key, fd: RawFd, interest: Interest) -> bool {
        // A number has one source at a time, where all wait who wait for it.
        let Some(id) = self.find(fd, None) else { return false };
        let waiting = &mut self.sources[id.index as usize].waiting;
        let was_first = waiting.front(interest) == Some(key);
        if !waiting.remove(interest, key) {
            return false;
        }
        if was_first && !waiting.is_empty(interest) {
            self.overdue.push((id, interest));
        }
        self.forget_if_idle(id);
        true
    }

    /// Stops watching an `Fd` that is about to close or to leave. No operation waits for it then: whoever did held the
    /// `Fd`. Who waits for the bare number waits on, as for any other.
    pub(super) fn forget(&mut self, id: SourceId) {
        if let Some(source) = self.get_mut(id) {
            source.owned = false;
            self.watch_again(id);
        }
    }

    /// Bare numbers are watched only while somebody waits: their owner may close them at any time.
    fn forget_if_idle(&mut self, id: SourceId) {
        if self.get(id).is_some_and(|source| !source.owned && source.is_idle()) {
            self.remove(id.index);
        }
    }

    fn remove(&mut self, index: u32) {
        let source = self.sources.remove(index as usize);
        self.watches += 1;
        self.selector.delete(source.fd);
        self.by_fd.remove(source.fd);
    }

    /// Waits, and tries again whatever became ready.
    pub(super) fn turn(&mut self, wait: Wait, desk: &mut Desk<'_>) -> io::Result<()> {
        let wait = if self.overdue.is_empty() { wait } else { Wait::Not };
        self.selector.wait(wait)?;
        if !self.overdue.is_empty() {
            for (id, interest) in mem::take(&mut self.overdue) {
                self.get_mut(id).into_iter().for_each(|source| source.serve(interest, desk));
            }
        }
        for i in 0..self.selector.len() {
            let event = self.selector.event(i);
            let source = self.sources.get_mut(event.token as u32 as usize);
            let Some(source) = source.filter(|source| source.generation.get() == (event.token >> 32) as u32) else {
                self.hear(event.token);
                continue;
            };
            if event.read {
                source.inflow.edge(event.odd);
                source.serve(Interest::Read, desk);
            }
            if event.write && !source.waiting.is_empty(Interest::Write) {
                source.serve(Interest::Write, desk);
            }
            if !source.owned {
                let id = SourceId { index: event.token as u32, generation: source.generation };
                self.watch_again(id);
            }
        }
        self.go_round(wait, desk.done);
        Ok(())
    }

    /// An event that is no source's: the driver's own, or a late one.
    #[inline(never)]
    fn hear(&mut self, token: u64) {
        match token {
            BELL => {
                self.rings += 1;
                self.bell.clear();
            }
            ALARM => self.patrol.ring(),
            _ => {}
        }
    }

    /// Looks from time to time whether the descriptors that somebody waits for are still what they were. A number that
    /// somebody else closed is not watched any more, and nothing tells.
    fn go_round(&mut self, wait: Wait, done: &mut Vec<Cqe>) {
        let Some(from) = self.patrol.is_due(wait) else { return };
        let mut left = patrol::ROUND;
        for index in from..self.sources.capacity() {
            if self.sources.get(index).is_none_or(Source::is_idle) {
                continue;
            }
            if self.is_gone(index as u32) {
                self.end(index as u32, done);
            }
            left -= 1;
            if left == 0 {
                return self.went(Some(index));
            }
        }
        self.went(None);
    }

    /// A look is over; the next one follows.
    fn went(&mut self, last: Option<usize>) {
        let pause = self.patrol.went(last);
        self.selector.alarm(pause);
    }

    /// Asks again for a bare number, whose watch has ended with the event.
    fn watch_again(&mut self, id: SourceId) {
        self.forget_if_idle(id);
        if let Some(source) = self.get(id).filter(|source| !source.owned) {
            // A number that was closed meanwhile is not watched any more; its waiters are its owner's to cancel.
            let _ = self.selector.change(source.fd, id.token(), source.watch());
            self.watches += 1;
        }
    }
}
