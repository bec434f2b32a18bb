//! Drivers: entries in, completions out. No driver knows an operation by name.
//!
//! A [`Driver`] takes an [`Sqe`] with its [`Twin`], and answers with a [`Cqe`]. Two backends do the work: the kernel's
//! ring (`uring`), and a ring in user space (`poll`); nobody above can tell them apart. The invariants that this room
//! keeps (Lent, Home, Settled, Published stays, Cancel is never lost, Quiet, Close waits, Teardown) are argued in
//! [`design`](crate::design).

mod backend;
mod batch;
mod cached;
mod calls;
mod choice;
mod close;
mod counters;
mod direct;
mod fd;
mod few;
mod groups;
mod histogram;
mod inline;
#[cfg(not(annulus_kqueue))]
mod ladder;
mod later;
mod lending;
#[cfg(not(annulus_kqueue))]
mod own;
mod poll;
#[cfg(not(annulus_kqueue))]
mod registered;
mod shelf;
mod slots;
mod source;
mod stream;
mod survey;
mod sync;
#[cfg(test)]
mod tests;
pub(crate) mod threads;
#[cfg(not(annulus_kqueue))]
mod uring;
#[cfg(annulus_kqueue)]
#[path = "absent.rs"]
mod uring;
mod wake;
#[cfg(not(annulus_kqueue))]
mod watched;

use crate::{
    buf::{Fixed, Given, Group},
    entry::{BufIndex, Cqe, Interest, Multishot, Place, Sqe, Twin},
    sys::unix::Kind as FdKind,
    trace::{self, Teller},
};
use backend::Core;
pub(crate) use backend::Tried;
pub(crate) use batch::{Batch, quietly};
pub use calls::Call;
pub(crate) use choice::{Choice, Config};
pub use choice::{DriverInfo, DriverKind};
pub(crate) use close::{CLOSE, close_never_began};
pub use counters::Counters;
pub(crate) use direct::{Opening, RING_ONLY};
pub use fd::Fd;
pub(crate) use few::Few;
pub use histogram::Histogram;
pub(crate) use shelf::{Pipe, keep_buffer, keep_pipe, take_buffer, take_pipe};
pub(crate) use slots::{Key, Orphan};
pub(crate) use stream::{Answers, NO_LIMIT};
#[cfg(test)]
pub(crate) use survey::Known;
pub use survey::{Attempt, RingInfo};
pub(crate) use survey::{Survey, flag_names, survey};
pub use threads::PoolCounts;
pub(crate) use threads::Threads;
pub(crate) use wake::WakeHandle;

use lending::Lending;
use shelf::Shelf;
use slots::{Fate, Owner, Slot};
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    mem::ManuallyDrop,
    ops::Range,
    os::fd::{AsRawFd, RawFd},
    ptr,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};
use stream::Stream;

/// How long a turn may wait for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    Not,
    /// So long.
    For(Duration),
    /// Until there is one, or a wake.
    Forever,
}

impl Wait {
    /// No longer than `other` would.
    pub(crate) fn no_longer_than(self, other: Wait) -> Wait {
        match other {
            Wait::Not => Wait::Not,
            Wait::For(limit) => self.at_most(Some(limit)),
            Wait::Forever => self,
        }
    }

    /// No longer than `limit`, if there is one.
    pub(crate) fn at_most(self, limit: Option<Duration>) -> Wait {
        let Some(limit) = limit else { return self };
        match self {
            Wait::Not => Wait::Not,
            Wait::For(time) => Wait::For(time.min(limit)),
            Wait::Forever => Wait::For(limit),
        }
    }
}

/// What a driver has in flight, as far as the wait for it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Something that ends by itself: a call that does not wait for anybody, or one for the pool.
    Ends,
    /// Only what may wait for ever.
    Waits,
    /// Nothing.
    Rests,
}

