//! One `io_uring_enter(2)`: what goes in, and what comes out.

use super::{
    Ring,
    builder::invalid,
    flags::{EnterFlags, Features},
};
use crate::sys::{self, __kernel_timespec, io_uring_getevents_arg, io_uring_reg_wait, unix::ETIME};
use std::{ffi::c_void, io, ptr, time::Duration};

/// The size of the kernel's signal set, which is not that of libc's.
pub(super) const KERNEL_SIGSET: u32 = 8;

/// What an enter is to do; see [`Ring::enter`]. The default does nothing.
///
/// ```
/// use annulus::ring::{Clock, Enter, Ring};
/// use std::time::Duration;
/// # fn main() -> std::io::Result<()> {
/// # let Ok(mut ring) = Ring::new(8) else { return Ok(()) };
/// // Eight completions within a millisecond; after that whatever there is, until the deadline.
/// let deadline = Clock::Monotonic.now() + Duration::from_millis(5);
/// let min_wait = Some(Duration::from_millis(1));
/// let wait = Enter { wait: 8, min_wait, deadline: Some(deadline), ..Enter::default() };
/// match ring.enter(&wait) {
///     Ok(entered) => assert!(entered.timed_out),
///     Err(before_linux_6_12) => println!("{before_linux_6_12}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Enter<'a> {
    /// How many entries to submit; more than are queued means all of them. With `SQE_MIXED`, how many slots of 64
    /// bytes; an entry that begins in one of them goes as a whole.
    pub submit: u32,
    /// How many completions to wait for; the kernel takes no more than the queue holds. Implies `GETEVENTS`.
    pub wait: u32,
    /// More flags: `GETEVENTS`, `SQ_WAKEUP`, `SQ_WAIT`, and `NO_IOWAIT` since Linux 6.15. The others follow from the
    /// fields.
    pub flags: EnterFlags,
    /// How long to wait at most. Implies `GETEVENTS`. Since Linux 5.11.
    pub timeout: Option<Duration>,
    /// Until when to wait at most, instead of a timeout: a point on the ring's [`Clock`](super::Clock), as far from the
    /// clock's zero as [`Clock::now`](super::Clock::now). A wait that is begun again after a signal needs no
    /// arithmetic. Implies `GETEVENTS`. Since Linux 6.12.
    pub deadline: Option<Duration>,
    /// How long to wait for all that `wait` says, to the microsecond; after that, one completion is enough. So a busy
    /// ring gets its completions in batches, and an idle one is late by no more than this. It does not count against
    /// the timeout, and 0 is none. Implies `GETEVENTS`. Since Linux 6.12.
    pub min_wait: Option<Duration>,
    /// The signals to block while waiting. Since Linux 5.11.
    pub sigmask: Option<&'a libc::sigset_t>,
    /// The number of a wait that was described by [`Ring::set_wait`], instead of the four fields above. Implies
    /// `GETEVENTS`. Since Linux 6.13.
    pub registered: Option<u32>,
}

/// What came of an enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// How many entries the kernel took, those included that failed at once. With `SQPOLL` the kernel's thread takes
    /// them, and this is only the number that was asked for.
    pub submitted: u32,
    /// Whether the time was up before there was any completion. When entries were submitted by the same call the
    /// kernel tells of them instead, and when completions are there, though fewer than waited for, of nothing: then
    /// this is `false`. Look for completions in any case.
    pub timed_out: bool,
}

/// What a wait's time is said with.
enum Argument {
    None,
    /// The structure, which goes with each enter.
    Given(io_uring_getevents_arg),
    /// The offset of one that the kernel has.
    Registered(usize),
}

