//! The kernel's ring as a driver.

use crate::{
    buf::Group,
    driver::{
        Call, Config, Counters, LONGEST, Wait, WakeHandle, ladder,
        lending::Lending,
        own,
        registered::{self, Registered},
        slots::{Key, Slot},
        source::SourceId,
        survey::{Attempt, Known, RingInfo},
        wake::DEAF,
        watched::{self, Next, Told, Watches, waits_first},
    },
    entry::{BufGroup, Cqe, Interest, Sqe, SqeFlags},
    ring::{Enter, EnterFlags, Features, Ring, SetupFlags, send_message},
    sys::{self, io_uring_buf_reg, linux, names::OPCODES, uring as calls},
    trace,
};
use std::{
    collections::VecDeque,
    env,
    fs::File,
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd, RawFd},
    ptr,
    sync::OnceLock,
    time::Duration,
};

/// The driver's own entries.
const BELL: Key = Key::own(0);
const CANCEL: Key = Key::own(1);
const MESSAGE: Key = Key::own(2);
const TRIAL: Key = Key::own(3);

/// How often a turn enters again because completions are left inside the kernel. What is left then comes with the next
/// turn.
const ENTERS: u32 = 64;

/// How often a flush enters at most. An enter runs about twenty pieces of deferred work (since Linux 6.13), and what
/// was asked for last comes last; so where the kernel tells whether there is more, this is for thousands of them.
const FLUSHES: u32 = 1024;

/// The same where it does not tell.
const BLIND_FLUSHES: u32 = 8;

/// So many completions may be all that an enter makes of what was deferred, with more behind them (since Linux 6.13 it
/// runs about twenty). Fewer were all; what the kernel has by now came meanwhile, and the next turn enters anyway.
const MANY: usize = 16;

/// The uring backend.
pub(super) struct Uring {
    ring: Ring,
    /// Entries that found the queue full, in their order.
    backlog: VecDeque<Sqe>,
    known: Known,
    bell: WakeHandle,
    /// The kernel watches the bell's counter.
    bell_is_watched: bool,
    cancels_are_silent: bool,
    can_cancel_all: bool,
    /// A receive was seen to wait before it tried.
    waits_first: bool,
    /// How many places the table of direct descriptors is to have, and whether it is there.
    direct_descriptors: u32,
    has_table: bool,
    registered: Registered,
    /// Sockets that are watched, and those of them that something is to be done at.
    watches: Watches,
    told: VecDeque<SourceId>,
}