/// The longest that anybody waits at once: 34 years, and the clocks of all kernels can add it.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// A driver: what performs entries, and who waits for them.
///
/// **Home**: an operation in flight holds the driver that has it, and asks no other. The driver's state outlives its
/// backend for that purpose: after the teardown it still answers for the operations it had.
pub(crate) struct Driver {
    core: RefCell<Core>,
    info: DriverInfo,
    wake: WakeHandle,
    threads: Threads,
    teller: Teller,
    shelf: Shelf,
    /// Whether nobody else is about to do something, which is for the runtime to say.
    alone: Cell<fn() -> bool>,
    /// The last turns brought so few completions that sends may be calls.
    calm: Cell<bool>,
    /// The ring is entered for so many that no read is worth a call.
    crowded: Cell<bool>,
}

// A plain pointer, because that needs no destructor: a runtime in a thread-local of the user's may end after those of
// the thread have begun to run, and must still be able to be the current one.
thread_local!(static CURRENT: Cell<*const Driver> = const { Cell::new(ptr::null()) });

/// Makes a driver the thread's current one until dropped.
///
/// **Scoped**: the thread's pointer names the driver that the innermost guard holds, and the guard puts the former
/// pointer back before it lets go, in unwinding too.
pub(crate) struct Entered {
    outer: *const Driver,
    _driver: Rc<Driver>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

impl Driver {
    /// Makes a driver as `config` asks.
    pub(crate) fn new(config: &Config) -> io::Result<Rc<Driver>> {
        let wake = WakeHandle::new()?;
        let threads = Threads::new(config.max_blocking_threads);
        let (core, info) = Core::new(config, &wake)?;
        trace::driver(info.kind, info.reason());
        Ok(Rc::new(Driver {
            core: RefCell::new(core),
            info,
            wake,
            threads,
            teller: Teller::new(),
            shelf: Shelf::default(),
            alone: Cell::new(|| false),
            calm: Cell::new(true),
            crowded: Cell::new(false),
        }))
    }

    /// The thread's current driver. `None` outside of a runtime.
    pub(crate) fn current() -> Option<Rc<Driver>> {
        let current = CURRENT.get();
        if current.is_null() {
            return None;
        }
        // SAFETY: Scoped: the pointer came out of the `Rc` that a guard further up this stack holds; not dropping this
        // one keeps that count its own.
        let held = ManuallyDrop::new(unsafe { Rc::from_raw(current) });
        Some(Rc::clone(&held))
    }

    /// Makes `self` the thread's current driver.
    pub(crate) fn enter(self: &Rc<Driver>) -> Entered {
        Entered { outer: CURRENT.replace(Rc::as_ptr(self)), _driver: self.clone() }
    }

    /// Which backend runs, and why.
    pub(crate) fn info(&self) -> &DriverInfo {
        &self.info
    }

    /// The remote end of this driver's sleep.
    pub(crate) fn wake_handle(&self) -> WakeHandle {
        self.wake.clone()
    }

    /// The pool, for work that blocks.
    pub(crate) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// What has been counted so far.
    pub(crate) fn counters(&self) -> Counters {
        self.core.borrow().counters()
    }

    /// Has `alone` asked from now on whether whoever runs on this thread is the only one with something to do.
    pub(crate) fn learn_alone(&self, alone: fn() -> bool) {
        self.alone.set(alone);
    }

    /// Performs an entry at once, if it can be done on this thread without waiting, and nothing is gained by doing it
    /// together with others. `attempt` and `twin` are what to go on with otherwise.
    #[inline(always)] // of an operation it is known which twin it has, and with that nearly all of this
    pub(crate) fn try_now(
        self: &Rc<Driver>,
        sqe: &Sqe,
        twin: &mut &'static Twin,
        attempt: &mut u32,
        fd: Option<&Fd>,
    ) -> Tried {
        if self.info.kind == DriverKind::Poll && twin.sooner.is_none() && matches!(twin.place, Place::Ready(_)) {
            return self.try_ready(sqe, twin, attempt, fd).map_or(Tried::Not, Tried::Done);
        }
        // On the ring, only sends are tried, and what may be answered sooner; all of these have a descriptor.
        match (self.info.kind, twin.place, fd) {
            (DriverKind::Poll, ..) => self.try_call(sqe, twin, attempt, fd),
            (_, _, Some(_)) if twin.sooner.is_some() => match self.crowded.get() {
                true => Tried::Not,
                false => self.try_call(sqe, twin, attempt, fd),
            },
            (_, Place::Ready(Interest::Write), Some(fd)) if self.may_send(fd) => self.try_send(sqe, twin, attempt, fd),
            _ => Tried::Not,
        }
    }

