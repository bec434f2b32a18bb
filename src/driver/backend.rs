//! The driver's inside: slots, the backend, and what passes between them. No code of others runs in here (Quiet), but
//! for twins, which are plain functions.

use crate::{
    buf::{Given, Group},
    driver::{
        Batch, Config, Counters, DriverInfo, Fd, Outlook, Threads, Wait, WakeHandle, choice,
        close::CLOSE,
        direct::{self, RING_ONLY},
        groups::Groups,
        inline,
        later::{Later, pause, time},
        lending::{Lending, Step},
        poll::{Desk, Poll, Prospect},
        slots::{Effect, Key, Owner, Slot, Slots, Stage},
        source::SourceId,
        stream::Then,
        threads::{Job, Replies},
        uring::{REPORT_USAGE, Uring},
    },
    entry::{Cqe, CqeFlags, FixedFile, Place, Sqe, SqeFlags, Twin},
    sys::{self, unix::Kind as FdKind},
};
use std::{
    io, mem,
    ops::Range,
    os::fd::RawFd,
    ptr,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

/// How many operations may complete at their first poll in one turn, and how many answers of one stream follow each
/// other. Whoever has more to do waits for the next turn, so that timers and other tasks get theirs.
const INLINE: u32 = 128;

/// So many completions of a turn have room from the start.
const DONE: usize = 64;

/// How often an entry without a twin is tried again that the kernel had no thread for.
const TRIES: u32 = 3;
/// What a worker does where the descriptor cannot promise not to block.
const READS_AND_WRITES: [u32; 6] = [
    sys::IORING_OP_READ,
    sys::IORING_OP_READ_FIXED,
    sys::IORING_OP_READV,
    sys::IORING_OP_WRITE,
    sys::IORING_OP_WRITE_FIXED,
    sys::IORING_OP_WRITEV,
];

/// So many completions a turn brings of late, in sixteenths, or more where calls cost more than entries: sends from the
/// first number on, receives from the third, and again below the second. Measured with the echo at fixed rates.
const SENDS: u32 = 3 * 16;
const FEW: u32 = 2 * 16;
const MANY: u32 = 4 * 16;

/// How many bytes a turn's reads copy out of the page cache at most: half a millisecond's work, more or less.
const COPIED: usize = 4 << 20;

/// What came of the attempt to do an entry at once.
pub(crate) enum Tried {
    /// Nothing: it is to be pushed.
    Not,
    /// The answer.
    Done(Cqe),
    /// It is done, but its answer has to come with the turn: the result.
    Later(i32),
}

/// Flags that an entry may not have above the ring: a twin could not honour them.
const REFUSED: SqeFlags = SqeFlags::FIXED_FILE
    .union(SqeFlags::IO_DRAIN)
    .union(SqeFlags::IO_LINK)
    .union(SqeFlags::IO_HARDLINK)
    .union(SqeFlags::CQE_SKIP_SUCCESS);

/// Flags that make an entry more than what goes to the kernel as it is.
const REMARKABLE: SqeFlags = REFUSED.union(SqeFlags::BUFFER_SELECT);

/// Who performs entries.
pub(super) enum Backend {
    Uring(Box<Uring>),
    Poll(Box<Poll>),
    /// Nobody any more.
    Gone,
}

impl Backend {
    /// Whether an answer to this entry shows what the kernel takes.
    fn learns_from(&self, sqe: &Sqe) -> bool {
        matches!(self, Backend::Uring(uring) if uring.learns_from(sqe))
    }
}

/// The state of a driver.
pub(super) struct Core {
    backend: Backend,
    pub(super) slots: Slots,
    groups: Groups,
    later: Later,
    /// Completions made here, to be delivered by the next turn.
    done: Vec<Cqe>,
    /// The answers that a bundle is taken apart into.
    parts: Vec<Cqe>,
    /// Streams that go on in this turn.
    fed: Vec<Key>,
    /// There from when a twin first goes to the pool.
    pub(super) replies: Option<Arc<Replies>>,
    bell: WakeHandle,
    inbox: Vec<Cqe>,
    /// Twins that the pool owes an answer.
    pub(super) on_pool: usize,
    /// False once the teardown has begun.
    open: bool,
    /// Reads of what is in memory may be calls on the ring.
    cached_reads: bool,
    inline_left: u32,
    /// Bytes that reads of what is in memory may still copy in this turn.
    copied_left: usize,
    /// Where, among what is done, the answer is of whoever had the last of what a turn may complete inline.
    overdrawn: Option<usize>,
    /// How many completions the last turn brought.
    brought: u64,
    /// The ring carries out reads of all kinds.
    knows_reads: bool,
    /// How many completions a turn brings of late, in sixteenths.
    lately: u32,
    /// Receives wait at watches.
    watches: bool,
    counters: Counters,
}

impl Core {
    /// Makes the backend that `config` and this machine agree on.
    pub(super) fn new(config: &Config, bell: &WakeHandle) -> io::Result<(Core, DriverInfo)> {
        config.check()?;
        let (ring, info) = choice::decide(config.choice.settle()?, || Uring::new(config, bell))?;
        let backend = match ring {
            Some(ring) => Backend::Uring(Box::new(ring)),
            None => Backend::Poll(Box::new(Poll::new(bell.clone())?)),
        };
        let knows_reads =
            matches!(&backend, Backend::Uring(uring) if inline::READS.iter().all(|&op| uring.knows(op as u8)));
        let core = Core {
            backend,
            slots: Slots::new(),
            groups: Groups::default(),
            later: Later::default(),
            // Room for a turn's from the start, so that no later one has to make it.
            done: Vec::with_capacity(DONE),
            parts: Vec::new(),
            fed: Vec::new(),
            replies: None,
            bell: bell.clone(),
            inbox: Vec::new(),
            on_pool: 0,
            open: true,
            cached_reads: config.cached_reads,
            inline_left: INLINE,
            copied_left: COPIED,
            overdrawn: None,
            brought: 0,
            knows_reads,
            lately: 16,
            watches: true,
            counters: Counters::new(),
        };
        Ok((core, info))
    }

    pub(super) fn counters(&self) -> Counters {
        let (slots, slots_max) = (self.slots.len(), self.slots.most());
        let counters = Counters { slots, slots_max, buffers_out: self.groups.out(), ..self.counters };
        match &self.backend {
            Backend::Poll(poll) => poll.counted(counters),
            Backend::Uring(uring) => uring.counted(counters),
            Backend::Gone => counters,
        }
    }

    /// See [`Driver::try_now`](super::Driver::try_now).
    pub(super) fn try_now(
        &mut self,
        sqe: &Sqe,
        (twin, attempt): (&mut &'static Twin, &mut u32),
        fd: Option<&Fd>,
    ) -> Tried {
        if !self.open || sqe.flags.intersects(REFUSED) {
            return Tried::Not;
        }
        match (twin.sooner, fd) {
            (Some(sooner), Some(fd)) => self.read_now(sqe, sooner, fd),
            (Some(_), None) => Tried::Not,
            (None, _) => self.call_now(sqe, twin, attempt).map_or(Tried::Not, Tried::Done),
        }
    }

    /// Calls an entry's own twin, if that may be done now.
    fn call_now(&mut self, sqe: &Sqe, twin: &mut &'static Twin, attempt: &mut u32) -> Option<Cqe> {
        if self.inline_left == 0 || !matches!(self.backend, Backend::Poll(_)) {
            return None;
        }
        match twin.place {
            Place::Pool | Place::Timer | Place::Ready(_) => return None,
            Place::Retry => self.counters.twins_ready += 1,
            Place::Here => self.counters.twins_here += 1,
        }
        self.inline_left -= 1;
        let cqe = self.groups.call_twin(twin, sqe, *attempt);
        self.tried(cqe, twin, attempt)
    }

    /// The same on the poll driver, of what waits for readiness: most of what a server does.
    #[inline]
    pub(super) fn try_ready(
        &mut self,
        sqe: &Sqe,
        (twin, attempt): (&mut &'static Twin, &mut u32),
        source: Option<SourceId>,
    ) -> Option<Cqe> {
        let (Place::Ready(interest), Backend::Poll(poll)) = (twin.place, &mut self.backend) else { return None };
        if !self.open || self.inline_left == 0 || sqe.flags.intersects(REFUSED) {
            return None;
        }
        let room = self.groups.room(sqe);
        match poll.prospect(sqe, room, source, interest) {
            Prospect::Open => {}
            Prospect::Queued => return None,
            Prospect::Dry => {
                // It is known what the call would say.
                *attempt += 1;
                return None;
            }
        }
        self.counters.twins_ready += 1;
        self.inline_left -= 1;
        let cqe = self.groups.call_twin(twin, sqe, *attempt);
        poll.answered(sqe, room, source, cqe.res);
        self.tried(cqe, twin, attempt)
    }

    /// Goes by what a twin that was tried has answered: that is the completion, or tells what to go on with.
    #[inline]
    fn tried(&mut self, cqe: Cqe, twin: &mut &'static Twin, attempt: &mut u32) -> Option<Cqe> {
        match (cqe.res, twin.otherwise) {
            (again, _) if again == -libc::EAGAIN && twin.place != Place::Here => *attempt += 1,
            (no, Some(otherwise)) if no == -libc::EOPNOTSUPP => *twin = otherwise,
            _ => {
                self.counters.inline += 1;
                self.counters.cqes += 1;
                return Some(cqe);
            }
        }
        None
    }

    /// Whether a send may cost less as a call than as an entry, as far as the last turns tell.
    pub(super) fn may_send(&self) -> bool {
        self.brought <= 1 || self.lately < SENDS
    }

    /// Whether no read is worth a call until the next turn: the ring is entered for many at once.
    pub(super) fn is_crowded(&self) -> bool {
        self.knows_reads && self.brought > inline::FEW
    }

    /// Whether a send costs less as a call than as an entry, since there are few to share an enter with.
    fn pays(&mut self, alone: fn() -> bool) -> bool {
        let Backend::Uring(uring) = &mut self.backend else { return false };
        let sparse = self.lately < SENDS && self.done.is_empty() && uring.may_call();
        sparse || self.is_idle(alone)
    }

    /// Whether a call costs the ring less than an entry: that would be the only one.
    fn is_idle(&mut self, alone: fn() -> bool) -> bool {
        let Backend::Uring(uring) = &mut self.backend else { return false };
        self.brought <= 1 && self.done.is_empty() && uring.is_idle() && alone()
    }

    /// Reads what is in memory by a call instead of an entry, or instead of one on another thread.
    fn read_now(&mut self, sqe: &Sqe, sooner: &'static Twin, fd: &Fd) -> Tried {
        let few = self.brought <= inline::FEW;
        let may = match &mut self.backend {
            // What is queued was asked for before.
            Backend::Uring(uring) if uring.knows(sqe.opcode) => self.cached_reads && few && uring.may_call_first(),
            _ => true,
        };
        let Some(room) = inline::room_if_cached(sqe, fd).filter(|&room| may && room <= self.copied_left) else {
            return Tried::Not;
        };
        if !fd.may_be_cached(sqe.off != u64::MAX) {
            return Tried::Not;
        }
        let cqe = self.groups.call_twin(sooner, sqe, 0);
        let found = cqe.res != -libc::EOPNOTSUPP;
        fd.set_cached(found);
        self.copied_left -= room;
        if !found {
            return Tried::Not;
        }
        self.counters.twins_here += 1;
        if self.inline_left == 0 {
            return Tried::Later(cqe.res);
        }
        self.inline_left -= 1;
        self.counters.inline += 1;
        self.counters.cqes += 1;
        Tried::Done(cqe)
    }

    /// Sends by a call instead of an entry, on the ring; see [`Driver::try_now`](super::Driver::try_now).
    pub(super) fn send_now(
        &mut self,
        sqe: &Sqe,
        twin: &'static Twin,
        attempt: &mut u32,
        fd: &Fd,
        alone: fn() -> bool,
    ) -> Option<Cqe> {
        let may = self.open && self.inline_left > 0;
        if !may || !inline::suits(sqe, twin, fd) || !self.pays(alone) {
            return None;
        }
        self.inline_left -= 1;
        self.counters.twins_ready += 1;
        let cqe = self.groups.call_twin(twin, sqe, *attempt);
        fd.set_crowded(inline::found_no_room(sqe, cqe.res));
        if cqe.res == -libc::EAGAIN {
            *attempt += 1;
            return None;
        }
        self.counters.inline += 1;
        self.counters.cqes += 1;
        Some(cqe)
    }

    /// Takes in an entry and starts it; if its descriptor is a `direct` one, at that place. `describe` says what else
    /// its slot is to hold.
    #[inline]
    pub(super) fn push(
        &mut self,
        sqe: &Sqe,
        (twin, direct): (&'static Twin, Option<u32>),
        owner: Owner,
        describe: impl FnOnce(&mut Slot),
        threads: &Threads,
    ) -> Key {
        let slot = self.slots.insert(sqe, twin, owner);
        let key = slot.key();
        describe(slot);
        if direct.is_some() {
            direct::aim(slot, direct);
        }
        match &mut self.backend {
            // What nearly all are: the kernel's, as they are.
            Backend::Uring(uring)
                if self.open
                    && !sqe.flags.intersects(REMARKABLE)
                    && slot.is_plain()
                    && uring.knows(slot.sqe.opcode) =>
            {
                match uring.watch(slot, self.watches, &mut self.counters) {
                    None => uring.push_plain(&mut slot.sqe, &mut self.counters),
                    Some(watch) => {
                        slot.stage = Stage::Watched;
                        self.serve(watch, threads);
                    }
                }
            }
            Backend::Poll(poll) => {
                // What was tried in vain, as nearly all were: its descriptor is watched already.
                if !self.open || sqe.flags.intersects(REFUSED) || !poll.line_up(slot, key) {
                    self.push_carefully(key, sqe.flags.intersects(REFUSED), threads);
                }
            }
            _ => self.push_carefully(key, sqe.flags.intersects(REFUSED), threads),
        }
        key
    }

    /// Starts the entry in `key`'s slot for the first time, unless it is `refused`.
    #[inline(never)]
    fn push_carefully(&mut self, key: Key, refused: bool, threads: &Threads) {
        if refused {
            self.done.push(Cqe::new(key.user_data(), -libc::EINVAL));
        } else {
            self.start(key, threads);
        }
    }

    /// Takes in an entry that is done: the next turn brings the answer `res`.
    pub(super) fn push_done(&mut self, sqe: &Sqe, twin: &'static Twin, owner: Owner, res: i32) -> Key {
        let slot = self.slots.insert(sqe, twin, owner);
        slot.owned = true;
        let key = slot.key();
        // The first to get no answer at once has had what there was: it is the last to go on.
        self.overdrawn.get_or_insert(self.done.len());
        self.done.push(Cqe::new(key.user_data(), res));
        key
    }

    /// Where the descriptor of `key` is watched.
    pub(super) fn source(&mut self, key: Key) -> Option<SourceId> {
        self.slots.get(key)?.source
    }

    /// Starts the entry in `key`'s slot, or starts it again.
    fn start(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.stage = Stage::Native;
        if !self.open {
            return self.done.push(Cqe::new(key.user_data(), -libc::ECANCELED));
        }
        match &mut self.backend {
            Backend::Uring(uring) if uring.knows(slot.sqe.opcode) => {
                if slot.selects() && !self.groups.is_in_kernel(&slot.sqe) {
                    return self.start_twin(key, threads);
                }
                // Only the push tells an `Fd` of a watch that begins.
                let wanted = self.watches && slot.source.is_some();
                if let Some(watch) = uring.watch(slot, wanted, &mut self.counters) {
                    slot.stage = Stage::Watched;
                    return self.serve(watch, threads);
                }
                if slot.is_plain() {
                    uring.push_plain(&mut slot.sqe, &mut self.counters);
                } else {
                    let sqe = uring.spelled(slot, self.groups.buf_size(&slot.sqe));
                    uring.push(&sqe, &mut self.counters);
                }
            }
            Backend::Poll(poll) => {
                if slot.stream.is_some() && poll.watch(slot, &mut self.done) {
                    // It tells at once what there is.
                    slot.attempt = slot.attempt.max(1);
                }
                self.start_twin(key, threads);
            }
            _ => self.start_twin(key, threads),
        }
    }

    /// Calls those who wait at a watch, in their order, until one has to wait on. Those that it left are entries.
    fn serve(&mut self, watch: SourceId, threads: &Threads) {
        while let Backend::Uring(uring) = &mut self.backend {
            let Some(key) = uring.next_left(watch) else { break };
            self.start(key, threads);
        }
        while let Backend::Uring(uring) = &mut self.backend {
            let Some(key) = uring.next_served(watch, &mut self.counters) else { return };
            let Some(slot) = self.slots.get(key) else {
                uring.leave_watch(watch, key);
                continue;
            };
            self.counters.twins_ready += 1;
            let cqe = self.groups.call(slot);
            if uring.answered(watch, cqe.res, &slot.sqe) {
                slot.stage = Stage::Native;
                self.counters.watched += 1;
                self.done.push(cqe);
            }
        }
    }

    /// Serves the watches that were told something.
    fn serve_watches(&mut self, threads: &Threads) {
        while let Backend::Uring(uring) = &mut self.backend {
            let Some(watch) = uring.next_told() else { return };
            self.serve(watch, threads);
        }
    }

    /// Performs an entry by its twin: now, or when it is time for it.
    fn start_twin(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        match (slot.twin.place, &mut self.backend) {
            (Place::Pool, _) => self.start_on_pool(key, threads),
            (Place::Timer, _) => {
                let time = time(&slot.sqe);
                self.put_off(key, time);
            }
            (Place::Ready(interest), Backend::Poll(poll))
                if slot.attempt > 0
                    || poll.prospect(&slot.sqe, self.groups.room(&slot.sqe), slot.source, interest)
                        != Prospect::Open =>
            {
                self.wait(key, true);
            }
            (Place::Retry | Place::Ready(_), _) if slot.attempt > 0 => self.wait(key, true),
            (Place::Retry | Place::Ready(_) | Place::Here, _) => self.call(key, threads),
        }
    }

    /// Calls the twin on this thread, and goes on from what it answers.
    fn call(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        let waits = matches!(slot.twin.place, Place::Ready(_) | Place::Retry);
        *if waits { &mut self.counters.twins_ready } else { &mut self.counters.twins_here } += 1;
        let cqe = self.groups.call(slot);
        if let Backend::Poll(poll) = &mut self.backend {
            poll.answered(&slot.sqe, self.groups.room(&slot.sqe), slot.source, cqe.res);
        }
        match (cqe.res, slot.twin.otherwise) {
            (again, _) if again == -libc::EAGAIN && waits => self.wait(key, true),
            (no, Some(otherwise)) if no == -libc::EOPNOTSUPP => {
                (slot.twin, slot.attempt) = (otherwise, 0);
                self.start_twin(key, threads);
            }
            _ => {
                // The wait is over: this completion is the entry's own.
                slot.stage = Stage::Native;
                self.done.push(cqe);
            }
        }
    }

    /// Lets an entry wait until it makes sense to call its twin again: until there is something to take for whoever
    /// waits `in_turn`, otherwise until something changes.
    fn wait(&mut self, key: Key, in_turn: bool) {
        let Some(slot) = self.slots.get(key) else { return };
        match (slot.twin.place, &mut self.backend) {
            (Place::Ready(interest), Backend::Uring(uring)) => {
                slot.stage = Stage::Waiting;
                uring.wait_for(key, slot.sqe.fd, interest, &mut self.counters);
            }
            (Place::Ready(interest), Backend::Poll(poll)) => {
                if let Err(e) = poll.queue(slot, key, (interest, in_turn), &mut self.done) {
                    self.done.push(Cqe::new(key.user_data(), -e.raw_os_error().unwrap_or(libc::EIO)));
                }
            }
            _ => {
                let pause = pause(slot.attempt.saturating_sub(1));
                self.put_off(key, pause);
            }
        }
    }

    fn put_off(&mut self, key: Key, time: Duration) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.stage = Stage::Later(self.later.put(key, time));
    }

    fn start_on_pool(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.stage = Stage::Pool;
        let bell = &self.bell;
        let replies = self.replies.get_or_insert_with(|| {
            let bell = bell.clone();
            Replies::new(move || bell.wake())
        });
        let job = Job::Twin { sqe: slot.sqe, twin: slot.twin, reply: replies.clone() };
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
            _ if !self.open || !self.bell.is_here() => return false,
            Backend::Poll(_) if kind() != FdKind::File => return false,
            _ => {}
        }
        self.push(&Sqe::close(fd), (&CLOSE, None), Owner::Close(Some(fd)), |_| {}, threads);
        true
    }

    /// Frees a place in the ring's table. After the teardown has begun it is left to the ring's end.
    pub(super) fn push_close_direct(&mut self, slot: u32, threads: &Threads) {
        if self.open {
            let sqe = Sqe::close_direct(FixedFile(slot));
            self.push(&sqe, (&RING_ONLY, None), Owner::Close(None), |_| {}, threads);
        }
    }

    /// Whether there is a table of direct descriptors that entries of this opcode can open into. The first time it is
    /// made.
    pub(super) fn has_table(&mut self, opcode: u8) -> bool {
        match &mut self.backend {
            Backend::Uring(uring) => uring.knows(opcode) && uring.has_table(),
            Backend::Poll(_) | Backend::Gone => false,
        }
    }

    /// Whether the kernel's ring carries out this opcode.
    #[inline]
    pub(super) fn on_ring(&self, opcode: u8) -> bool {
        matches!(&self.backend, Backend::Uring(uring) if uring.knows(opcode))
    }

    /// A watched descriptor goes: `now`, or with what is queued.
    pub(super) fn forget_source(&mut self, source: SourceId, now: bool) {
        match &mut self.backend {
            Backend::Poll(poll) => poll.forget(source),
            Backend::Uring(uring) => {
                uring.forget_watch(source, &mut self.counters);
                if now {
                    uring.flush(&mut self.counters);
                }
            }
            Backend::Gone => {}
        }
    }

    /// Ends the POLL of a watch behind its back.
    #[cfg(test)]
    #[allow(dead_code, reason = "where there is no ring, there are no watches")]
    pub(super) fn cancel_watch(&mut self, id: SourceId) {
        if let Backend::Uring(uring) = &mut self.backend {
            uring.cancel(Key::watch(id.index()), &mut self.counters);
        }
    }

    /// Whether the kernel holds descriptors for the driver itself, which it would keep for a while after the ring.
    pub(super) fn has_watches(&self) -> bool {
        matches!(&self.backend, Backend::Uring(uring) if uring.has_watches())
    }

    /// Takes in a buffer group, and gives its id.
    pub(super) fn provide(&mut self, group: &Rc<Group>) -> io::Result<u16> {
        let id = self.groups.next_id()?;
        let in_kernel = match &mut self.backend {
            Backend::Uring(uring) => uring.provide(group, id)?,
            Backend::Poll(_) | Backend::Gone => false,
        };
        self.groups.insert(group.clone(), in_kernel);
        Ok(id)
    }

    /// Lets a buffer group go that no operation uses any more.
    pub(super) fn withdraw(&mut self, id: u16) {
        if let (true, Backend::Uring(uring)) = (self.groups.remove(id), &mut self.backend) {
            uring.withdraw(id);
        }
    }

    /// Registers memory with the ring, and says where it is in its table.
    ///
    /// # Safety
    /// Lent: the memory may be written to, and stays mapped until [`Core::unregister`].
    pub(super) unsafe fn register(&mut self, memory: Range<*mut u8>) -> io::Result<u16> {
        match &mut self.backend {
            // SAFETY: Lent: mapped until `unregister`, which goes the same way.
            Backend::Uring(uring) => unsafe { uring.register(memory) },
            Backend::Poll(_) | Backend::Gone => {
                let why = "there is no ring that memory could be registered with";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    /// Takes memory out of the ring's table.
    pub(super) fn unregister(&mut self, index: u16) {
        if let Backend::Uring(uring) = &mut self.backend {
            uring.unregister(index);
        }
    }

    /// Goes on with whoever waited for a buffer that came back to the group `id`.
    pub(super) fn returned(&mut self, id: u16, given: Given, threads: &Threads) {
        if let Some(key) = given.holder.map(Key::from_user_data) {
            let Some(slot) = self.slots.get(key) else { return self.feed(id, given) };
            slot.stream.iter_mut().for_each(|stream| stream.gave());
            if matches!(slot.owner, Owner::Future(_)) {
                self.resume(key, threads);
            }
        }
        self.feed(id, given);
    }

    /// Lets the next turn go on with the streams that waited for a buffer.
    fn feed(&mut self, id: u16, given: Given) {
        if given.starved {
            self.groups.feed(id);
        }
    }

    /// Goes on with streams that waited for a buffer, now that there are some.
    fn go_on_fed(&mut self, threads: &Threads) {
        if !self.groups.is_fed() {
            return;
        }
        let mut fed = mem::take(&mut self.fed);
        self.groups.next_fed(&mut fed);
        for key in fed.drain(..) {
            if self.slots.get(key).is_some_and(|slot| slot.stage == Stage::Starved) {
                self.start_anew(key, threads);
            }
        }
        self.fed = fed;
    }

    /// What is to be expected of what is in flight.
    pub(super) fn outlook(&self) -> Outlook {
        if self.groups.is_fed() { Outlook::Ends } else { self.slots.outlook() }
    }

    /// Asks for an early end of `key`, wherever it is.
    pub(super) fn cancel(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        if !self.open || slot.owner.is_settled() || slot.lending.is_answered() {
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
            (Stage::Queued(interest), Backend::Poll(poll)) => poll.unqueue(key, slot.sqe.fd, interest),
            (Stage::Watched, Backend::Uring(uring)) => {
                slot.source.into_iter().for_each(|id| uring.leave_watch(id, key));
                true
            }
            (Stage::Pool, _) => {
                let removed = self.replies.as_ref().is_some_and(|replies| threads.cancel(key.user_data(), replies));
                self.on_pool -= usize::from(removed);
                removed
            }
            (Stage::Later(ticket), _) => {
                self.later.remove(ticket);
                true
            }
            (Stage::Starved, _) => {
                self.groups.unstarve(slot.sqe.buf_index, key);
                true
            }
            (Stage::Resting, _) => true,
            // Its completion is made already, and will be delivered by the next turn.
            _ => false,
        };
        if ended {
            slot.stage = Stage::Native;
            self.done.push(Cqe::new(key.user_data(), -libc::ECANCELED));
        }
    }

    /// Cancels what is in flight on the descriptor that `target` is aimed at, or everything: all but closes. Returns
    /// how much.
    pub(super) fn cancel_where(&mut self, target: Option<Sqe>, threads: &Threads) -> usize {
        let name = |sqe: &Sqe| (sqe.fd, sqe.flags.contains(SqeFlags::FIXED_FILE));
        // Only of an operation that holds an `Fd` is it certain that the entry's number is a descriptor, and which.
        let on = |slot: &Slot| target.is_none_or(|target| slot.owned && name(&slot.sqe) == name(&target));
        let meant = |slot: &Slot| !matches!(slot.owner, Owner::Close(_)) && on(slot);
        let keys = self.slots.in_flight(meant);
        keys.iter().for_each(|&key| self.cancel(key, threads));
        keys.len()
    }

    /// Cancels everything: one request for all of the ring, and one each for what is not there.
    pub(super) fn cancel_all(&mut self, threads: &Threads) {
        let all_at_once = match &mut self.backend {
            Backend::Uring(uring) => {
                let all = uring.cancel_all(&mut self.counters);
                if !all {
                    uring.end_watches(&mut self.counters);
                }
                all
            }
            Backend::Poll(_) | Backend::Gone => false,
        };
        for key in self.slots.in_flight(|_| true) {
            let stage = self.slots.get(key).map(|slot| slot.stage);
            if !(all_at_once && matches!(stage, Some(Stage::Native | Stage::Waiting))) {
                self.cancel_slot(key, threads);
            }
        }
    }

    /// What may be worth telling, as `Teller` takes it.
    pub(super) fn met(&self) -> [u64; 3] {
        [self.counters.overflows, self.counters.backlogged, self.counters.pauses]
    }

    /// See [`Driver::turn`](super::Driver::turn).
    pub(super) fn turn(&mut self, wait: Wait, batch: &mut Batch, threads: &Threads) -> io::Result<()> {
        self.counters.turns += 1;
        let before = self.counters.cqes;
        (self.inline_left, self.copied_left) = (INLINE, COPIED);
        if let Some(first) = self.overdrawn.take() {
            self.done[first..].rotate_left(1);
        }
        self.go_on_fed(threads);
        let must_not_sleep = !self.done.is_empty() || self.groups.is_fed() || (wait != Wait::Not && self.has_replies());
        let wait = if must_not_sleep { Wait::Not } else { wait.at_most(self.later.next()) };
        let turned = match &mut self.backend {
            Backend::Uring(uring) => uring.turn(wait, &mut self.done, &mut self.counters),
            Backend::Poll(poll) => {
                self.counters.enters += 1;
                let (slots, groups, done) = (&mut self.slots, &self.groups, &mut self.done);
                poll.turn(wait, &mut Desk { slots, groups, done, wakers: batch.wakers(), counters: &mut self.counters })
            }
            Backend::Gone => Ok(()),
        };
        if let Some(replies) = self.replies.as_ref().filter(|_| self.awaits_replies()) {
            replies.drain(&mut self.inbox);
            self.on_pool -= self.inbox.len();
            self.done.append(&mut self.inbox);
        }
        self.serve_watches(threads);
        self.go_on(threads);
        self.deliver(batch, threads);
        self.brought = self.counters.cqes - before;
        self.lately = (self.lately * 7 + self.brought.min(1000) as u32 * 16) / 8;
        self.watches = self.lately < if self.watches { MANY } else { FEW };
        if self.brought > 0 {
            self.counters.batches.add(self.brought);
        }
        turned
    }

    /// Whether the pool owes answers. Not to a forked child: nobody gives them there, and whoever gives them to its
    /// parent may have had the lock at the fork.
    fn awaits_replies(&self) -> bool {
        self.on_pool > 0 && self.bell.is_here()
    }

    /// Whether the pool has answered. If it owes an answer and has not, the next one rings.
    fn has_replies(&self) -> bool {
        self.awaits_replies() && self.replies.as_ref().is_some_and(|replies| !replies.ask())
    }

    /// How long there is nothing to do, unless the descriptor is readable. `None`: there is something now.
    pub(super) fn rests(&mut self) -> Option<Wait> {
        if !self.bell.is_here() || !self.done.is_empty() || self.groups.is_fed() || self.has_replies() {
            return None;
        }
        let backend = match &mut self.backend {
            Backend::Uring(uring) => uring.rests(&mut self.counters),
            Backend::Poll(poll) => poll.rests(),
            Backend::Gone => Some(Wait::Forever),
        };
        backend.map(|wait| wait.at_most(self.later.next()))
    }

    /// What is readable when the backend has something to tell.
    pub(super) fn descriptor(&mut self) -> io::Result<RawFd> {
        self.bell.check_here()?;
        match &mut self.backend {
            Backend::Uring(uring) => uring.descriptor(),
            Backend::Poll(poll) => poll.descriptor(),
            Backend::Gone => Err(io::Error::other("the runtime has ended")),
        }
    }

    /// Goes on with what was put off until now.
    fn go_on(&mut self, threads: &Threads) {
        if self.later.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(key) = self.later.pop(now) {
            let Some(slot) = self.slots.get(key) else { continue };
            slot.stage = Stage::Native;
            if slot.twin.place == Place::Timer || slot.stream.is_none() {
                self.call(key, threads);
            } else {
                self.start_anew(key, threads);
            }
        }
    }

    /// Settles what is done, and goes on with what is found to have more to do. What that brings may be done at once; a
    /// stream's answers follow each other so.
    fn deliver(&mut self, batch: &mut Batch, threads: &Threads) {
        let mut next = 0;
        for _ in 0..INLINE {
            let end = self.done.len();
            if next == end {
                break;
            }
            while next < end {
                let Cqe { user_data, res, flags } = self.done[next];
                let cqe = Cqe { user_data, res, flags };
                next += 1;
                self.settle(cqe, batch, threads);
            }
        }
        self.counters.cqes += next as u64;
        match next == self.done.len() {
            true => self.done.clear(),
            false => drop(self.done.drain(..next)),
        }
    }

    /// Settles a completion. One that is its entry's only answer, as nearly all are, is told at one look at the slot.
    fn settle(&mut self, cqe: Cqe, batch: &mut Batch, threads: &Threads) {
        let key = Key::from_user_data(cqe.user_data);
        let slot = self.slots.get(key);
        let plainly = slot.is_some_and(|slot| slot.is_answered_by(cqe) && !self.backend.learns_from(&slot.sqe));
        match plainly.then(|| self.slots.answer(key, cqe)).flatten() {
            Some(waker) => batch.wakers().push(waker),
            None => self.settle_carefully(key, (cqe.res, cqe.flags), batch, threads),
        }
    }

    /// Settles a completion that may be one of many, or only a step, or that no future waits for.
    #[inline(never)]
    fn settle_carefully(&mut self, key: Key, answer: (i32, CqeFlags), batch: &mut Batch, threads: &Threads) {
        let cqe = Cqe { user_data: key.user_data(), res: answer.0, flags: answer.1 };
        let effect = match self.review(key, cqe, batch, threads) {
            None => Some(Effect::None),
            Some(cqe) => self.tell(key, cqe, threads),
        };
        match effect {
            Some(effect) => batch.add(effect),
            None => self.counters.strays += 1,
        }
    }

    /// Looks whether a completion is the entry's own, or only a step of its twin.
    fn review(&mut self, key: Key, cqe: Cqe, batch: &mut Batch, threads: &Threads) -> Option<Cqe> {
        if let Backend::Poll(_) | Backend::Gone = self.backend {
            return Some(cqe);
        }
        let cqe = self.unbundled(key, cqe, batch);
        let (Backend::Uring(uring), Some(slot)) = (&mut self.backend, self.slots.get(key)) else { return Some(cqe) };
        let cannot_wait = slot.stage == Stage::Native && uring.refuses_to_wait(&slot.sqe, cqe);
        let waited = slot.stage == Stage::Waiting && cqe.res >= 0;
        // The descriptor is non-blocking, and some kernels (before 6.10 for accept) take that as an answer.
        let by_readiness = matches!(slot.twin.place, Place::Ready(_) | Place::Retry);
        let refused = slot.stage == Stage::Native && by_readiness && cqe.res == -libc::EAGAIN && cqe.is_final();
        if !waited && !refused && !cannot_wait {
            return if slot.lacked_a_worker(cqe) && self.open { self.do_without(key, threads) } else { Some(cqe) };
        }
        if slot.cancelled || !self.open {
            // Cancel is never lost: the request came for the step that has just ended, so none follows.
            return Some(Cqe::new(cqe.user_data, -libc::ECANCELED));
        }
        match (refused, cannot_wait) {
            (_, true) => self.start(key, threads),
            (true, _) => self.start_twin(key, threads),
            _ => self.call(key, threads),
        }
        None
    }

    /// Performs an entry that the kernel gave up before it began: it had no thread for it, because too many are there
    /// already, or because signals kept it from making its first one (`create_worker_cont` in `io_uring/io-wq.c`). The
    /// pool may have one; what has no twin is tried again.
    fn do_without(&mut self, key: Key, threads: &Threads) -> Option<Cqe> {
        let slot = self.slots.get(key)?;
        let given_up = Cqe::new(key.user_data(), -libc::ECANCELED);
        match slot.twin.place {
            Place::Pool => self.start_on_pool(key, threads),
            Place::Here if ptr::eq(slot.twin, &raw const RING_ONLY) && slot.attempt < TRIES => {
                slot.attempt += 1;
                self.start(key, threads);
            }
            Place::Here => {
                self.counters.twins_here += 1;
                let cqe = self.groups.call(slot);
                // What is no twin cannot know whether somebody else's entry has cancelled this one.
                return Some(if cqe.res == -libc::EOPNOTSUPP { given_up } else { cqe });
            }
            // What cannot promise not to block is given to a worker once it is ready. If it is not, somebody else's
            // entry has cancelled this one.
            Place::Ready(_) if READS_AND_WRITES.contains(&slot.sqe.opcode.into()) => {
                self.counters.twins_ready += 1;
                let cqe = self.groups.call(slot);
                match (-cqe.res, slot.twin.otherwise) {
                    (libc::EAGAIN, _) => return Some(given_up),
                    (libc::EOPNOTSUPP, Some(otherwise)) => {
                        slot.twin = otherwise;
                        self.start_twin(key, threads);
                    }
                    _ => return Some(cqe),
                }
            }
            _ => return Some(given_up),
        }
        None
    }

    /// Notes which buffers an answer brought. Of a bundle, all but the last are told as answers of their own.
    fn unbundled(&mut self, key: Key, cqe: Cqe, batch: &mut Batch) -> Cqe {
        let Some(slot) = self.slots.get(key).filter(|slot| slot.selects()) else { return cqe };
        let mut parts = mem::take(&mut self.parts);
        let last = self.groups.took(slot, cqe, &mut parts);
        self.counters.bundles += u64::from(!parts.is_empty());
        for part in parts.drain(..) {
            self.slots.add(key, part).into_iter().for_each(|effect| batch.add(effect));
        }
        self.parts = parts;
        last
    }

    /// Tells an answer to whoever waits for it. `None` if nobody does.
    fn tell(&mut self, key: Key, cqe: Cqe, threads: &Threads) -> Option<Effect> {
        let slot = self.slots.get(key)?;
        let (selects, ending) = (slot.selects(), slot.cancelled || !self.open);
        if slot.lending != Lending::No {
            return self.tell_lender(key, cqe, threads);
        }
        let stream = match &mut slot.stream {
            Some(stream) if !slot.owner.is_settled() => stream,
            None if cqe.is_final() => return self.slots.complete(key, cqe),
            _ => return None,
        };
        if let (Backend::Uring(uring), Some(flag)) = (&mut self.backend, stream.refused_flag(cqe)) {
            uring.lacks(flag);
        }
        let (told, then) = stream.judge(cqe, selects, ending);
        let effect = match told {
            Some(last) if last.is_final() => return self.slots.complete(key, last),
            Some(item) => self.slots.add(key, item),
            None => Some(Effect::None),
        };
        self.follow(key, then, threads);
        effect
    }

    /// Tells an answer to whoever has lent memory.
    fn tell_lender(&mut self, key: Key, cqe: Cqe, threads: &Threads) -> Option<Effect> {
        let slot = self.slots.get(key)?;
        if slot.owner.is_settled() {
            return None;
        }
        let (before, ending) = (slot.lending, slot.cancelled || !self.open);
        let reports = matches!(&self.backend, Backend::Uring(uring) if uring.reports_usage());
        let asked = reports && before != Lending::Doubted;
        let step = slot.lending.judge(cqe, asked && !ending && slot.stage == Stage::Native);
        if let (Lending::Doubted, Step::Tell(_), Backend::Uring(uring)) = (before, &step, &mut self.backend) {
            uring.lacks(REPORT_USAGE);
        }
        match step {
            Step::Wait => Some(Effect::None),
            Step::Tell(result) => self.slots.add_result(key, result),
            Step::Again => {
                self.start(key, threads);
                Some(Effect::None)
            }
            Step::Last(last) => {
                let last = self.counters.notified(last, asked);
                self.slots.complete(key, last)
            }
            Step::Both(result, last) => {
                let told = self.slots.add_result(key, result);
                let last = self.counters.notified(last, asked);
                match self.slots.complete(key, last) {
                    Some(Effect::None) => told,
                    settled => settled,
                }
            }
            Step::Stray => None,
        }
    }

    /// Does what a stream needs after an answer.
    fn follow(&mut self, key: Key, then: Then, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        match (then, &mut self.backend) {
            (Then::Go | Then::End, _) => {}
            (Then::Stop, Backend::Uring(uring)) => {
                if uring.cancel(key, &mut self.counters) {
                    self.done.push(Cqe::new(key.user_data(), -libc::ECANCELED));
                }
            }
            (Then::Again, _) => self.start_anew(key, threads),
            // An edge tells of a change; on the ring, only the next one who asks does.
            (Then::Change, Backend::Poll(_)) => {
                slot.attempt = slot.attempt.max(1);
                self.counters.rearms += 1;
                self.wait(key, false);
            }
            (Then::Pause(time), _) => {
                self.counters.pauses += 1;
                self.put_off(key, time);
            }
            (Then::Starve(pause), _) => {
                self.counters.starved += 1;
                slot.stage = Stage::Starved;
                if !self.groups.starve(slot.sqe.buf_index, key, pause.is_zero()) {
                    self.put_off(key, pause);
                }
            }
            (Then::Rest | Then::Stop | Then::Change, _) => {
                slot.stage = Stage::Resting;
                let all_out = slot.stream.as_ref().is_some_and(|stream| !stream.has_credit());
                self.counters.rested += u64::from(all_out);
                if matches!(slot.owner, Owner::Future(_)) {
                    self.resume(key, threads);
                }
            }
        }
    }

    /// Goes on with a stream that rests, when all it gave was fetched; behind those that wait for a buffer.
    pub(super) fn resume(&mut self, key: Key, threads: &Threads) {
        if !self.slots.rests(key) {
            return;
        }
        let Some(slot) = self.slots.get(key) else { return };
        slot.stream.iter_mut().for_each(|stream| stream.resume());
        if slot.selects() && self.groups.has_starved(slot.sqe.buf_index) {
            slot.stage = Stage::Starved;
            self.groups.starve(slot.sqe.buf_index, key, true);
            return;
        }
        self.start_anew(key, threads);
    }

    /// Asks for a stream's next answer.
    fn start_anew(&mut self, key: Key, threads: &Threads) {
        let Some(slot) = self.slots.get(key) else { return };
        slot.attempt = 0;
        self.counters.rearms += 1;
        self.start(key, threads);
    }

    /// Whether the teardown has begun.
    pub(super) fn is_closed(&self) -> bool {
        !self.open
    }

    /// No new entries from now on.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Gives up on whatever is left, and hands out what has to be dropped outside.
    pub(super) fn end(&mut self) -> (usize, Vec<Waker>, Backend) {
        self.open = false;
        self.counters = self.counters();
        let (lost, wakers) = self.slots.give_up();
        if let (true, Backend::Uring(uring)) = (lost > 0, &mut self.backend) {
            uring.leave_table();
        }
        (lost, wakers, mem::replace(&mut self.backend, Backend::Gone))
    }
}
