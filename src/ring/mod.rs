//! io_uring by hand: two queues of plain data between a program and the kernel, and nothing else. No runtime, no
//! thread-local state beside a number, and no allocation once a ring is built (an error with a sentence may allocate).
//!
//! [`Ring::push`] queues an [`Sqe`], [`Ring::submit`] hands over what is queued, [`Ring::completions`] yields a
//! [`Cqe`] for each. What pushing owes is said once, as an invariant.
//!
//! # Lent
//!
//! From push until its *final* completion (no [`CqeFlags::MORE`], and for zero-copy sends the one with
//! [`CqeFlags::NOTIF`]), the memory and the descriptors that an entry names belong to the kernel. **Nothing else ends
//! this**: no failed submit (what is published stays queued), no cancellation that was asked for, and not the end of
//! the ring. *Dropping a [`Ring`] does not wait for its requests, and closing a ring does not stop the kernel from
//! writing*: a read that is with a device goes on into its buffer after the ring is gone. So wait for every final
//! completion before a drop, or leak the buffers.
//!
//! An entry that gives another ring a [message](Sqe::msg_ring) says there what that ring's own completions say. If one
//! with its `user_data` or its flags would be taken for the end of what is lent there, whoever pushes it lies.
//!
//! An entry that [selects](Sqe::buffer_select) from a group of buffers names all that are on offer in it:
//! [`BufArena`] says what this asks for. One that names a [`BufIndex`] names the memory that is registered there.
//!
//! # What the kernel says is input
//!
//! Sizes and offsets are checked before anything is mapped (**Laid out**). Positions are checked each time they are
//! read: a head or tail that moved where it cannot be poisons the ring for good. Then nothing can be pushed, nothing
//! is ready, and every enter says why. Results and flags inside a [`Cqe`] are for the caller to check.
//!
//! # Threads
//!
//! A `Ring` is `Send`: it owns its maps and its descriptor, and nothing in them knows a thread but the registered
//! index, which is used on its own thread only. It is not `Sync`: a queue has one writer on our side. Two rings know
//! nothing of each other, on one thread or on two.
//!
//! Where a ring may go, its flags say:
//!
//! - With none of the following, anywhere, with what is queued and what is ready. Its requests belong to the threads
//!   that submitted them: when one ends, what is still pending is cancelled.
//! - With `SINGLE_ISSUER`, it may be sent, but one thread alone enters it: the one that made it, or with `R_DISABLED`
//!   the one that calls [`Ring::enable`], where it was sent to. The kernel answers others with `EEXIST`, and what is
//!   queued stays so. Without its thread such a ring can only be dropped.
//! - Without a descriptor (`REGISTERED_FD_ONLY`, [`Ring::close_fd`]), it works on the thread that has its index; on
//!   others it can be pushed to and read, and every system call is an error that says so.
//!
//! # Fork
//!
//! A forked child must not use its parent's ring, and cannot: it has no maps, a push says [`Full`], there are no
//! completions, and submitting is an error. That holds for rings in the caller's memory, too, which a child may have:
//! it is not touched. It may make rings of its own, and it may drop the inherited one, which takes nothing from the
//! parent.
//!
#![doc = include_str!("tutorial.md")]

mod arena;
mod buf_ring;
mod buffers;
mod builder;
mod clock;
mod cq;
mod enter;
mod eventfd;
#[doc(hidden)]
pub mod fake;
mod files;
mod filter;
mod flags;
mod fork;
mod index;
mod layout;
mod memory;
mod message;
mod mmap;
mod name;
mod napi;
mod number;
pub mod ops;
mod personality;
mod probe;
mod query;
mod recvmsg_out;
mod refill;
mod resize;
mod restrictions;
mod ring_fd;
mod shadow;
mod sq;
mod sync;
mod sync_cancel;
mod tag;
mod waits;
mod word;
mod workers;
mod zcrx;