impl Ring {
    /// Enters the kernel once: submits, then waits.
    ///
    /// The kernel takes entries up to one that fails at once, or all with
    /// [`SUBMIT_ALL`](super::SetupFlags::SUBMIT_ALL). If it took fewer than asked it does not wait, whatever `wait`
    /// says; the rest stays queued. If it took any, errors of the wait are not told. A failed enter frees nothing: what
    /// is queued stays so.
    ///
    /// Errors of the wait are told only when there is no completion: with any, the wait ends well, as far as it came.
    ///
    /// # Completions inside the kernel
    ///
    /// An enter with `GETEVENTS` (which a wait implies) moves two kinds of completions into the queue that are in the
    /// kernel otherwise. Neither does an enter without, nor submitting.
    ///
    /// - *Deferred ones*, on a ring with `DEFER_TASKRUN`: completions of all that did not end at once. Since Linux 6.13
    ///   one enter runs about `max(20, wait)` of them; before, all.
    /// - *Those that found the queue full* ([`Ring::cq_overflow`]). They keep their order, and whatever completes
    ///   meanwhile queues behind them. One enter moves as many as the queue has room for. A request that is answered
    ///   many times is not waited for: it ends, with a completion that is final. [`Ring::lost`] counts none of this.
    ///
    /// So enter again while [`Ring::needs_enter`], after reading what there is.
    ///
    /// # In another event loop
    ///
    /// A ring's descriptor can be read, for `poll(2)` and epoll, while there are completions to read and while there
    /// are any inside the kernel. So a loop that waits for descriptors can wait for a ring: when it is readable, submit
    /// ([`Ring::submit`] enters the kernel if [`Ring::needs_enter`]) and read the completions, until neither gives any.
    ///
    /// Two things are to be known. *With `DEFER_TASKRUN` the descriptor wakes nobody*: a `poll(2)` that begins later
    /// sees that work is deferred, but its coming is no event, and epoll never learns of it. Let such a ring raise an
    /// eventfd ([`Ring::register_eventfd`]) and wait for that. With neither `DEFER_TASKRUN` nor `COOP_TASKRUN` a ring
    /// interrupts its thread for completions, and a sleep in `poll(2)` or epoll may end with `EINTR`.
    ///
    /// ```
    /// use annulus::ring::{Ring, SetupFlags, Sqe};
    /// # use std::{io::Write, os::{fd::AsRawFd, unix::net::UnixStream}};
    /// # fn main() -> std::io::Result<()> {
    /// # let Ok(mut ring) = Ring::builder().flags(SetupFlags::COOP_TASKRUN).build(8) else { return Ok(()) };
    /// let (socket, mut peer) = UnixStream::pair()?;
    /// let mut buffer = [0; 8];
    /// // SAFETY: Lent: both outlive the only completion, which is waited for.
    /// unsafe { ring.push(&Sqe::read(socket.as_raw_fd(), buffer.as_mut_ptr(), 8, u64::MAX)) }?;
    /// ring.submit()?;
    /// # let peer = std::thread::spawn(move || {
    /// peer.write_all(b"hello")?; // on another thread
    /// # Ok::<_, std::io::Error>(peer) });
    ///
    /// let read = loop {
    ///     let mut watched = libc::pollfd { fd: ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    ///     // SAFETY: one structure, and the number of it.
    ///     if unsafe { libc::poll(&mut watched, 1, 10_000) } < 0 {
    ///         continue; // interrupted
    ///     }
    ///     ring.submit()?;
    ///     if let Some(cqe) = ring.completions().next() {
    ///         break cqe.result()?;
    ///     }
    /// };
    /// assert_eq!(&buffer[..read as usize], b"hello");
    /// # peer.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Interrupted` when a signal came before any completion; nothing is lost, and it is the caller's to decide
    /// whether to wait on and for how long. `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `EBADFD` before
    /// [`Ring::enable`]; `EBADR` when the kernel lost completions for want of memory; `EBUSY` before Linux 5.19 when
    /// completions must be read first; `EOWNERDEAD` when the kernel's thread of `SQPOLL` is gone; `EINVAL` for a
    /// deadline before Linux 6.12. `Unsupported` for a timeout or a signal mask before Linux 5.11, a minimal wait
    /// before Linux 6.12, `NO_IOWAIT` before Linux 6.15, and flags that annulus does not know; `InvalidInput` for flags
    /// that are not the caller's, for fields that exclude each other, and for a registered wait that there is not;
    /// `Other` in a forked child and on a [poisoned](Ring::poisoned) ring. The running out of the time is no error.
    pub fn enter(&mut self, enter: &Enter<'_>) -> io::Result<Entered> {
        self.check_alive()?;
        let submit = self.sq.whole(enter.submit);
        let mut flags = enter.flags;
        if enter.is_plain() {
            flags.set(EnterFlags::GETEVENTS, flags.contains(EnterFlags::GETEVENTS) || enter.wait > 0);
            let submitted = self.syscall(submit, enter.wait, flags, &Argument::None)?;
            return Ok(Entered { submitted, timed_out: false });
        }
        enter.check(self.features)?;
        flags.set(EnterFlags::GETEVENTS, flags.contains(EnterFlags::GETEVENTS) || enter.waits());
        let time = enter.time();
        let (argument, absolute) = match enter.registered {
            Some(index) => self.registered_wait(index)?,
            None => (enter.argument(time.as_ref()), enter.deadline.is_some()),
        };
        flags.set(EnterFlags::ABS_TIMER, absolute);
        match self.syscall(submit, enter.wait, flags, &argument) {
            Ok(submitted) => Ok(Entered { submitted, timed_out: false }),
            Err(error) if error.raw_os_error() == Some(ETIME) => Ok(Entered { submitted: 0, timed_out: true }),
            Err(error) => Err(error),
        }
    }