    #[inline(never)]
    fn try_send(&self, sqe: &Sqe, twin: &'static Twin, attempt: &mut u32, fd: &Fd) -> Tried {
        let answer = self.core.borrow_mut().send_now(sqe, twin, attempt, fd, self.alone.get());
        answer.map_or(Tried::Not, Tried::Done)
    }

    /// Whether the ring's driver may send by a call on `fd`, as far as the last turns tell. If not, it is the one send
    /// that is an entry because the one before found too little room.
    #[inline]
    fn may_send(&self, fd: &Fd) -> bool {
        let calm = self.calm.get();
        if !calm {
            fd.set_crowded(false);
        }
        calm
    }

    fn try_call(self: &Rc<Driver>, sqe: &Sqe, twin: &mut &'static Twin, attempt: &mut u32, fd: Option<&Fd>) -> Tried {
        self.core.borrow_mut().try_now(sqe, (twin, attempt), fd)
    }

    #[inline(never)]
    fn try_ready(
        self: &Rc<Driver>,
        sqe: &Sqe,
        twin: &mut &'static Twin,
        attempt: &mut u32,
        fd: Option<&Fd>,
    ) -> Option<Cqe> {
        let source = fd.and_then(|fd| fd.source(self));
        self.core.borrow_mut().try_ready(sqe, (twin, attempt), source)
    }