pub use crate::{
    entry::{
        AcceptFlags, BigCqe, BufGroup, BufIndex, Cqe, CqeFlags, FixedFile, Personality, RecvSendFlags, Sqe, Sqe128,
        SqeFlags, Target, TimeoutFlags,
    },
    sys::{
        control::{ControlMessage, ControlMessages},
        sockaddr::SockAddr,
        stat::{AtomicWrites, Statx, StatxTime},
    },
};
pub use arena::BufArena;
pub use buf_ring::{BufRing, BufRingBuilder};
pub use buffers::IoVec;
pub use builder::Builder;
pub use clock::Clock;
pub use cq::Completions;
pub use enter::{Enter, Entered};
pub use files::FileSlot;
pub use filter::{Filter, filter_thread};
pub use flags::{EnterFlags, Features, SetupFlags};
pub(crate) use fork::Birth;
pub use memory::{MemoryNeeded, RingMemory};
pub use message::send_message;
pub use napi::{Napi, Tracking};
pub use ops::{Cancel, FutexFlags, FutexWait};
pub use probe::Probe;
pub use query::{HeaderQuery, Query, ZcrxEventQuery, ZcrxQuery, query};
pub use recvmsg_out::RecvMsgOut;
pub use restrictions::{Restrictions, restrict_thread};
pub use shadow::{Part, Parts};
pub use sq::{Full, PADDING, Submissions};
pub use tag::Tag;
pub use zcrx::{Zcrx, ZcrxBytes, ZcrxEvent, ZcrxSetup};

use crate::sys;
use ring_fd::Registered;
use std::{
    ffi::c_void,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    ptr,
    time::Duration,
};

/// One io_uring: a submission queue, a completion queue, and the descriptor that names them. Needs Linux 5.4.
///
/// A drop does not wait for requests: see the module's documentation.
///
/// ```no_run
/// use annulus::ring::{Ring, Sqe};
/// let mut ring = Ring::new(8)?;
/// // SAFETY: Lent: a NOP names neither memory nor a descriptor.
/// unsafe { ring.push(&Sqe::nop().user_data(7)) }?;
/// ring.submit_and_wait(1)?;
/// assert!(ring.completions().all(|cqe| cqe.user_data == 7));
/// # std::io::Result::Ok(())
/// ```
pub struct Ring {
    sq: sq::Sq,
    cq: cq::Cq,
    waits: Option<waits::Waits>,
    flags: SetupFlags,
    features: Features,
    birth: Birth,
    /// What its tables are told by from another ring's.
    id: u64,
    /// Whether the kernel has left these maps for others, which could not be had.
    left: bool,
    // Fields drop in this order: each map holds the ring, so they go before the descriptor.
    maps: mmap::Maps,
    name: name::Name,
}

// SAFETY: a ring owns what its pointers lead to, and no thread is special to any of it: the maps are the process's, the
// kernel orders its side with atomics, and a registered index is used on its own thread only.
unsafe impl Send for Ring {}
static_assertions::assert_not_impl_any!(Ring: Sync);

impl Ring {
    /// A ring with the kernel's defaults and room for `entries` entries; see [`Builder::build`].
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub fn new(entries: u32) -> io::Result<Ring> {
        Ring::builder().build(entries)
    }

    /// A ring that is to be described first.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Queues a copy of `sqe`. The kernel sees it at the next submit, or with `SQPOLL` at once. On a ring with `SQE128`
    /// the second half of its slot is zeros. An opcode that ends in `128` is for [`Ring::push128`].
    ///
    /// # Errors
    /// [`Full`] if there is no room; the entry was not taken.
    ///
    /// # Safety
    /// Lent: memory and descriptors that the entry names stay valid, in place and unshared until its final completion,
    /// whatever happens to the ring. On a ring with `SQE_MIXED` the opcode is none that ends in `128`: the kernel would
    /// take the entry that is pushed next for its second half.
    #[inline]
    pub unsafe fn push(&mut self, sqe: &Sqe) -> Result<(), Full> {
        // SAFETY: Lent, by this function's contract.
        unsafe { self.sq.push(sqe) }
    }