    /// Submits everything and waits for so many completions. What most enters are, without a look at what else there
    /// might be to say: that costs as much as some entries do.
    #[inline]
    pub(crate) fn enter_plainly(&mut self, wait: u32, flags: EnterFlags) -> io::Result<u32> {
        self.check_alive()?;
        let submit = self.sq.queued();
        self.syscall(submit, wait, flags, &Argument::None)
    }

    fn registered_wait(&self, index: u32) -> io::Result<(Argument, bool)> {
        let Some(waits) = &self.waits else { return invalid("the ring has no waits: call register_waits()") };
        let (offset, absolute) = waits.find(index)?;
        Ok((Argument::Registered(offset), absolute))
    }

    /// The system call, through the registered index where there is one. Gives how many entries the kernel took.
    #[inline]
    fn syscall(&mut self, n: u32, wait: u32, flags: EnterFlags, argument: &Argument) -> io::Result<u32> {
        let (fd, by) = self.name.for_enter()?;
        let (ext, arg, size) = match argument {
            Argument::None => (EnterFlags::empty(), ptr::null(), 0),
            Argument::Given(arg) => (EnterFlags::EXT_ARG, ptr::from_ref(arg).cast::<c_void>(), size_of_val(arg)),
            Argument::Registered(offset) => {
                let flags = EnterFlags::EXT_ARG | EnterFlags::EXT_ARG_REG;
                (flags, ptr::without_provenance(*offset), size_of::<io_uring_reg_wait>())
            }
        };
        // SAFETY: `arg` is null, the structure that EXT_ARG announces, or a checked offset with EXT_ARG_REG; what it
        // points to outlives the call. Lent: whoever pushed the entries answered for them.
        let submitted = unsafe { sys::uring::enter(fd, n, wait, (flags | by | ext).bits(), arg, size) }?;
        self.sq.taken(submitted);
        Ok(submitted)
    }
}

