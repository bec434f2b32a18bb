//! The driver's inside: slots, the backend, and what passes between them. No code of others runs in here (Quiet), but
//! for twins, which are plain functions.

use crate::{
    driver::{
        Batch, Config, Counters, DriverInfo, Threads, Wait, WakeHandle, choice, own,
        poll::{Poll, SourceId},
        slots::{self, Key, Owner, Slots, Stage},
        threads::{Job, Replies},
        uring::Uring,
    },
    entry::{Cqe, Place, Sqe, SqeFlags, Twin},
    sys::unix::Kind as FdKind,
};
use std::{io, mem, os::fd::RawFd, sync::Arc, task::Waker};

/// How many operations may complete at their first poll in one turn. Whoever has more to do waits for the next turn, so
/// that timers and other tasks get theirs.
const INLINE: u32 = 128;

/// Flags that an entry may not have above the ring: a twin could not honour them.
const REFUSED: SqeFlags = SqeFlags::FIXED_FILE
    .union(SqeFlags::IO_DRAIN)
    .union(SqeFlags::IO_LINK)
    .union(SqeFlags::IO_HARDLINK)
    .union(SqeFlags::BUFFER_SELECT)
    .union(SqeFlags::CQE_SKIP_SUCCESS);

/// Who performs entries.
pub(super) enum Backend {
    Uring(Box<Uring>),
    Poll(Poll),
    /// Nobody any more.
    Gone,
}

/// The state of a driver.
pub(super) struct Core {
    backend: Backend,
    pub(super) slots: Slots,
    /// Completions made here, to be delivered by the next turn.
    done: Vec<Cqe>,
    spare: Vec<Cqe>,
    replies: Arc<Replies>,
    inbox: Vec<Cqe>,
    /// Twins that the pool owes an answer.
    on_pool: usize,
    /// False once the teardown has begun.
    open: bool,
    inline_left: u32,
    counters: Counters,
}

impl Core {
    /// Makes the backend that `config` and this machine agree on.
    pub(super) fn new(config: &Config, bell: &WakeHandle) -> io::Result<(Core, DriverInfo)> {
        config.check()?;
        let (ring, info) = choice::decide(config.choice.settle()?, || Uring::new(config.entries, bell))?;
        let backend = match ring {
            Some(ring) => Backend::Uring(Box::new(ring)),
            None => Backend::Poll(Poll::new(bell.clone())?),
        };
        let bell = bell.clone();
        let core = Core {
            backend,
            slots: Slots::new(),
            done: Vec::new(),
            spare: Vec::new(),
            replies: Replies::new(move || bell.wake()),
            inbox: Vec::new(),
            on_pool: 0,
            open: true,
            inline_left: INLINE,
            counters: Counters::new(),
        };
        Ok((core, info))
    }

    pub(super) fn counters(&self) -> Counters {
        Counters { slots: self.slots.len(), ..self.counters }
    }

    /// See [`Driver::try_now`](super::Driver::try_now).
    pub(super) fn try_now(
        &mut self,
        sqe: &Sqe,
        twin: &mut &'static Twin,
        attempt: &mut u32,
        source: Option<SourceId>,
    ) -> Option<Cqe> {
        let Backend::Poll(poll) = &mut self.backend else { return None };
        if !self.open || self.inline_left == 0 || sqe.flags.intersects(REFUSED) {
            return None;
        }
        match twin.place {
            Place::Pool => return None,
            Place::Ready(interest) if poll.is_queued(sqe.fd, source, interest) => return None,
            Place::Ready(_) => self.counters.twins_ready += 1,
            Place::Here => self.counters.twins_here += 1,
        }
        self.inline_left -= 1;
        let res = slots::call(twin, sqe, *attempt);
        match (res, twin.otherwise) {
            (again, _) if again == -libc::EAGAIN && matches!(twin.place, Place::Ready(_)) => *attempt += 1,
            (no, Some(otherwise)) if no == -libc::EOPNOTSUPP => *twin = otherwise,
            _ => {
                self.counters.cqes += 1;
                return Some(Cqe::new(0, res));
            }
        }
        None
    }

    /// Starts the entry in `key`'s slot. `owned` says that an `Fd` owns its descriptor. Returns where it is watched.
    pub(super) fn start(
        &mut self,
        key: Key,
        owned: bool,
        source: Option<SourceId>,
        threads: &Threads,
    ) -> Option<SourceId> {
        let slot = self.slots.get(key)?;
        let (sqe, twin) = (slot.sqe, slot.twin);
        if !self.open {
            self.done.push(Cqe::new(key.user_data(), -libc::ECANCELED));
        } else if sqe.flags.intersects(REFUSED) {
            self.done.push(Cqe::new(key.user_data(), -libc::EINVAL));
        } else if let Backend::Uring(uring) = &mut self.backend {
            if uring.knows(sqe.opcode) {
                uring.push(&sqe, &mut self.counters);
            } else {
                self.fall_back(key, twin, threads);
            }
        } else {
            return self.start_twin(key, twin, owned, source, threads);
        }
        None
    }

