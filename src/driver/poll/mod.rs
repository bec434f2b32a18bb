//! A ring in user space: readiness and twins.
//!
//! An entry's twin is tried; at `EAGAIN` the entry waits in the queue of its descriptor and direction, first come first
//! served, and is tried again when the descriptor becomes ready. Descriptors that an [`Fd`](crate::Fd) owns are watched
//! edge-triggered from their first wait to their close, so a busy connection costs no further `epoll_ctl`; bare numbers
//! are watched once for each wait, because nobody would tell when they close.

mod epoll;
mod patrol;

use crate::{
    driver::{
        Wait,
        groups::Groups,
        slots::{Key, Slot, Slots, Stage},
        wake::WakeHandle,
    },
    entry::{Cqe, Interest},
};
use epoll::{Selector, Watch};
use patrol::Patrol;
use slab::Slab;
use std::{
    collections::{HashMap, VecDeque},
    io, mem,
    os::fd::RawFd,
};

/// The name of a watched descriptor; stale ones find nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceId {
    index: u32,
    generation: u32,
}

impl SourceId {
    fn token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

/// The token of the driver's own bell: an index that no source has.
const BELL: u64 = u32::MAX as u64;

/// A watched descriptor, and who waits for it.
struct Source {
    generation: u32,
    fd: RawFd,
    /// An `Fd` owns the number, and will say when it closes.
    owned: bool,
    readers: VecDeque<Key>,
    writers: VecDeque<Key>,
    /// Those who wait for the next edge, whatever there is now: they keep nobody waiting.
    watchers: Vec<(Key, Interest)>,
}

impl Source {
    fn queue(&mut self, interest: Interest) -> &mut VecDeque<Key> {
        match interest {
            Interest::Read => &mut self.readers,
            Interest::Write => &mut self.writers,
        }
    }

    fn waiting(&self, interest: Interest) -> &VecDeque<Key> {
        match interest {
            Interest::Read => &self.readers,
            Interest::Write => &self.writers,
        }
    }

    fn watch(&self) -> Watch {
        match self.owned {
            true => Watch { read: true, write: true, once: false },
            false => Watch { read: self.is_wanted(Interest::Read), write: self.is_wanted(Interest::Write), once: true },
        }
    }

    fn is_wanted(&self, interest: Interest) -> bool {
        !self.waiting(interest).is_empty() || self.watchers.iter().any(|&(_, theirs)| theirs == interest)
    }

    fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty() && self.watchers.is_empty()
    }
}

/// The poll backend.
pub(super) struct Poll {
    selector: Selector,
    sources: Slab<Source>,
    by_fd: HashMap<RawFd, u32>,
    next_generation: u32,
    /// Queues whose first waiter was cancelled: the next one may need less than it did, and there is no new edge.
    overdue: Vec<(SourceId, Interest)>,
    patrol: Patrol,
    bell: WakeHandle,
}

impl Poll {
    pub(super) fn new(bell: WakeHandle) -> io::Result<Poll> {
        let selector = Selector::new()?;
        selector.add(bell.raw(), BELL, Watch { read: true, write: false, once: false })?;
        Ok(Poll {
            selector,
            sources: Slab::new(),
            by_fd: HashMap::new(),
            next_generation: 0,
            overdue: Vec::new(),
            patrol: Patrol::default(),
            bell,
        })
    }

    /// Whether somebody waits for `interest` in the descriptor already, so that a newcomer has to queue.
    pub(super) fn is_queued(&self, fd: RawFd, id: Option<SourceId>, interest: Interest) -> bool {
        self.find(fd, id).is_some_and(|id| !self.sources[id.index as usize].waiting(interest).is_empty())
    }

    /// Queues `key` until there is `interest` in its slot's descriptor. Who waits in vain for a number that is another
    /// file by now is answered into `done`.
    ///
    /// # Errors
    /// What the selector says: `EPERM` for a file without readiness, `EBADF` for a closed number.
    pub(super) fn queue(
        &mut self,
        slot: &mut Slot,
        key: Key,
        interest: Interest,
        done: &mut Vec<Cqe>,
    ) -> io::Result<()> {
        self.end_namesake(slot, done);
        let (fd, known) = (slot.sqe.fd, self.find(slot.sqe.fd, slot.source));
        let id = known.unwrap_or_else(|| self.insert(fd));
        let source = &mut self.sources[id.index as usize];
        let was_owned = source.owned;
        source.owned |= slot.owned;
        source.queue(interest).push_back(key);
        let watched = match known {
            Some(_) if was_owned => Ok(()),
            Some(_) => self.selector.change(fd, id.token(), source.watch()),
            None => self.selector.add(fd, id.token(), source.watch()),
        };
        if let Err(error) = watched {
            source.queue(interest).pop_back();
            source.owned = was_owned;
            self.forget_if_idle(id);
            return Err(error);
        }
        slot.stage = Stage::Queued(id, interest);
        slot.source = slot.owned.then_some(id);
        self.patrol.expect();
        Ok(())
    }