impl Enter<'_> {
    /// Whether its fields go together, and a kernel with these features takes them.
    fn check(&self, features: Features) -> io::Result<()> {
        let ours = EnterFlags::EXT_ARG | EnterFlags::EXT_ARG_REG | EnterFlags::ABS_TIMER | EnterFlags::REGISTERED_RING;
        if self.flags.intersects(ours) {
            return invalid("EXT_ARG, EXT_ARG_REG, ABS_TIMER and REGISTERED_RING are annulus's: use Enter's fields");
        }
        let unknown = self.flags.difference(EnterFlags::all());
        if !unknown.is_empty() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("annulus knows no flag {unknown:?}")));
        }
        self.check_time()?;
        let described = self.is_described();
        if self.registered.is_some() && described {
            return invalid("a registered wait has its own times and signals: change it with set_wait()");
        }
        let needs = [
            (described, Features::EXT_ARG, "a wait with a timeout or a signal mask needs Linux 5.11"),
            (self.min_wait.is_some(), Features::MIN_TIMEOUT, "a wait with a minimum needs Linux 6.12"),
            (self.flags.contains(EnterFlags::NO_IOWAIT), Features::NO_IOWAIT, "NO_IOWAIT needs Linux 6.15"),
        ];
        match needs.into_iter().find(|&(asked, feature, _)| asked && !features.contains(feature)) {
            Some((_, _, why)) => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
            None => Ok(()),
        }
    }

    /// Whether this needs no look at what goes together and at what the kernel has, and no argument: as nearly all do.
    fn is_plain(&self) -> bool {
        let known = EnterFlags::GETEVENTS | EnterFlags::SQ_WAKEUP | EnterFlags::SQ_WAIT;
        !self.is_described() && self.registered.is_none() && known.contains(self.flags)
    }

    fn waits(&self) -> bool {
        self.wait > 0 || self.is_described() || self.registered.is_some()
    }

    /// Whether the kernel must be told more of the wait than how many completions it is for.
    fn is_described(&self) -> bool {
        self.timeout.is_some() || self.deadline.is_some() || self.min_wait.is_some() || self.sigmask.is_some()
    }

    /// The time until the wait ends or the point on the clock, whichever is given.
    pub(super) fn time(&self) -> Option<__kernel_timespec> {
        self.timeout.or(self.deadline).map(timespec)
    }

    pub(super) fn check_time(&self) -> io::Result<()> {
        match (self.timeout, self.deadline) {
            (Some(_), Some(_)) => invalid("a wait has a timeout or a deadline, not both"),
            _ => Ok(()),
        }
    }

    /// Rounded up: a minimum that is more than nothing stays so. As long as the kernel can count, which is 71 minutes.
    pub(super) fn min_wait_microseconds(&self) -> u32 {
        let nanoseconds = self.min_wait.unwrap_or_default().as_nanos();
        u32::try_from(nanoseconds.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    /// The extended argument, if this needs one.
    fn argument(&self, time: Option<&__kernel_timespec>) -> Argument {
        if !self.is_described() {
            return Argument::None;
        }
        Argument::Given(io_uring_getevents_arg {
            sigmask: self.sigmask.map_or(0, |mask| ptr::from_ref(mask) as u64),
            sigmask_sz: if self.sigmask.is_some() { KERNEL_SIGSET } else { 0 },
            min_wait_usec: self.min_wait_microseconds(),
            ts: time.map_or(0, |time| ptr::from_ref(time) as u64),
        })
    }
}

/// More seconds than the kernel can count are as many as it can.
fn timespec(duration: Duration) -> __kernel_timespec {
    let tv_sec = duration.as_secs().try_into().unwrap_or(i64::MAX);
    __kernel_timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a kernel is asked for what it has not: old ones take some of it for something else.
    #[test]
    fn what_a_kernel_lacks_is_unsupported() {
        let time = Some(Duration::from_secs(1));
        let lacking = [
            (Features::EXT_ARG, Enter { timeout: time, ..Enter::default() }),
            (Features::EXT_ARG, Enter { deadline: time, ..Enter::default() }),
            (Features::MIN_TIMEOUT, Enter { min_wait: time, ..Enter::default() }),
            (Features::NO_IOWAIT, Enter { flags: EnterFlags::NO_IOWAIT, ..Enter::default() }),
        ];
        for (feature, enter) in lacking {
            assert!(!enter.is_plain() && enter.check(Features::all()).is_ok());
            let error = enter.check(Features::all().difference(feature)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{enter:?}: {error}");
        }
        assert!(Enter { submit: 1, wait: 1, flags: EnterFlags::GETEVENTS, ..Enter::default() }.is_plain());
    }

    /// Red when a minimum is rounded down to none, or wraps round to a short one.
    #[test]
    fn a_minimum_is_rounded_up_and_cut() {
        let minimum = |min_wait| Enter { min_wait, ..Enter::default() }.min_wait_microseconds();
        assert_eq!(minimum(None), 0);
        assert_eq!(minimum(Some(Duration::from_nanos(1))), 1);
        assert_eq!(minimum(Some(Duration::from_nanos(1001))), 2);
        assert_eq!(minimum(Some(Duration::from_secs(4295))), u32::MAX);
        assert_eq!(minimum(Some(Duration::MAX)), u32::MAX);
    }
}