    /// The poll driver's start.
    fn start_twin(
        &mut self,
        key: Key,
        twin: &'static Twin,
        owned: bool,
        source: Option<SourceId>,
        threads: &Threads,
    ) -> Option<SourceId> {
        let Backend::Poll(poll) = &mut self.backend else { return None };
        let slot = self.slots.get(key)?;
        let must_wait = |poll: &mut Poll, interest| slot.attempt > 0 || poll.is_queued(slot.sqe.fd, source, interest);
        match twin.place {
            Place::Pool => self.start_on_pool(key, threads),
            Place::Ready(interest) if must_wait(poll, interest) => {
                match poll.queue(&mut self.slots, key, interest, owned, source) {
                    Ok(id) => return Some(id),
                    Err(e) => self.done.push(Cqe::new(key.user_data(), -e.raw_os_error().unwrap_or(libc::EIO))),
                }
            }
            Place::Ready(_) | Place::Here => return self.call_here(key, owned, source, threads),
        }
        None
    }

    /// Calls the twin on this thread, and goes on from what it answers.
    fn call_here(&mut self, key: Key, owned: bool, source: Option<SourceId>, threads: &Threads) -> Option<SourceId> {
        let slot = self.slots.get(key)?;
        let waits = matches!(slot.twin.place, Place::Ready(_));
        *if waits { &mut self.counters.twins_ready } else { &mut self.counters.twins_here } += 1;
        match (slot.call(), slot.twin.otherwise) {
            (again, _) if again == -libc::EAGAIN && waits => {
                let twin = slot.twin;
                return self.start_twin(key, twin, owned, source, threads);
            }
            (no, Some(otherwise)) if no == -libc::EOPNOTSUPP => {
                slot.twin = otherwise;
                return self.start_twin(key, otherwise, owned, source, threads);
            }
            (res, _) => self.done.push(Cqe::new(key.user_data(), res)),
        }
        None
    }

    /// On the ring: performs by its twin what the kernel does not know.
    fn fall_back(&mut self, key: Key, twin: &'static Twin, threads: &Threads) {
        match twin.place {
            Place::Pool => self.start_on_pool(key, threads),
            Place::Ready(_) | Place::Here => self.call_or_wait(key, threads),
        }
    }

    /// On the ring: calls the twin, and at EAGAIN waits for readiness by a POLL_ADD of the same name.
    fn call_or_wait(&mut self, key: Key, threads: &Threads) {
        let (Backend::Uring(uring), Some(slot)) = (&mut self.backend, self.slots.get(key)) else { return };
        let interest = match slot.twin.place {
            Place::Ready(interest) => Some(interest),
            Place::Here | Place::Pool => None,
        };
        *if interest.is_some() { &mut self.counters.twins_ready } else { &mut self.counters.twins_here } += 1;
        match (slot.call(), interest, slot.twin.otherwise) {
            (again, Some(interest), _) if again == -libc::EAGAIN => {
                slot.stage = Stage::Waiting;
                uring.wait_for(key, slot.sqe.fd, interest, &mut self.counters);
            }
            (no, _, Some(otherwise)) if no == -libc::EOPNOTSUPP => {
                slot.twin = otherwise;
                self.fall_back(key, otherwise, threads);
            }
            (res, ..) => {
                // The wait is over: this completion is the entry's own.
                slot.stage = Stage::Native;
                self.done.push(Cqe::new(key.user_data(), res));
            }
        }
    }

    fn start_on_pool(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.stage = Stage::Pool;
        let job = Job::Twin { sqe: slot.sqe, twin: slot.twin, reply: self.replies.clone() };
        self.counters.twins_pool += 1;
        self.on_pool += 1;
        if let Err(e) = threads.push(job) {
            self.on_pool -= 1;
            self.done.push(Cqe::new(key.user_data(), -e.raw_os_error().unwrap_or(libc::EAGAIN)));
        }
    }

    /// Closes a number whose last reference is gone; `false` if that has to happen elsewhere.
    pub(super) fn push_close(&mut self, fd: RawFd, kind: impl Fn() -> FdKind, threads: &Threads) -> bool {
        match &self.backend {
            _ if !self.open => return false,
            Backend::Poll(_) if kind() != FdKind::File => return false,
            _ => {}
        }
        let key = self.slots.insert(Sqe::close(fd), &own::CLOSE, 0, Owner::Close(fd));
        self.start(key, false, None, threads);
        true
    }

    /// Whether the kernel's ring carries out this opcode.
    pub(super) fn on_ring(&self, opcode: u8) -> bool {
        matches!(&self.backend, Backend::Uring(uring) if uring.knows(opcode))
    }

