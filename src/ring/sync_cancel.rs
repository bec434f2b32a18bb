//! Cancelling from outside of the queue, and waiting for the end: `IORING_REGISTER_SYNC_CANCEL`.

use super::{Cancel, Ring};
use crate::sys::{self, __kernel_timespec, io_uring_sync_cancel_reg};
use std::{io, time::Duration};

impl Ring {
    /// Cancels requests and waits until they have ended, without an entry and without a completion of its own; gives
    /// how many were found, if it was [all](Cancel::all) of them that were meant, and else 0. The requests' own
    /// completions come as always, most with `ECANCELED`: what was lent to them is lent until then. Since Linux 6.0.
    ///
    /// It waits for `limit` at most, or without end for [`Duration::MAX`]. *On a ring with `DEFER_TASKRUN` it waits to
    /// the end of the limit* for a request that a worker thread is busy with, although it may have ended: its end is
    /// among the deferred work, which nobody runs meanwhile. So have a short limit there, and enter.
    ///
    /// ```
    /// use annulus::ring::{Cancel, Ring, Sqe};
    /// # use annulus::entry::Interest;
    /// # use std::{os::{fd::AsFd, unix::net::UnixStream}, time::Duration};
    /// # fn main() -> std::io::Result<()> {
    /// # let Ok(mut ring) = Ring::new(8) else { return Ok(()) };
    /// let (socket, _peer) = UnixStream::pair()?;
    /// // SAFETY: Lent: it names no memory, and the socket outlives it.
    /// unsafe { ring.push(&Sqe::poll_add(socket.as_fd(), Interest::Read)) }?;
    /// ring.submit()?;
    /// # let first = ring.sync_cancel(Cancel::user_data(9), Duration::ZERO).unwrap_err();
    /// # if first.raw_os_error() == Some(libc::EINVAL) { return Ok(()) }; // before Linux 6.0
    /// assert_eq!(ring.sync_cancel(Cancel::fd(socket.as_fd()).all(), Duration::from_secs(1))?, 1);
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completions().next().map(|cqe| cqe.res), Some(-libc::ECANCELED));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ENOENT` if there was nothing to cancel, or nothing any more (but for all, of which there may be 0), `ETIME` if
    /// something has not ended within the limit, `Interrupted` if a signal came; `EBADF` if there is no such file;
    /// `EINVAL` before Linux 6.0, and before Linux 6.6 for an opcode; `EEXIST` on a `SINGLE_ISSUER` ring from another
    /// thread; `Other` in a forked child.
    pub fn sync_cancel(&self, whom: Cancel, limit: Duration) -> io::Result<u32> {
        let (flags, fd, addr, opcode) = whom.words();
        let timeout = match i64::try_from(limit.as_secs()) {
            Ok(tv_sec) if limit != Duration::MAX => __kernel_timespec { tv_sec, tv_nsec: limit.subsec_nanos().into() },
            _ => __kernel_timespec { tv_sec: -1, tv_nsec: -1 },
        };
        let mut ask =
            io_uring_sync_cancel_reg { addr, fd, flags, timeout, opcode, ..io_uring_sync_cancel_reg::default() };
        // SAFETY: Kernel's word: one structure, which is read before the call returns and names no memory.
        unsafe { self.register(sys::IORING_REGISTER_SYNC_CANCEL, (&raw mut ask).cast(), 1) }
    }
}