    /// Takes in an entry whose twin was called as often as `attempt` says. `waker` is woken when its completion can be
    /// fetched by [`Driver::poll`]. If it `lends` its memory for longer than until its result, that one has `F_MORE`
    /// while the memory is not free yet; the last completion says that it is.
    pub(crate) fn push(
        self: &Rc<Driver>,
        sqe: &Sqe,
        (twin, attempt): (&'static Twin, u32),
        lends: bool,
        fd: Option<&Fd>,
        waker: Waker,
    ) -> Key {
        let lending = if lends { Lending::Sent } else { Lending::No };
        self.push_slot(sqe, twin, fd, waker, |slot| (slot.attempt, slot.lending) = (attempt, lending))
    }

    /// Takes in an entry of an [`Fd`] that is done, as [`Driver::try_now`] said: the next turn wakes `waker` for `res`.
    pub(crate) fn push_done(&self, sqe: &Sqe, twin: &'static Twin, res: i32, waker: Waker) -> Key {
        self.core.borrow_mut().push_done(sqe, twin, Owner::Future(waker), res)
    }

    /// Takes in an entry that is answered many times, as the rule says, and may have so many buffers at a time.
    /// `waker` is woken when a completion can be fetched by [`Driver::poll`]; all but the last have `F_MORE`.
    pub(crate) fn push_stream(
        self: &Rc<Driver>,
        sqe: &Sqe,
        twin: &'static Twin,
        (rule, limit): (&'static Multishot, u32),
        fd: Option<&Fd>,
        waker: Waker,
    ) -> Key {
        let stream = Stream::new(rule, limit);
        self.push_slot(sqe, twin, fd, waker, |slot| slot.stream = Some(stream))
    }

    fn push_slot(
        self: &Rc<Driver>,
        sqe: &Sqe,
        twin: &'static Twin,
        fd: Option<&Fd>,
        waker: Waker,
        describe: impl FnOnce(&mut Slot),
    ) -> Key {
        let source = fd.and_then(|fd| fd.source(self));
        let describe = |slot: &mut Slot| {
            (slot.owned, slot.source) = (fd.is_some(), source);
            describe(slot);
        };
        let mut core = self.core.borrow_mut();
        let key = core.push(sqe, (twin, fd.and_then(Fd::slot)), Owner::Future(waker), describe, &self.threads);
        let Some(fd) = fd else { return key };
        let watched = core.source(key);
        drop(core);
        if let Some(id) = watched.filter(|_| watched != source) {
            fd.set_source(self, id);
        }
        key
    }

    /// The next completion of `key`, if it is there. Otherwise `waker` is to be woken for it.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Option<Cqe> {
        let next = self.core.borrow_mut().slots.take(key);
        if next.is_none() {
            self.wait(key, waker);
        }
        next
    }

    /// Has `waker` woken for the next completion of `key`, which is not there.
    #[inline(never)]
    fn wait(&self, key: Key, waker: &Waker) {
        let wants = {
            let mut core = self.core.borrow_mut();
            core.resume(key, &self.threads);
            core.slots.wants(key, waker)
        };
        if wants {
            // Quiet: cloning the new waker and dropping the old one is somebody else's code, so neither happens inside.
            let waker = waker.clone();
            let unused = self.core.borrow_mut().slots.set_waker(key, waker);
            drop(unused);
        }
    }

    /// Takes the operation of a future that is gone, and cancels it. It is finished all the same; only its output is
    /// dropped.
    pub(crate) fn abandon(&self, key: Key, op: Box<dyn Orphan>) {
        self.park(key, op, true);
    }

    /// Takes the operation of a future that is gone, and cancels it only if told to.
    pub(crate) fn park(&self, key: Key, op: Box<dyn Orphan>, cancels: bool) {
        let mut core = self.core.borrow_mut();
        let (fate, waker) = core.slots.abandon(key, op);
        if cancels && matches!(fate, Fate::InFlight) {
            core.cancel(key, &self.threads);
        }
        drop(core);
        drop(waker);
        match fate {
            Fate::InFlight => {}
            Fate::Done(op, earlier, last) => op.settle(earlier, last),
            Fate::Lost(op) => std::mem::forget(op),
        }
    }

    /// Asks for an early end of `key`. Its completion comes all the same, and says what had been done.
    pub(crate) fn cancel(&self, key: Key) {
        self.core.borrow_mut().cancel(key, &self.threads);
    }

    /// Asks for an early end of all operations that hold `fd`'s descriptor, or of all that there are.
    /// Returns how many.
    pub(crate) fn cancel_where(&self, fd: Option<&Fd>) -> usize {
        let target = fd.map(|fd| direct::aimed(Sqe { fd: fd.as_raw_fd(), ..Sqe::default() }, fd.slot()));
        self.core.borrow_mut().cancel_where(target, &self.threads)
    }

    /// Takes in a buffer group, and gives the id that entries name it by.
    pub(crate) fn provide(&self, group: &Rc<Group>) -> io::Result<u16> {
        self.core.borrow_mut().provide(group)
    }

    /// Lets a buffer group go that no operation uses any more.
    pub(crate) fn withdraw(&self, id: u16) {
        self.core.borrow_mut().withdraw(id);
    }

    /// Goes on with whoever waited for a buffer that came back to the group `id`.
    pub(crate) fn returned(&self, id: u16, given: Given) {
        if !given.is_silent() {
            self.core.borrow_mut().returned(id, given, &self.threads);
        }
    }

    /// Registers memory with the ring, and says where it is in its table.
    ///
    /// # Errors
    /// Why it is not registered: there is no ring, or the kernel does not take it.
    ///
    /// # Safety
    /// Lent: the memory may be written to, and stays mapped until [`Driver::unregister`].
    pub(crate) unsafe fn register(&self, memory: Range<*mut u8>) -> io::Result<u16> {
        // SAFETY: Lent: it is mapped until `unregister`, by this function's contract.
        unsafe { self.core.borrow_mut().register(memory) }
    }

    /// Takes memory out of the ring's table that no operation uses any more.
    pub(crate) fn unregister(&self, index: u16) {
        self.core.borrow_mut().unregister(index);
    }

    /// The number that [`Fixed`] knows this driver's ring by. It is another's only after this driver has gone.
    pub(crate) fn identity(&self) -> u64 {
        ptr::from_ref(self).addr() as u64
    }

    /// An entry as this driver performs it best whose memory is registered at `place`: as `fix` spells it, if that is a
    /// place in this driver's own table and the kernel has the opcode.
    pub(crate) fn fixed(&self, sqe: Sqe, place: Fixed, fix: fn(Sqe, BufIndex) -> Sqe) -> Sqe {
        let fixed = fix(sqe, BufIndex(place.index));
        let ours = place.ring == self.identity() && sqe.len > 0;
        if ours && self.on_ring(fixed.opcode) { fixed } else { sqe }
    }

    /// Closes a number whose last reference is gone. `false`: the caller has to.
    pub(crate) fn push_close(&self, fd: RawFd, kind: impl Fn() -> FdKind) -> bool {
        self.core.borrow_mut().push_close(fd, kind, &self.threads)
    }

    /// What is to be expected of what is in flight. Looks at each operation: not for every turn.
    pub(crate) fn outlook(&self) -> Outlook {
        self.core.borrow().outlook()
    }

    /// Whether the kernel's ring carries out this opcode, and no twin has to.
    pub(crate) fn on_ring(&self, opcode: u8) -> bool {
        self.core.borrow().on_ring(opcode)
    }

    /// Stops watching a descriptor that is about to close or to leave. That has happened when this returns, if it has
    /// to be `now`; otherwise it happens before whatever is pushed next.
    pub(crate) fn forget_source(&self, source: source::SourceId, now: bool) {
        self.core.borrow_mut().forget_source(source, now);
    }

    /// Submits what is queued, waits, and sorts completions into `batch`.
    ///
    /// # Errors
    /// What the kernel says, short of interruptions and time-outs. Nothing that was pushed is lost by an error.
    pub(crate) fn turn(&self, wait: Wait, batch: &mut Batch) -> io::Result<()> {
        let wait = wait.at_most(self.threads.tend());
        let (turned, met) = {
            let mut core = self.core.borrow_mut();
            let turned = core.turn(wait, batch, &self.threads);
            self.calm.set(core.may_send());
            self.crowded.set(core.is_crowded());
            (turned, core.met())
        };
        self.teller.tell(met);
        turned
    }

    /// How long there is nothing to do after a [turn](Driver::turn) that was allowed to sleep, unless the descriptor is
    /// readable or somebody rings. `None`: there is something now.
    pub(crate) fn rests(&self) -> Option<Wait> {
        self.core.borrow_mut().rests().map(|wait| wait.at_most(self.threads.tend()))
    }

    /// What is readable when there is something to do; it is the driver's own.
    ///
    /// # Errors
    /// `EMFILE` when there is no descriptor left for that.
    pub(crate) fn descriptor(&self) -> io::Result<RawFd> {
        self.core.borrow_mut().descriptor()
    }

    /// Teardown, first: no new entries are taken. What is pushed from now on is answered with ECANCELED.
    pub(crate) fn close(&self) {
        self.core.borrow_mut().close();
    }

    /// Whether the teardown has begun.
    pub(crate) fn is_closed(&self) -> bool {
        self.core.borrow().is_closed()
    }

    /// Teardown, last: cancels everything, and waits until no final completion is owed, `limit` long at most. What is
    /// left then is leaked on purpose, since the kernel may still write to it; returns how many operations that is, and
    /// how many closures still run on the pool.
    pub(crate) fn drain(&self, limit: Duration) -> (usize, usize) {
        self.close();
        self.shelf.clear();
        // What the kernel watches, it would keep open for some ten milliseconds after the ring.
        let is_busy = || {
            let core = self.core.borrow();
            core.slots.owed() > 0 || core.has_watches()
        };
        // A limit that is too long for the clock is none; and where nothing is owed, no time goes by.
        let deadline = if is_busy() { Instant::now().checked_add(limit) } else { None };
        let left = || deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()));
        let mut batch = Batch::default();
        let mut pause = Duration::from_millis(1);
        while is_busy() {
            let left = left();
            self.core.borrow_mut().cancel_all(&self.threads);
            let turned = self.turn(Wait::For(pause.min(left)), &mut batch);
            batch.run();
            if left.is_zero() || turned.is_err() {
                break;
            }
            // Cancelling again reaches what has started since; what cannot be cancelled need not be asked so often.
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        let closures = self.threads.shutdown(left());
        let (lost, wakers, backend) = self.core.borrow_mut().end();
        wakers.into_iter().for_each(|waker| quietly(|| drop(waker)));
        drop(backend);
        (lost, closures)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("info", &self.info).finish_non_exhaustive()
    }
}