    pub(super) fn forget_source(&mut self, source: SourceId) {
        if let Backend::Poll(poll) = &mut self.backend {
            poll.forget(source);
        }
    }

    /// Asks for an early end of `key`, wherever it is.
    pub(super) fn cancel(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        if !self.open || matches!(slot.owner, Owner::Done(_)) {
            return;
        }
        self.counters.cancels += 1;
        self.cancel_slot(key, threads);
    }

    fn cancel_slot(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.cancelled = true;
        let ended = match (slot.stage, &mut self.backend) {
            (Stage::Native | Stage::Waiting, Backend::Uring(uring)) => uring.cancel(key, &mut self.counters),
            (Stage::Queued(id, interest), Backend::Poll(poll)) => {
                poll.unqueue(key, id, interest);
                slot.stage = Stage::Native;
                true
            }
            (Stage::Pool, _) => {
                let removed = threads.cancel(key.user_data(), &self.replies);
                self.on_pool -= usize::from(removed);
                removed
            }
            // Its completion is made already, and will be delivered by the next turn.
            _ => false,
        };
        if ended {
            self.done.push(Cqe::new(key.user_data(), -libc::ECANCELED));
        }
    }

    /// Cancels everything: one request for all of the ring, and one each for what is not there.
    pub(super) fn cancel_all(&mut self, threads: &Threads) {
        let all_at_once = match &mut self.backend {
            Backend::Uring(uring) => uring.cancel_all(&mut self.counters),
            Backend::Poll(_) | Backend::Gone => false,
        };
        for key in self.slots.in_flight() {
            let stage = self.slots.get(key).map(|slot| slot.stage);
            if !(all_at_once && matches!(stage, Some(Stage::Native | Stage::Waiting))) {
                self.cancel_slot(key, threads);
            }
        }
    }

    /// See [`Driver::turn`](super::Driver::turn).
    pub(super) fn turn(&mut self, wait: Wait, batch: &mut Batch, threads: &Threads) -> io::Result<()> {
        self.counters.turns += 1;
        self.inline_left = INLINE;
        let must_not_sleep = !self.done.is_empty() || (self.on_pool > 0 && wait != Wait::Not && !self.replies.ask());
        let wait = if must_not_sleep { Wait::Not } else { wait };
        let turned = match &mut self.backend {
            Backend::Uring(uring) => uring.turn(wait, &mut self.done, &mut self.counters),
            Backend::Poll(poll) => {
                self.counters.enters += 1;
                poll.turn(wait, &mut self.slots, &mut self.done)
            }
            Backend::Gone => Ok(()),
        };
        if self.on_pool > 0 {
            self.replies.drain(&mut self.inbox);
            self.on_pool -= self.inbox.len();
            self.done.append(&mut self.inbox);
        }
        self.deliver(batch, threads);
        turned
    }

    /// Settles what is done. What is found to have more to do first is done again with the next turn.
    fn deliver(&mut self, batch: &mut Batch, threads: &Threads) {
        let mut done = mem::replace(&mut self.done, mem::take(&mut self.spare));
        for cqe in done.drain(..) {
            self.counters.cqes += 1;
            let key = Key::from_user_data(cqe.user_data);
            let Some(cqe) = self.review(key, cqe, threads) else { continue };
            match cqe.is_final().then(|| self.slots.complete(key, cqe)).flatten() {
                Some(effect) => batch.add(effect),
                None => self.counters.strays += 1,
            }
        }
        self.spare = done;
    }

    /// Looks whether a completion is the entry's own, or only a step of its twin.
    fn review(&mut self, key: Key, cqe: Cqe, threads: &Threads) -> Option<Cqe> {
        let (Backend::Uring(_), Some(slot)) = (&self.backend, self.slots.get(key)) else { return Some(cqe) };
        let (twin, waited) = (slot.twin, slot.stage == Stage::Waiting && cqe.res >= 0);
        // The descriptor is non-blocking, and some kernels (before 6.10 for accept) take that as an answer.
        let refused = slot.stage == Stage::Native && matches!(twin.place, Place::Ready(_)) && cqe.res == -libc::EAGAIN;
        if !waited && !refused {
            return Some(cqe);
        }
        if slot.cancelled || !self.open {
            // Cancel is never lost: the request came for the step that has just ended, so none follows.
            return Some(Cqe::new(cqe.user_data, -libc::ECANCELED));
        }
        self.fall_back(key, twin, threads);
        None
    }

    /// No new entries from now on.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Gives up on whatever is left, and hands out what has to be dropped outside.
    pub(super) fn end(&mut self) -> (usize, Vec<Waker>, Backend) {
        self.open = false;
        let (lost, wakers) = self.slots.give_up();
        (lost, wakers, mem::replace(&mut self.backend, Backend::Gone))
    }
}
