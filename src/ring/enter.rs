//! One `io_uring_enter(2)`: what goes in, and what comes out.

use super::{
    Ring,
    flags::{EnterFlags, Features},
};
use crate::sys::{self, __kernel_timespec, io_uring_getevents_arg, unix::ETIME};
use std::{ffi::c_void, io, ptr, time::Duration};

/// The size of the kernel's signal set, which is not that of libc's.
const KERNEL_SIGSET: u32 = 8;

/// What an enter is to do; see [`Ring::enter`]. The default does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enter<'a> {
    /// How many entries to submit; more than are queued means all of them.
    pub submit: u32,
    /// How many completions to wait for; the kernel takes no more than the queue holds. Implies `GETEVENTS`.
    pub wait: u32,
    /// More flags. `EXT_ARG`, `EXT_ARG_REG` and `REGISTERED_RING` are not for the caller.
    pub flags: EnterFlags,
    /// How long to wait at most. Implies `GETEVENTS`. Since Linux 5.11.
    pub timeout: Option<Duration>,
    /// The signals to block while waiting. Since Linux 5.11.
    pub sigmask: Option<&'a libc::sigset_t>,
}

/// What came of an enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// How many entries the kernel took, those included that failed at once.
    pub submitted: u32,
    /// Whether the time was up before there was any completion. When entries were submitted by the same call the
    /// kernel tells of them instead, and this is `false`: look for completions in any case.
    pub timed_out: bool,
}

impl Ring {
    /// Enters the kernel once: submits, then waits.
    ///
    /// The kernel takes entries up to one that fails at once, or all with
    /// [`SUBMIT_ALL`](super::SetupFlags::SUBMIT_ALL). If it took fewer than asked it does not wait; the rest stays
    /// queued. If it took any, errors of the wait are not told. A failed enter frees nothing: what is queued stays so.
    ///
    /// On a ring with `DEFER_TASKRUN` since Linux 6.13 one enter runs about `max(20, wait)` deferred completions:
    /// enter again while [`Ring::needs_enter`].
    ///
    /// # Errors
    /// `Interrupted` when a signal came before any completion; nothing is lost, and it is the caller's to decide
    /// whether to wait on and for how long. `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `EBADFD` before
    /// [`Ring::enable`]; `EBADR` when the kernel lost completions for want of memory; `EBUSY` before Linux 5.19 when
    /// completions must be read first. `Unsupported` for a timeout or a signal mask before Linux 5.11; `InvalidInput`
    /// for flags that are not the caller's; `Other` in a forked child and on a [poisoned](Ring::poisoned) ring. The
    /// running out of the timeout is no error.
    pub fn enter(&mut self, enter: &Enter<'_>) -> io::Result<Entered> {
        self.check_alive()?;
        self.check_enter(enter)?;
        let submit = enter.submit.min(self.sq.queued());
        let mut flags = enter.flags;
        flags.set(EnterFlags::GETEVENTS, flags.contains(EnterFlags::GETEVENTS) || enter.waits());
        let time = enter.timeout.map(timespec);
        let arg = enter.argument(time.as_ref());
        match self.syscall(submit, enter.wait, flags, arg.as_ref()) {
            Ok(submitted) => {
                self.sq.taken(submitted);
                Ok(Entered { submitted, timed_out: false })
            }
            Err(error) if error.raw_os_error() == Some(ETIME) => Ok(Entered { submitted: 0, timed_out: true }),
            Err(error) => Err(error),
        }
    }

    fn check_enter(&self, enter: &Enter<'_>) -> io::Result<()> {
        let ours = EnterFlags::EXT_ARG | EnterFlags::EXT_ARG_REG | EnterFlags::REGISTERED_RING;
        if enter.flags.intersects(ours) {
            let why = "EXT_ARG, EXT_ARG_REG and REGISTERED_RING are set by annulus; use the fields of Enter";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if (enter.timeout.is_some() || enter.sigmask.is_some()) && !self.features.contains(Features::EXT_ARG) {
            let why = "a wait with a timeout or a signal mask needs Linux 5.11";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(())
    }

    /// The system call, through the registered index where there is one.
    fn syscall(&self, n: u32, wait: u32, flags: EnterFlags, arg: Option<&io_uring_getevents_arg>) -> io::Result<u32> {
        let (fd, by) = self.name.for_enter()?;
        let (ext, arg, size) = match arg {
            Some(arg) => (EnterFlags::EXT_ARG, ptr::from_ref(arg).cast::<c_void>(), size_of_val(arg)),
            None => (EnterFlags::empty(), ptr::null(), 0),
        };
        // SAFETY: `arg` is null or the structure that EXT_ARG announces, and what it points to outlives the call. Lent:
        // whoever pushed the entries answered for them.
        unsafe { sys::uring::enter(fd, n, wait, (flags | by | ext).bits(), arg, size) }
    }
}

impl Enter<'_> {
    fn waits(&self) -> bool {
        self.wait > 0 || self.timeout.is_some() || self.sigmask.is_some()
    }

    /// The extended argument, if this needs one.
    fn argument(&self, time: Option<&__kernel_timespec>) -> Option<io_uring_getevents_arg> {
        if self.timeout.is_none() && self.sigmask.is_none() {
            return None;
        }
        Some(io_uring_getevents_arg {
            sigmask: self.sigmask.map_or(0, |mask| ptr::from_ref(mask) as u64),
            sigmask_sz: if self.sigmask.is_some() { KERNEL_SIGSET } else { 0 },
            ts: time.map_or(0, |time| ptr::from_ref(time) as u64),
            ..io_uring_getevents_arg::default()
        })
    }
}

/// More seconds than the kernel can count are as many as it can.
fn timespec(duration: Duration) -> __kernel_timespec {
    let tv_sec = duration.as_secs().try_into().unwrap_or(i64::MAX);
    __kernel_timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}
