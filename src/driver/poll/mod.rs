//! A ring in user space: readiness and twins.
//!
//! An entry's twin is tried; at `EAGAIN` the entry waits in the queue of its descriptor and direction, first come first
//! served, and is tried again when the descriptor becomes ready. Descriptors that an [`Fd`](crate::Fd) owns are watched
//! edge-triggered from their first wait to their close, so a busy connection costs no further `epoll_ctl`; bare numbers
//! are watched once for each wait, because nobody would tell when they close.

mod epoll;

use crate::{
    driver::{
        Wait,
        slots::{Key, Slots, Stage},
        wake::WakeHandle,
    },
    entry::{Cqe, Interest},
};
use epoll::{Selector, Watch};
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
}

impl Source {
    fn queue(&mut self, interest: Interest) -> &mut VecDeque<Key> {
        match interest {
            Interest::Read => &mut self.readers,
            Interest::Write => &mut self.writers,
        }
    }

    fn watch(&self) -> Watch {
        match self.owned {
            true => Watch { read: true, write: true, once: false },
            false => Watch { read: !self.readers.is_empty(), write: !self.writers.is_empty(), once: true },
        }
    }

    fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
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
            bell,
        })
    }

    /// Whether somebody waits for `interest` in the descriptor already, so that a newcomer has to queue.
    pub(super) fn is_queued(&mut self, fd: RawFd, id: Option<SourceId>, interest: Interest) -> bool {
        self.find(fd, id).is_some_and(|id| !self.sources[id.index as usize].queue(interest).is_empty())
    }

    /// Queues `key` until there is `interest` in its descriptor. `owned` says that an `Fd` will report the close.
    ///
    /// # Errors
    /// What `epoll_ctl` says: `EPERM` for a file without readiness, `EBADF` for a closed number.
    pub(super) fn queue(
        &mut self,
        slots: &mut Slots,
        key: Key,
        interest: Interest,
        owned: bool,
        id: Option<SourceId>,
    ) -> io::Result<SourceId> {
        let Some(slot) = slots.get(key) else { return Err(io::Error::from_raw_os_error(libc::ENOENT)) };
        let fd = slot.sqe.fd;
        let known = self.find(fd, id);
        let id = known.unwrap_or_else(|| self.insert(fd));
        let source = &mut self.sources[id.index as usize];
        let was_owned = source.owned;
        source.owned |= owned;
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
        Ok(id)
    }

    fn insert(&mut self, fd: RawFd) -> SourceId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let (readers, writers) = (VecDeque::new(), VecDeque::new());
        let index = self.sources.insert(Source { generation, fd, owned: false, readers, writers }) as u32;
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
    pub(super) fn turn(&mut self, wait: Wait, slots: &mut Slots, done: &mut Vec<Cqe>) -> io::Result<()> {
        self.selector.wait(if self.overdue.is_empty() { wait } else { Wait::Not })?;
        for (id, interest) in mem::take(&mut self.overdue) {
            self.serve(id, interest, slots, done);
        }
        for i in 0..self.selector.len() {
            let event = self.selector.event(i);
            if event.token == BELL {
                self.bell.clear();
                continue;
            }
            let id = SourceId { index: event.token as u32, generation: (event.token >> 32) as u32 };
            if event.read {
                self.serve(id, Interest::Read, slots, done);
            }
            if event.write {
                self.serve(id, Interest::Write, slots, done);
            }
            self.watch_again(id);
        }
        Ok(())
    }

    /// Calls the twins of those who wait, in their order, until one has to wait on.
    fn serve(&mut self, id: SourceId, interest: Interest, slots: &mut Slots, done: &mut Vec<Cqe>) {
        let Some(source) = self.sources.get_mut(id.index as usize).filter(|s| s.generation == id.generation) else {
            return;
        };
        let queue = source.queue(interest);
        while let Some(&key) = queue.front() {
            let Some(slot) = slots.get(key) else {
                queue.pop_front();
                continue;
            };
            match slot.call() {
                again if again == -libc::EAGAIN => return,
                res => done.push(Cqe::new(key.user_data(), res)),
            }
            queue.pop_front();
        }
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