    /// As [`Poll::queue`], for somebody who waits for a change: what there is to read or to write now is no news.
    ///
    /// # Errors
    /// Those of [`Poll::queue`].
    pub(super) fn queue_watcher(
        &mut self,
        slot: &mut Slot,
        key: Key,
        interest: Interest,
        done: &mut Vec<Cqe>,
    ) -> io::Result<()> {
        self.queue(slot, key, interest, done)?;
        if let Stage::Queued(id, _) = slot.stage {
            let source = &mut self.sources[id.index as usize];
            source.queue(interest).pop_back();
            source.watchers.push((key, interest));
        }
        Ok(())
    }

    /// Watches a descriptor that an `Fd` owns and that nobody has waited for yet. `true`: it is watched from now on,
    /// and what it is ready for will be told at once.
    pub(super) fn watch(&mut self, slot: &mut Slot) -> bool {
        if !slot.owned || slot.source.is_some() || self.by_fd.contains_key(&slot.sqe.fd) {
            return false;
        }
        let id = self.insert(slot.sqe.fd);
        let source = &mut self.sources[id.index as usize];
        source.owned = true;
        if self.selector.add(slot.sqe.fd, id.token(), source.watch()).is_err() {
            // Its twin will tell why.
            source.owned = false;
            self.forget_if_idle(id);
            return false;
        }
        slot.source = Some(id);
        true
    }

    /// Ends whoever waits for the number of a slot's `Fd` at a source of another one: that was closed, and not by its
    /// owner, or the number could not be this one's.
    fn end_namesake(&mut self, slot: &Slot, done: &mut Vec<Cqe>) {
        if !slot.owned || slot.source.is_some() {
            return;
        }
        if let Some(&index) = self.by_fd.get(&slot.sqe.fd) {
            if self.sources[index as usize].owned {
                self.end(index, done);
            }
        }
    }

    /// Answers all who wait at a source whose number was closed by somebody else, and lets it go.
    fn end(&mut self, index: u32, done: &mut Vec<Cqe>) {
        let source = &mut self.sources[index as usize];
        let watchers = source.watchers.drain(..).map(|(key, _)| key);
        let waiting = source.readers.drain(..).chain(source.writers.drain(..)).chain(watchers);
        done.extend(waiting.map(|key| Cqe::new(key.user_data(), -libc::EBADF)));
        self.remove(index);
    }