impl Uring {
    /// The best ring that is as `config` asks.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(super) fn new(config: &Config, bell: &WakeHandle) -> io::Result<Uring> {
        let (ring, known) = open(config, &mut Vec::new())?;
        employ(&ring, config.max_blocking_threads);
        trace::ring(ring.setup_flags(), ring.sq_entries(), ring.cq_entries());
        let cancels_are_silent = ring.features().contains(Features::CQE_SKIP);
        if !known.lacks(SEND_MSG_RING) && takes_messages(&ring) {
            bell.enter(ring.as_raw_fd(), MESSAGE.user_data());
        } else {
            // Without messages there is no sleep without the counter.
            bell.raw()?;
        }
        Ok(Uring {
            ring,
            backlog: VecDeque::new(),
            known,
            bell: bell.clone(),
            bell_is_watched: false,
            cancels_are_silent,
            can_cancel_all: true,
            waits_first: false,
            direct_descriptors: config.direct_descriptors,
            has_table: false,
            registered: Registered::default(),
            watches: Watches::default(),
            told: VecDeque::new(),
        })
    }

    /// Whether the kernel carries out this opcode.
    #[inline]
    pub(super) fn knows(&self, opcode: u8) -> bool {
        self.known.opcodes.get(usize::from(opcode)).copied().unwrap_or(false)
    }

    /// Queues an entry that is answered once. Of a kernel without receives that wait first, none is asked to.
    #[inline]
    pub(super) fn push_plain(&mut self, sqe: &mut Sqe, counters: &mut Counters) {
        if waits_first(sqe) {
            match self.known.lacks(RECVSEND_POLL_FIRST) {
                true => sqe.ioprio = 0,
                false => counters.poll_first += 1,
            }
        }
        self.push(sqe, counters);
    }

    /// The entry of another slot as the kernel gets it: a stream's is a multishot, if the kernel takes such, and its
    /// length says how much it may receive into buffers of `size` bytes.
    pub(super) fn spelled(&self, slot: &mut Slot, size: u32) -> Sqe {
        let Some(stream) = &mut slot.stream else {
            let usage = slot.lending == Lending::Sent && self.reports_usage();
            let asks = if usage { sys::IORING_SEND_ZC_REPORT_USAGE as u16 } else { 0 };
            return Sqe { ioprio: slot.sqe.ioprio | asks, ..slot.sqe };
        };
        let flag = stream.rule.flag.as_ref().filter(|flag| stream.dares() && !self.known.lacks(flag.name));
        stream.multishot = flag.is_some();
        let sqe = if stream.is_limited() { Sqe { len: stream.budget(size), ..slot.sqe } } else { slot.sqe };
        flag.map_or(sqe, |flag| (flag.set)(sqe))
    }

    /// Whether an entry was refused that is right but for its flag to wait first, which is remembered; a kernel that
    /// took it once knows it.
    pub(super) fn refuses_to_wait(&mut self, sqe: &Sqe, cqe: Cqe) -> bool {
        let refuses = waits_first(sqe) && !self.waits_first && cqe.res == -libc::EINVAL;
        self.waits_first |= waits_first(sqe) && cqe.res >= 0;
        if refuses {
            self.lacks(RECVSEND_POLL_FIRST);
        }
        refuses
    }

    /// Whether an answer to this entry shows what the kernel takes.
    pub(super) fn learns_from(&self, sqe: &Sqe) -> bool {
        sqe.ioprio != 0 && !self.waits_first
    }

    /// Whether a notification says if the memory was copied after all (since Linux 6.2).
    pub(super) fn reports_usage(&self) -> bool {
        !self.known.lacks(REPORT_USAGE)
    }

    /// Remembers that the kernel has no such flag.
    pub(super) fn lacks(&mut self, flag: &'static str) {
        if !self.known.lacks(flag) {
            self.known.lacking.push(flag);
        }
    }

    /// Registers a group's ring with the kernel. `false`: it knows none (before Linux 5.19), and twins have to choose
    /// the buffers.
    ///
    /// # Errors
    /// `ENOMEM` when the pages may not be locked.
    pub(super) fn provide(&mut self, group: &Group, id: u16) -> io::Result<bool> {
        // Where a twin receives, it has to choose the buffer as well; and only one side can.
        let by_twin = [sys::IORING_OP_RECV, sys::IORING_OP_RECVMSG].iter().any(|&opcode| !self.knows(opcode as u8));
        if by_twin || self.known.lacks(PBUF_RING) || self.known.lacks(RECVMSG_MULTISHOT) {
            return Ok(false);
        }
        let (ring_addr, ring_entries) = (group.ring(), group.count());
        let ring = io_uring_buf_reg { ring_addr, ring_entries, bgid: id, ..io_uring_buf_reg::default() };
        // SAFETY: Lent: the group's ring stays mapped until `withdraw`, as the driver holds the group until then.
        match unsafe { self.ring.register_entries(ring) } {
            Ok(()) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                self.lacks(PBUF_RING);
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// Takes a group's ring back from the kernel.
    pub(super) fn withdraw(&mut self, id: u16) {
        let _ = self.ring.unregister_entries(BufGroup(id));
    }

    /// Whether there is a table of direct descriptors; the first time it is made. `false`: none is wanted, this kernel
    /// cannot have one (before Linux 5.19) or could not do much with its descriptors (before 6.8 it cannot give them
    /// numbers), or it has not the memory.
    pub(super) fn has_table(&mut self) -> bool {
        if self.has_table || self.known.lacks(DIRECT) || !NEEDED.iter().all(|&opcode| self.knows(opcode as u8)) {
            return self.has_table;
        }
        let mut nr = self.direct_descriptors;
        while nr > 0 && !self.has_table {
            let made = self.ring.register_files_sparse(nr);
            self.has_table = made.is_ok();
            // A table may have no more places than the process may have descriptors.
            let too_many = made.is_err_and(|e| e.raw_os_error() == Some(libc::EMFILE));
            nr = if too_many { nr / 2 } else { 0 };
        }
        if !self.has_table {
            self.lacks(DIRECT);
        }
        self.has_table
    }

    /// Registers memory, and says where it is in the ring's table.
    ///
    /// # Errors
    /// Why it cannot be registered.
    ///
    /// # Safety
    /// Lent: the memory may be written to, and stays mapped until [`Uring::unregister`].
    pub(super) unsafe fn register(&mut self, memory: Range<*mut u8>) -> io::Result<u16> {
        if self.known.lacks(BUFFERS2) {
            return Err(registered::no_table());
        }
        // SAFETY: Lent: the memory stays mapped until `unregister`, which is the table's `remove`.
        unsafe { self.registered.insert(&self.ring, memory) }
    }

    /// Takes memory out of the ring's table.
    pub(super) fn unregister(&mut self, index: u16) {
        self.registered.remove(&self.ring, index);
    }

    /// Leaves the table of direct descriptors to the ring's end: some kernels (before 6.13) wait for all requests
    /// before they let it go, and there are such as may never end.
    pub(super) fn leave_table(&mut self) {
        self.has_table = false;
    }

    /// Whether a call may take the place of an entry: nothing is queued, and nothing has come.
    pub(super) fn is_idle(&mut self) -> bool {
        self.may_call_first() && !self.ring.has_come()
    }

    /// Whether a call would overtake nothing that is queued.
    pub(super) fn may_call_first(&mut self) -> bool {
        self.backlog.is_empty() && !self.ring.has_queued() && !self.known.lacks(INLINE)
    }

    /// Whether a call may go before what is queued: nothing has come, and nothing waits for room.
    pub(super) fn may_call(&mut self) -> bool {
        self.backlog.is_empty() && !self.ring.has_come() && !self.known.lacks(INLINE)
    }

    /// Whether the kernel can watch: a poll's completion that is for several wakes does not look like that for one.
    /// That is so since Linux 6.1, as is what it is known by.
    fn can_watch(&self) -> bool {
        let hidden = [POLL_ADD_MULTI, INLINE].iter().any(|ability| self.known.lacks(ability));
        let since = [sys::IORING_OP_SENDMSG_ZC, sys::IORING_OP_POLL_ADD];
        !hidden && since.iter().all(|&opcode| self.knows(opcode as u8))
    }

    /// Lets a receive that [suits](watched::suits) wait at its socket's watch, and gives that: if it is `wanted`, or
    /// somebody waits there already, whom nobody is to overtake. Otherwise the watch is not needed.
    #[inline]
    pub(super) fn watch(&mut self, slot: &mut Slot, wanted: bool, counters: &mut Counters) -> Option<SourceId> {
        let may_suit = waits_first(&slot.sqe) && (wanted || slot.source.is_some());
        if may_suit { self.join_watch(slot, wanted, counters) } else { None }
    }

    #[inline(never)]
    fn join_watch(&mut self, slot: &mut Slot, wanted: bool, counters: &mut Counters) -> Option<SourceId> {
        if !watched::suits(slot) {
            return None;
        }
        let known = slot.source;
        let joins = (wanted && self.can_watch()) || known.is_some_and(|id| self.watches.is_waited_for(id));
        if !joins {
            known.into_iter().for_each(|id| self.stop_watch(id, counters));
            return None;
        }
        let id = self.watches.join(known, slot.sqe.fd, slot.key());
        if known.is_none() && !linux::is_tcp(slot.sqe.fd) {
            self.watches.doubt(id);
        }
        // Should it become an entry after all, that tries before it waits.
        (slot.source, slot.sqe.ioprio) = (Some(id), 0);
        Some(id)
    }

    /// Somebody waits at a watch no longer.
    pub(super) fn leave_watch(&mut self, id: SourceId, key: Key) {
        self.watches.leave(id, key);
    }

    /// Who waited at a watch that has failed, and is to be an entry.
    pub(super) fn next_left(&mut self, id: SourceId) -> Option<Key> {
        self.watches.next_left(id)
    }

    /// Who is to be called at a watch. If nobody is, those who wait will be told.
    pub(super) fn next_served(&mut self, id: SourceId, counters: &mut Counters) -> Option<Key> {
        match self.watches.next(id) {
            Next::Call(key) => return Some(key),
            Next::Arm(fd) => {
                counters.watches += 1;
                self.push(&own::watch(fd, Key::watch(id.index())), counters);
            }
            Next::Rest => {}
        }
        None
    }

    /// Learns what the call of the first who waits at a watch has answered. `false`: it waits on.
    pub(super) fn answered(&mut self, id: SourceId, res: i32, sqe: &Sqe) -> bool {
        if res == -libc::EAGAIN && linux::is_urgent(sqe.fd) {
            self.watches.doubt(id);
        }
        self.watches.answered(id, res, sqe.len)
    }

    /// The next watch that was told something.
    pub(super) fn next_told(&mut self) -> Option<SourceId> {
        self.told.pop_front()
    }

    /// Ends a watch that nobody waits at.
    fn stop_watch(&mut self, id: SourceId, counters: &mut Counters) {
        if self.watches.stop(id) {
            self.end_watch(id, counters);
        }
    }

    /// The `Fd` of a watch goes.
    pub(super) fn forget_watch(&mut self, id: SourceId, counters: &mut Counters) {
        if self.watches.forget(id) {
            self.end_watch(id, counters);
        }
    }

    /// Ends all watches.
    pub(super) fn end_watches(&mut self, counters: &mut Counters) {
        let ending: Vec<SourceId> = self.watches.end().collect();
        ending.into_iter().for_each(|id| self.end_watch(id, counters));
    }

    /// Whether the kernel holds an open file for a watch.
    pub(super) fn has_watches(&self) -> bool {
        self.watches.is_armed()
    }

    fn end_watch(&mut self, id: SourceId, counters: &mut Counters) {
        if self.cancel(Key::watch(id.index()), counters) {
            self.watches.ended(id);
        }
    }

    /// Has the kernel carry out what is queued, as far as it can do so now. What comes of it is for the next turn.
    pub(super) fn flush(&mut self, counters: &mut Counters) {
        let told = self.ring.setup_flags().contains(SetupFlags::TASKRUN_FLAG);
        for _ in 0..if told { FLUSHES } else { BLIND_FLUSHES } {
            self.push_backlog();
            let entered = self.enter(Wait::Not, counters);
            if entered.is_err() || (self.backlog.is_empty() && !self.ring.needs_enter()) {
                return;
            }
        }
    }

    /// Takes in what the POLL of a watch told. `false`: there is none.
    fn hears_of(&mut self, id: SourceId, cqe: Cqe, counters: &mut Counters) -> bool {
        match self.watches.told(id, cqe) {
            Told::Stray => return false,
            Told::Noted => {}
            Told::Stop => self.stop_watch(id, counters),
            Told::Serve => self.told.push_back(id),
        }
        if cqe.res == -libc::EINVAL {
            self.lacks(POLL_ADD_MULTI);
        }
        true
    }

    /// Queues an entry. A full queue is emptied into the kernel first; what the kernel will not take waits here.
    #[inline]
    pub(super) fn push(&mut self, sqe: &Sqe, counters: &mut Counters) {
        counters.sqes[usize::from(sqe.opcode)] += 1;
        // SAFETY: Lent: the operation stays in its slot or its future until the final completion of this entry.
        let pushed = self.backlog.is_empty() && unsafe { self.ring.push(sqe) }.is_ok();
        if !pushed {
            self.push_late(sqe, counters);
        }
    }

    /// Queues an entry for which there was no room.
    #[cold]
    fn push_late(&mut self, sqe: &Sqe, counters: &mut Counters) {
        if self.backlog.is_empty() {
            // Whatever it says, nothing is lost: what was not taken is still queued (Published stays).
            counters.enters += 1;
            let _ = self.ring.submit();
            // SAFETY: Lent: it stays in its slot or its future, as for the first attempt.
            if unsafe { self.ring.push(sqe) }.is_ok() {
                return;
            }
        }
        counters.backlogged += 1;
        self.backlog.push_back(*sqe);
    }

    #[inline]
    fn push_backlog(&mut self) {
        if !self.backlog.is_empty() {
            self.push_some_backlog();
        }
    }

    #[cold]
    fn push_some_backlog(&mut self) {
        while let Some(sqe) = self.backlog.front() {
            // SAFETY: Lent: as in `push`; its future may be gone by now, and then it lies in its slot.
            if unsafe { self.ring.push(sqe) }.is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }

    /// Waits for readiness under the name of `key`.
    pub(super) fn wait_for(&mut self, key: Key, fd: RawFd, interest: Interest, counters: &mut Counters) {
        self.push(&own::wait_for(fd, interest, key), counters);
    }

    /// Cancels `key`. `true`: it had not reached the ring and is gone; otherwise its completion will come.
    ///
    /// **Cancel is never lost**: the request waits in the backlog like any other entry, behind the one that it is for.
    pub(super) fn cancel(&mut self, key: Key, counters: &mut Counters) -> bool {
        if let Some(at) = self.backlog.iter().position(|sqe| sqe.user_data == key.user_data()) {
            self.backlog.remove(at);
            return true;
        }
        self.push_cancel(own::cancel(key), counters);
        false
    }

    /// Cancels everything in the ring by one request. `false`: this kernel (before Linux 5.19) cannot.
    pub(super) fn cancel_all(&mut self, counters: &mut Counters) -> bool {
        if self.can_cancel_all {
            self.push_cancel(own::cancel_all(), counters);
        }
        self.can_cancel_all
    }

    fn push_cancel(&mut self, sqe: Sqe, counters: &mut Counters) {
        let skip = SqeFlags::CQE_SKIP_SUCCESS;
        let sqe = sqe.user_data(CANCEL.user_data());
        self.push(&if self.cancels_are_silent { sqe.flags(skip) } else { sqe }, counters);
    }

    /// Adds what the kernel counted.
    pub(super) fn counted(&self, counters: Counters) -> Counters {
        Counters { lost: self.ring.lost().into(), ..counters }
    }

    /// Submits, waits, and collects completions into `done`.
    pub(super) fn turn(&mut self, wait: Wait, done: &mut Vec<Cqe>, counters: &mut Counters) -> io::Result<()> {
        counters.overflows += u64::from(self.ring.cq_overflow());
        self.push_backlog();
        if wait != Wait::Not {
            // First: a child may find the bell's lock held for good.
            self.ring.check_alive()?;
        }
        let wait = if wait == Wait::Not { wait } else { wait.at_most(self.watch_bell(counters)) };
        // Nobody sleeps on what is ready, nor on what has not reached the ring: the bell may be among it.
        let wait = if self.backlog.is_empty() && !self.ring.has_come() { wait } else { Wait::Not };
        let (mut wait, mut again) = (wait, ENTERS);
        loop {
            let result = self.enter(wait, counters);
            let came = self.collect(done, counters);
            self.push_backlog();
            if result.is_err() || again == 0 || !self.has_left(came) {
                return result;
            }
            (wait, again) = (Wait::Not, again - 1);
        }
    }

    /// Whether this turn has to enter again, after an enter by which so many completions `came`.
    fn has_left(&mut self, came: usize) -> bool {
        let were_all = (1..MANY).contains(&came) && !self.ring.has_queued() && !self.ring.cq_overflow();
        !were_all && self.ring.needs_enter()
    }

    /// How long there is nothing to do, unless the ring's descriptor is readable. `None`: there is something now, if
    /// only to have the bell watched.
    pub(super) fn rests(&mut self, counters: &mut Counters) -> Option<Wait> {
        if self.ring.check_alive().is_err() {
            return None;
        }
        let limit = self.watch_bell(counters);
        let idle = self.backlog.is_empty() && self.ring.ready() == 0 && !self.ring.needs_enter();
        idle.then(|| Wait::Forever.at_most(limit))
    }

    /// What is readable when there are completions.
    ///
    /// # Errors
    /// `InvalidInput` where nobody would be woken by that: with `DEFER_TASKRUN` completions are made by an enter, and
    /// nothing tells that it is time for one.
    pub(super) fn descriptor(&self) -> io::Result<RawFd> {
        if self.ring.setup_flags().contains(SetupFlags::DEFER_TASKRUN) {
            let why = "this runtime's ring cannot be waited for from outside; build it with Builder::pollable(true)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(self.ring.as_raw_fd())
    }

    fn enter(&mut self, wait: Wait, counters: &mut Counters) -> io::Result<()> {
        let sleeps = !matches!(wait, Wait::Not | Wait::For(Duration::ZERO));
        let timeout = match wait {
            // A ring that takes no entries would keep its driver from both sleeping and failing; an enter asks as well.
            _ if !sleeps && !self.ring.needs_enter() => return self.ring.check_alive(),
            Wait::Not | Wait::Forever | Wait::For(Duration::ZERO) => None,
            Wait::For(limit) => Some(limit.clamp(Duration::from_nanos(1), LONGEST)),
        };
        counters.enters += 1;
        let (wait, flags) = (u32::from(sleeps), EnterFlags::GETEVENTS);
        let entered = match timeout {
            None => self.ring.enter_plainly(wait, flags).map(drop),
            Some(_) => self.ring.enter(&Enter { submit: u32::MAX, wait, flags, timeout, ..Enter::default() }).map(drop),
        };
        match entered.map_err(|e| (e.raw_os_error().unwrap_or(0), e)) {
            // The wait was interrupted, or the kernel is short of something for now: what was queued still is.
            Ok(()) | Err((libc::EINTR | libc::EAGAIN | libc::EBUSY, _)) => Ok(()),
            Err((_, e)) => Err(e),
        }
    }

    /// Collects completions into `done`, but for the driver's own. Says how many there were.
    fn collect(&mut self, done: &mut Vec<Cqe>, counters: &mut Counters) -> usize {
        let before = done.len();
        self.ring.take_all(done);
        let came = done.len() - before;
        if done[before..].iter().any(|cqe| Key::from_user_data(cqe.user_data).is_own()) {
            self.hear(done, before, counters);
        }
        came
    }

    /// Takes the driver's own out of what came after so many others.
    #[inline(never)]
    fn hear(&mut self, done: &mut Vec<Cqe>, before: usize, counters: &mut Counters) {
        let mut kept = before;
        for n in before..done.len() {
            let cqe = done[n];
            if !self.hears(cqe, counters) {
                done[kept] = cqe;
                kept += 1;
            }
        }
        done.truncate(kept);
    }

    /// Whether a completion is the driver's own, which is then done with.
    fn hears(&mut self, cqe: Cqe, counters: &mut Counters) -> bool {
        match Key::from_user_data(cqe.user_data) {
            MESSAGE => counters.woken_by_message += 1,
            TRIAL => {}
            BELL => {
                counters.woken_by_counter += 1;
                self.bell_is_watched = false;
                self.bell.clear();
            }
            CANCEL => self.can_cancel_all &= cqe.res != -libc::EINVAL,
            key => return key.as_watch().is_some_and(|index| self.hears_of(SourceId::at(index), cqe, counters)),
        }
        true
    }

    /// Has the bell's counter watched, and says how long to sleep at most.
    fn watch_bell(&mut self, counters: &mut Counters) -> Option<Duration> {
        if self.bell_is_watched {
            return None;
        }
        // With no descriptor left, only messages ring; should one fail, this is how long the wake takes.
        let Ok(counter) = self.bell.raw() else { return Some(DEAF) };
        self.bell_is_watched = true;
        self.push(&own::wait_for(counter, Interest::Read, BELL), counters);
        self.bell.was_missed().then_some(Duration::ZERO)
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.has_table {
            // By itself the kernel lets the open files go some ten milliseconds later, and their peers wait for it.
            let _ = self.ring.unregister_files();
        }
        self.bell.leave();
    }
}

/// Whether this kernel carries a message to a ring, found out once by a message that nobody waits for.
fn takes_messages(ring: &Ring) -> bool {
    static TAKES: OnceLock<bool> = OnceLock::new();
    // Nothing of length is done in there: a child that is forked meanwhile would wait for it for ever.
    let ask = || ring.fd().is_some_and(|fd| send_message(fd, TRIAL.user_data(), 0).is_ok());
    let takes = TAKES.get().copied().unwrap_or_else(ask);
    *TAKES.get_or_init(|| takes)
}

/// Lets the kernel have a thread for each of `blocking` requests that block. By default it has four for each CPU, so on
/// a small machine a few that are stuck would keep all the others waiting.
fn employ(ring: &Ring, blocking: usize) {
    // A kernel that cannot be told (before Linux 5.15) keeps its own limit.
    let Ok((bounded, _)) = ring.set_max_workers(0, 0) else { return };
    let blocking = i32::try_from(blocking).unwrap_or(i32::MAX) as u32;
    if bounded < blocking {
        let _ = ring.set_max_workers(blocking, 0);
    }
}

/// Receiving messages without end, likewise. Without it, only a twin can tell where each came from.
const RECVMSG_MULTISHOT: &str = "RECVMSG_MULTISHOT";

/// The buffer rings, as `ANNULUS_HIDE_OPS` names them.
const PBUF_RING: &str = "PBUF_RING";

/// What the ring has to carry out to have direct descriptors, since nobody can do it in its place. All are there since
/// Linux 6.8, but to bind and to listen, which a direct socket cannot before 6.11.
const NEEDED: [u32; 12] = [
    sys::IORING_OP_ACCEPT,
    sys::IORING_OP_CLOSE,
    sys::IORING_OP_CONNECT,
    sys::IORING_OP_FIXED_FD_INSTALL,
    sys::IORING_OP_POLL_ADD,
    sys::IORING_OP_READ,
    sys::IORING_OP_READV,
    sys::IORING_OP_RECV,
    sys::IORING_OP_SEND,
    sys::IORING_OP_SHUTDOWN,
    sys::IORING_OP_WRITE,
    sys::IORING_OP_WRITEV,
];

/// Direct descriptors, likewise.
const DIRECT: &str = "DIRECT";

/// Receives that are answered until they end, and such as bring several buffers at once, likewise.
const RECV_MULTISHOT: &str = "RECV_MULTISHOT";
const RECVSEND_BUNDLE: &str = "RECVSEND_BUNDLE";

/// Receives that wait before they try, likewise.
const RECVSEND_POLL_FIRST: &str = "RECVSEND_POLL_FIRST";

/// Polls that are answered until they end, likewise.
const POLL_ADD_MULTI: &str = "POLL_ADD_MULTI";

/// Sends, receives and reads of what is in memory by a call where that costs less: the driver's own ability.
const INLINE: &str = "INLINE";

/// What a notification says of a zero-copy send, likewise.
pub(super) const REPORT_USAGE: &str = "SEND_ZC_REPORT_USAGE";

/// Messages to a ring from whoever has none, likewise.
const SEND_MSG_RING: &str = "SEND_MSG_RING";

/// A table of registered buffers that is filled later, likewise.
const BUFFERS2: &str = "BUFFERS2";

/// What may be hidden beside opcodes: abilities that came later than the opcode they belong to, and the driver's own.
pub(super) const ABILITIES: [&str; 12] = [
    "ACCEPT_MULTISHOT",
    DIRECT,
    INLINE,
    POLL_ADD_MULTI,
    RECV_MULTISHOT,
    RECVMSG_MULTISHOT,
    RECVSEND_BUNDLE,
    RECVSEND_POLL_FIRST,
    BUFFERS2,
    PBUF_RING,
    SEND_MSG_RING,
    REPORT_USAGE,
];

impl Known {
    /// Whether the kernel has no such ability. A bundle is asked for by a multishot.
    fn lacks(&self, ability: &str) -> bool {
        self.lacking.contains(&ability) || (ability == RECVSEND_BUNDLE && self.lacking.contains(&RECV_MULTISHOT))
    }
}

/// What the best ring would be that is as `config` asks. What was asked for on the way goes into `tried`.
///
/// # Errors
/// Why there is none, and what to do.
pub(super) fn look(config: &Config, tried: &mut Vec<Attempt>) -> io::Result<RingInfo> {
    let (ring, known) = open(config, tried)?;
    let (flags, features) = (ring.setup_flags(), ring.features());
    Ok(RingInfo { flags, features, entries: ring.sq_entries(), completions: ring.cq_entries(), known })
}

/// The best ring, and what it carries out.
fn open(config: &Config, tried: &mut Vec<Attempt>) -> io::Result<(Ring, Known)> {
    let ring = ladder::climb(config.entries, config.pollable, tried)?;
    let known = known(&ring, env::var("ANNULUS_HIDE_OPS").unwrap_or_default().as_str())?;
    Ok((ring, known))
}

/// What the ring carries out, but for what `hidden` (names, comma-separated) hides, for tests.
fn known(ring: &Ring, hidden: &str) -> io::Result<Known> {
    let mut known = Known { opcodes: carried_out(ring)?, lacking: Vec::new() };
    for name in hidden.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match (OPCODES.iter().position(|&op| op == name), ABILITIES.iter().find(|&&ability| ability == name)) {
            (Some(opcode), _) => known.opcodes[opcode] = false,
            (None, Some(ability)) => known.lacking.push(ability),
            (None, None) => {
                let abilities = ABILITIES.join(", ");
                let why = format!(
                    "ANNULUS_HIDE_OPS names `{name}`, which is no opcode (RECV is one) and none of {abilities}"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
    }
    Ok(known)
}

/// Which opcodes the kernel carries out: asked once, as a process has one kernel.
fn carried_out(ring: &Ring) -> io::Result<[bool; OPCODES.len()]> {
    static PROBED: OnceLock<[bool; OPCODES.len()]> = OnceLock::new();
    if let Some(opcodes) = PROBED.get() {
        return Ok(*opcodes);
    }
    let probe = ring.probe().map_err(ladder::explain)?;
    Ok(*PROBED.get_or_init(|| std::array::from_fn(|opcode| probe.supports(opcode as u8))))
}

/// Whether the other two system calls reach the kernel, for whoever wants to know who refused a ring.
///
/// Both are made for a descriptor that is no ring. A kernel that has io_uring answers EOPNOTSUPP, whatever its sysctls
/// say of new rings: they are looked at by the setup alone. So an EPERM or an ENOSYS of these two comes from somebody
/// before the kernel (a seccomp filter), or there is no io_uring in it. Nothing, where not even `/` can be opened.
pub(super) fn ask() -> Vec<Call> {
    let Ok(root) = File::open("/") else { return Vec::new() };
    // SAFETY: Plain call: nothing is submitted to what is no ring, and no argument is named.
    let entered = unsafe { calls::enter(root.as_raw_fd(), 0, 0, 0, ptr::null(), 0) };
    // SAFETY: Plain call: what is no ring is refused before the argument is looked at, and there is none.
    let registered = unsafe { calls::register(root.as_fd(), sys::IORING_REGISTER_PROBE, ptr::null_mut(), 0) };
    vec![Call::new("io_uring_enter", entered.as_ref()), Call::new("io_uring_register", registered.as_ref())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Write, stderr},
        os::unix::net::UnixStream,
    };

    /// Red when a turn enters for what came after it had entered, and when it leaves what an enter may have left.
    #[test]
    fn what_came_meanwhile_is_the_next_turns() {
        let bell = WakeHandle::new().unwrap();
        let mut uring = match Uring::new(&Config::default(), &bell) {
            Ok(uring) if uring.ring.setup_flags().contains(SetupFlags::TASKRUN_FLAG) => uring,
            Ok(_) => return drop(writeln!(stderr(), "SKIP what_came_meanwhile_is_the_next_turns: no flag tells")),
            Err(e) => return drop(writeln!(stderr(), "SKIP what_came_meanwhile_is_the_next_turns: {e}")),
        };
        let (mut counters, mut done) = (Counters::new(), Vec::new());
        let (a, mut b) = UnixStream::pair().unwrap();
        uring.wait_for(Key::from_user_data(7), a.as_raw_fd(), Interest::Read, &mut counters);
        uring.turn(Wait::Not, &mut done, &mut counters).unwrap();
        assert_eq!((done.len(), uring.has_left(0)), (0, false));
        b.write_all(b"x").unwrap();
        assert!(uring.has_left(0) && uring.has_left(MANY) && !uring.has_left(1), "deferred");
        uring.push(&own::cancel(Key::from_user_data(8)).user_data(CANCEL.user_data()), &mut counters);
        assert!(uring.has_left(1), "queued");
        uring.turn(Wait::Not, &mut done, &mut counters).unwrap();
        assert_eq!((done.len(), uring.has_left(0)), (1, false));
    }
}