    /// Queues entries one by one and publishes them together when the returned value is dropped, which saves a few
    /// cycles for each.
    ///
    /// ```no_run
    /// use annulus::ring::{Ring, Sqe};
    /// let mut ring = Ring::new(8)?;
    /// let mut batch = ring.submissions();
    /// for n in 0..8 {
    ///     // SAFETY: Lent: neither memory nor a descriptor is named by a NOP.
    ///     unsafe { batch.push(&Sqe::nop().user_data(n)) }?;
    /// }
    /// drop(batch);
    /// assert_eq!(ring.submit_and_wait(8)?, 8);
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn submissions(&mut self) -> Submissions<'_> {
        self.sq.submissions()
    }

    /// Queues copies of all `sqes` in their order, or of none. A chain that is pushed this way is not cut in two by a
    /// full queue: links end where a submit ends.
    ///
    /// # Errors
    /// [`Full`] if there is no room for all; none was taken. More than [`Ring::sq_entries`] never fit.
    ///
    /// # Safety
    /// Lent, as for [`Ring::push`], for each of them.
    pub unsafe fn push_all(&mut self, sqes: &[Sqe]) -> Result<(), Full> {
        // SAFETY: Lent, for each of the entries, by the caller's promise.
        unsafe { self.sq.push_all(sqes) }
    }

    /// Queues a copy of an entry of 128 bytes: in one slot of a ring with `SQE128`, or in two of one with `SQE_MIXED`.
    ///
    /// On a mixed ring all counts are of slots. No entry is cut in two by the queue's end: when only the last slot is
    /// left before it, a NOP without a completion is put there first, as a part of the chain that is being pushed if
    /// there is one (see [`PADDING`]). It stays when `Full` is the answer, and it makes the kernel refuse `IO_DRAIN`
    /// from then on, as every entry with `CQE_SKIP_SUCCESS` does.
    ///
    /// # Errors
    /// [`Full`] if there is no room; the entry was not taken.
    ///
    /// # Panics
    /// On a ring with neither `SQE128` nor `SQE_MIXED`, and on one with `SQE_MIXED` for an opcode that annulus does not
    /// know to have 128 bytes there: the kernel would take the second half for the next entry.
    ///
    /// # Safety
    /// Lent, as for [`Ring::push`].
    pub unsafe fn push128(&mut self, entry: &Sqe128) -> Result<(), Full> {
        // SAFETY: Lent: what the command points to is among what the caller promises.
        unsafe { self.sq.push128(entry) }
    }

    /// The oldest completion that is ready: for a loop that pushes as it goes.
    ///
    /// ```no_run
    /// # let mut ring = annulus::ring::Ring::new(8)?;
    /// while let Some(cqe) = ring.pop() {
    ///     let again = annulus::ring::Sqe::nop().user_data(cqe.user_data + 1);
    ///     // SAFETY: Lent: such an entry names nothing, as the one that was answered.
    ///     unsafe { ring.push(&again) }?;
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Option<Cqe> {
        self.completions().next()
    }

    /// The completions that are ready now, oldest first. What is not read stays for the next call.
    ///
    /// This does not enter the kernel: see [`Ring::needs_enter`] for completions that wait inside it.
    #[inline]
    pub fn completions(&mut self) -> Completions<'_> {
        self.cq.completions()
    }

    /// Whether entries seem to be queued that the kernel has not taken.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        self.sq.has_queued()
    }

    /// Whether completions seem to be ready.
    #[inline]
    pub(crate) fn has_come(&self) -> bool {
        self.cq.has_come()
    }

    /// Takes all completions that are ready.
    #[inline]
    pub(crate) fn take_all(&mut self, into: &mut Vec<Cqe>) {
        self.cq.take_all(into);
    }

    /// Submits everything queued, if there is a reason to enter the kernel at all ([`Ring::needs_enter`]). Does not
    /// wait. Gives the number of entries taken, which is less than were queued if one failed at once and the ring lacks
    /// `SUBMIT_ALL`; the rest stays queued.
    ///
    /// # Errors
    /// Those of [`Ring::enter`].
    pub fn submit(&mut self) -> io::Result<u32> {
        if self.flags.contains(SetupFlags::SQPOLL) {
            return self.submit_to_thread(0);
        }
        self.check_alive()?;
        if !self.needs_enter() {
            return Ok(0);
        }
        let flags = if self.needs_getevents() { EnterFlags::GETEVENTS } else { EnterFlags::empty() };
        self.enter_plainly(0, flags)
    }

    /// Submits everything queued and waits until `wait` completions are ready. Gives the number of entries taken; if
    /// not all were, or `wait` exceeds the completion queue, fewer may be ready.
    ///
    /// # Errors
    /// Those of [`Ring::enter`]; `Interrupted` among them.
    pub fn submit_and_wait(&mut self, wait: u32) -> io::Result<u32> {
        if self.flags.contains(SetupFlags::SQPOLL) {
            return self.submit_to_thread(wait);
        }
        self.enter_plainly(wait, EnterFlags::GETEVENTS)
    }

    /// Submits everything queued and waits until `wait` completions are ready or the time is up. Since Linux 5.11.
    ///
    /// # Errors
    /// Those of [`Ring::enter`]; `Interrupted` among them, and `Unsupported` before Linux 5.11. The running out of the
    /// time is no error: [`Entered::timed_out`].
    pub fn wait_timeout(&mut self, wait: u32, timeout: Duration) -> io::Result<Entered> {
        let flags = self.wakeup();
        self.enter(&Enter { submit: u32::MAX, wait, flags, timeout: Some(timeout), ..Enter::default() })
    }

    /// Waits until the kernel's thread of `SQPOLL` has made room for an entry, and wakes it if it sleeps. Returns at
    /// once where there is room. Since Linux 5.10.
    ///
    /// ```no_run
    /// use annulus::ring::{Full, Ring, SetupFlags, Sqe};
    /// let mut ring = Ring::builder().flags(SetupFlags::SQPOLL).build(8)?;
    /// // SAFETY: Lent: a NOP names neither memory nor a descriptor.
    /// while unsafe { ring.push(&Sqe::nop()) } == Err(Full) {
    ///     ring.wait_for_room()?;
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` without `SQPOLL`, where a submit makes room; `EINVAL` before Linux 5.10; else those of
    /// [`Ring::enter`].
    pub fn wait_for_room(&mut self) -> io::Result<()> {
        if !self.flags.contains(SetupFlags::SQPOLL) {
            return builder::invalid("only a ring with SQPOLL waits for room: submit() makes it elsewhere");
        }
        self.check_alive()?;
        // A signal ends the wait without an error.
        while self.space_left() == 0 {
            let flags = EnterFlags::SQ_WAIT | self.wakeup();
            self.enter(&Enter { submit: u32::MAX, flags, ..Enter::default() })?;
        }
        Ok(())
    }

    /// With `SQPOLL` the kernel's thread has the entries already; it may have to be woken, and only a wait or
    /// completions inside the kernel need more.
    fn submit_to_thread(&mut self, wait: u32) -> io::Result<u32> {
        self.check_alive()?;
        let queued = self.sq.queued();
        let mut flags = self.wakeup();
        flags.set(EnterFlags::GETEVENTS, wait > 0 || self.needs_getevents());
        if !flags.is_empty() {
            self.enter(&Enter { submit: u32::MAX, wait, flags, ..Enter::default() })?;
        }
        Ok(queued)
    }

    fn wakeup(&self) -> EnterFlags {
        let asleep = self.flags.contains(SetupFlags::SQPOLL) && self.sq.needs_wakeup();
        if asleep { EnterFlags::SQ_WAKEUP } else { EnterFlags::empty() }
    }

    /// Whether an enter would do something without waiting: entries are queued, or completions wait in the kernel
    /// because the queue overflowed, because their work is deferred (`TASKRUN_FLAG`; always assumed with
    /// `DEFER_TASKRUN` alone), or because the device must be polled (`IOPOLL`).
    pub fn needs_enter(&mut self) -> bool {
        if self.flags.contains(SetupFlags::SQPOLL) {
            return self.sq.needs_wakeup() || self.needs_getevents();
        }
        self.sq.queued() > 0 || self.needs_getevents()
    }

    fn needs_getevents(&self) -> bool {
        let deferred = if self.flags.contains(SetupFlags::TASKRUN_FLAG) {
            self.sq.taskrun()
        } else {
            self.flags.contains(SetupFlags::DEFER_TASKRUN)
        };
        deferred || self.sq.cq_overflow() || self.flags.contains(SetupFlags::IOPOLL)
    }

    /// How many entries are queued that the kernel has not taken; with `SQE_MIXED`, how many slots of 64 bytes.
    pub fn queued(&mut self) -> u32 {
        self.sq.queued()
    }

    /// How many entries can be pushed before the queue is full; with `SQE_MIXED`, how many slots of 64 bytes.
    pub fn space_left(&mut self) -> u32 {
        self.sq.space_left()
    }

    /// How many completions are ready; with `CQE_MIXED`, how many slots of 16 bytes, padding among them.
    pub fn ready(&mut self) -> u32 {
        self.cq.ready()
    }

    /// How many entries the submission queue holds.
    #[must_use]
    pub fn sq_entries(&self) -> u32 {
        self.sq.capacity()
    }

    /// How many completions the completion queue holds.
    #[must_use]
    pub fn cq_entries(&self) -> u32 {
        self.cq.capacity()
    }

    /// The flags that this ring was made with.
    #[must_use]
    pub fn setup_flags(&self) -> SetupFlags {
        self.flags
    }

    /// What the kernel said of itself.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// Whether completions found the queue full and wait in the kernel; any submit moves them.
    #[must_use]
    pub fn cq_overflow(&self) -> bool {
        self.sq.cq_overflow()
    }

    /// Whether deferred completions wait for an enter. Never, without `TASKRUN_FLAG`.
    #[must_use]
    pub fn taskrun(&self) -> bool {
        self.flags.contains(SetupFlags::TASKRUN_FLAG) && self.sq.taskrun()
    }

    /// Whether the kernel's thread sleeps. Never, without `SQPOLL`.
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        !self.wakeup().is_empty()
    }

    /// How many completions the kernel lost for good; with [`Features::NODROP`] only for want of memory.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.cq.overflow()
    }

    /// How many entries the kernel threw away as not well-formed; more than 0 is a bug in annulus or the kernel.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.sq.dropped()
    }

    /// Whether the kernel moved a position to where it cannot be. Nothing works on such a ring.
    #[must_use]
    pub fn poisoned(&self) -> bool {
        self.sq.poisoned() || self.cq.poisoned()
    }

    /// Starts a ring made with `R_DISABLED`. With `SINGLE_ISSUER`, this thread becomes the one. Since Linux 5.10.
    ///
    /// # Errors
    /// `EBADFD` if the ring is enabled already; `Other` in a forked child.
    pub fn enable(&mut self) -> io::Result<()> {
        // SAFETY: Kernel's word: this request takes no argument.
        unsafe { self.register(sys::IORING_REGISTER_ENABLE_RINGS, ptr::null_mut(), 0) }.map(drop)
    }

    /// Asks which opcodes the kernel carries out. Since Linux 5.6.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.6, `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn probe(&self) -> io::Result<Probe> {
        self.check_alive()?;
        Probe::ask(self)
    }

    /// `io_uring_register(2)`, for what has no method here. `opcode` is an `IORING_REGISTER_*`.
    ///
    /// # Errors
    /// What the kernel says; `Other` in a forked child.
    ///
    /// # Safety
    /// `arg` and `nr` are what `opcode` asks for, and stay valid for as long as it says. `IORING_REGISTER_RESIZE_RINGS`
    /// and `IORING_UNREGISTER_RING_FDS` for the index of any [`Ring`] are not allowed: both change what rings rely on,
    /// and have methods.
    pub unsafe fn register(&self, opcode: u32, arg: *mut c_void, nr: u32) -> io::Result<u32> {
        self.check_alive()?;
        // SAFETY: by this function's contract.
        unsafe { self.name.register(opcode, arg, nr) }
    }

    /// Sets how many threads the kernel may use for requests of this thread's rings that block: for those that end some
    /// time (on files; 4 for each CPU by default), and for those that may not (on what is no file). 0 changes nothing.
    /// Gives what held before. Since Linux 5.15.
    ///
    /// Where the kernel cannot make even the first one, since the user's or the group's limit of threads is reached or
    /// signals interrupt it each time, the requests that need one end with `ECANCELED`, and nothing of them was done.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.15; `Other` in a forked child.
    pub fn set_max_workers(&self, bounded: u32, unbounded: u32) -> io::Result<(u32, u32)> {
        let mut workers = [bounded, unbounded];
        let arg = workers.as_mut_ptr().cast();
        // SAFETY: Kernel's word: two numbers, which are exchanged before the call returns.
        unsafe { self.register(sys::IORING_REGISTER_IOWQ_MAX_WORKERS, arg, 2) }?;
        Ok((workers[0], workers[1]))
    }

    /// Takes an index in this thread's table of rings, and uses it for every enter from this thread; other threads go
    /// on with the descriptor. Saves 50 to 100 ns each. Since Linux 5.18.
    ///
    /// The index holds the ring open until [`Ring::unregister_ring_fd`], a drop on this thread, or the thread's end. A
    /// ring that was registered on another thread gives up that thread's index unreleased.
    ///
    /// # Errors
    /// `AlreadyExists` if it has an index here; `EBUSY` if the thread has 16 already; `EINVAL` before Linux 5.18;
    /// `Other` in a forked child.
    pub fn register_ring_fd(&mut self) -> io::Result<()> {
        self.check_alive()?;
        if self.name.registered.is_some_and(|registered| registered.is_here()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the ring has an index on this thread already"));
        }
        self.name.registered = Some(Registered::new(self.descriptor()?)?);
        Ok(())
    }

    /// Gives the index back.
    ///
    /// # Errors
    /// `NotFound` if the ring has no index on this thread; `Unsupported` if it has nothing else; `Other` in a forked
    /// child.
    pub fn unregister_ring_fd(&mut self) -> io::Result<()> {
        self.check_alive()?;
        self.descriptor()?;
        match self.name.registered.take_if(|registered| registered.is_here()) {
            Some(registered) => self.name.release(registered),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the ring has no index on this thread")),
        }
    }

    /// Closes the ring's descriptor and goes on with its index on this thread, as if the ring had been made with
    /// `REGISTERED_FD_ONLY`: from then on it works on this thread alone. Since Linux 6.3.
    ///
    /// # Errors
    /// `NotFound` if the ring has no index on this thread (see [`Ring::register_ring_fd`]); `Unsupported` before Linux
    /// 6.3; `Other` in a forked child.
    pub fn close_fd(&mut self) -> io::Result<()> {
        self.check_alive()?;
        if !self.name.registered.is_some_and(|registered| registered.is_here()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the ring has no index on this thread to go on with"));
        }
        if !self.features.contains(Features::REG_REG_RING) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a ring without a descriptor needs Linux 6.3"));
        }
        self.name.fd = None;
        Ok(())
    }

    /// The ring's descriptor, to be polled or told to others; none with `REGISTERED_FD_ONLY` and after
    /// [`Ring::close_fd`].
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.name.fd.as_ref().map(AsFd::as_fd)
    }

    /// The descriptor, for what cannot be done without.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        self.fd().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the ring has no descriptor"))
    }

    /// Whether the ring can be used: not in a forked child, nor when the kernel broke its word.
    #[inline]
    pub(crate) fn check_alive(&self) -> io::Result<()> {
        if self.sq.usable() && self.cq.usable() && !self.left { Ok(()) } else { Err(self.why_not_alive()) }
    }

    #[cold]
    fn why_not_alive(&self) -> io::Error {
        let why = if let Err(error) = self.birth.check() {
            return error;
        } else if self.left {
            "the ring's new queues could not be mapped: make another"
        } else {
            "the kernel moved a position of the ring to where it cannot be: make another"
        };
        io::Error::other(why)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("fd", &self.as_raw_fd())
            .field("sq_entries", &self.sq_entries())
            .field("cq_entries", &self.cq_entries())
            .field("flags", &self.flags)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

/// -1 for a ring without a descriptor.
impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.fd().map_or(-1, |fd| fd.as_raw_fd())
    }
}