    fn insert(&mut self, fd: RawFd) -> SourceId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let (readers, writers, watchers) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let index = self.sources.insert(Source { generation, fd, owned: false, readers, writers, watchers }) as u32;
        self.by_fd.insert(fd, index);
        SourceId { index, generation }
    }

    /// The source `id`, or whichever watches the number `fd`.
    fn find(&self, fd: RawFd, id: Option<SourceId>) -> Option<SourceId> {
        let live = |id: &SourceId| self.sources.get(id.index as usize).is_some_and(|s| s.generation == id.generation);
        id.filter(live).or_else(|| {
            let index = *self.by_fd.get(&fd)?;
            Some(SourceId { index, generation: self.sources.get(index as usize)?.generation })
        })
    }

    /// Takes `key` out of its queue.
    pub(super) fn unqueue(&mut self, key: Key, id: SourceId, interest: Interest) {
        if let Some(source) = self.sources.get_mut(id.index as usize).filter(|s| s.generation == id.generation) {
            source.watchers.retain(|&(waiting, _)| waiting != key);
            let queue = source.queue(interest);
            let was_first = queue.front() == Some(&key);
            queue.retain(|&waiting| waiting != key);
            if was_first && !queue.is_empty() {
                self.overdue.push((id, interest));
            }
            self.forget_if_idle(id);
        }
    }

    /// Stops watching an `Fd` that is about to close or to leave. No operation waits for it then: whoever did held the
    /// `Fd`. Who waited for the bare number waits in vain, as at any number that is closed.
    pub(super) fn forget(&mut self, id: SourceId) {
        if self.sources.get(id.index as usize).is_some_and(|s| s.generation == id.generation) {
            self.remove(id.index);
        }
    }

    /// Bare numbers are watched only while somebody waits: their owner may close them at any time.
    fn forget_if_idle(&mut self, id: SourceId) {
        if self.sources.get(id.index as usize).is_some_and(|s| !s.owned && s.is_idle()) {
            self.remove(id.index);
        }
    }

    fn remove(&mut self, index: u32) {
        let source = self.sources.remove(index as usize);
        self.selector.delete(source.fd);
        self.by_fd.remove(&source.fd);
    }

    /// Waits, and tries again whatever became ready. Completions go to `done`.
    pub(super) fn turn(
        &mut self,
        wait: Wait,
        slots: &mut Slots,
        groups: &Groups,
        done: &mut Vec<Cqe>,
    ) -> io::Result<()> {
        let wait = if self.overdue.is_empty() { wait } else { Wait::Not };
        self.selector.wait(self.patrol.limit(wait))?;
        for (id, interest) in mem::take(&mut self.overdue) {
            self.serve(id, interest, slots, groups, done);
        }
        for i in 0..self.selector.len() {
            let event = self.selector.event(i);
            if event.token == BELL {
                self.bell.clear();
                continue;
            }
            let id = SourceId { index: event.token as u32, generation: (event.token >> 32) as u32 };
            if event.read {
                self.serve(id, Interest::Read, slots, groups, done);
            }
            if event.write {
                self.serve(id, Interest::Write, slots, groups, done);
            }
            self.watch_again(id);
        }
        self.go_round(wait, done);
        Ok(())
    }

    /// Calls the twins of those who wait, in their order, until one has to wait on.
    fn serve(&mut self, id: SourceId, interest: Interest, slots: &mut Slots, groups: &Groups, done: &mut Vec<Cqe>) {
        let Some(source) = self.sources.get_mut(id.index as usize).filter(|s| s.generation == id.generation) else {
            return;
        };
        source.watchers.retain(|&(key, theirs)| {
            let Some(slot) = slots.get(key) else { return false };
            if theirs != interest {
                return true;
            }
            let cqe = groups.call(slot);
            if cqe.res != -libc::EAGAIN {
                slot.stage = Stage::Native;
                done.push(cqe);
            }
            cqe.res == -libc::EAGAIN
        });
        let queue = source.queue(interest);
        while let Some(&key) = queue.front() {
            if let Some(slot) = slots.get(key) {
                let cqe = groups.call(slot);
                if cqe.res == -libc::EAGAIN {
                    return;
                }
                slot.stage = Stage::Native;
                done.push(cqe);
            }
            queue.pop_front();
        }
    }

    /// Looks from time to time whether the descriptors that somebody waits for are still what they were. A number that
    /// somebody else closed is not watched any more, and nothing tells.
    fn go_round(&mut self, wait: Wait, done: &mut Vec<Cqe>) {
        let Some(from) = self.patrol.is_due(wait) else { return };
        let all = self.sources.iter().filter(|(index, source)| *index >= from && !source.is_idle());
        let some: Vec<u32> = all.take(patrol::ROUND).map(|(index, _)| index as u32).collect();
        for &index in &some {
            let source = &self.sources[index as usize];
            let id = SourceId { index, generation: source.generation };
            let gone = self.selector.check(source.fd, id.token(), source.watch());
            if gone.is_err_and(|e| matches!(e.raw_os_error(), Some(libc::EBADF | libc::ENOENT))) {
                self.end(index, done);
            }
        }
        let last = some.last().map(|&index| index as usize);
        self.patrol.went(if some.len() < patrol::ROUND { None } else { last });
    }

    /// Asks again for a bare number, whose watch has ended with the event.
    fn watch_again(&mut self, id: SourceId) {
        self.forget_if_idle(id);
        if let Some(source) = self.sources.get(id.index as usize).filter(|s| s.generation == id.generation && !s.owned)
        {
            // A number that was closed meanwhile is not watched any more; its waiters are its owner's to cancel.
            let _ = self.selector.change(source.fd, id.token(), source.watch());
        }
    }
}
