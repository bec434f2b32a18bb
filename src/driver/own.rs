//! The driver's own entries: cancelling, waiting for readiness, and closing what nobody holds any more.

use crate::{
    driver::slots::Key,
    entry::{Interest, Sqe, Twin},
    sys::{self, unix::ret},
};
use std::{os::fd::RawFd, time::Duration};

/// `ASYNC_CANCEL` of one entry, since Linux 5.5. Its own completion tells nothing: the entry's does.
pub(super) fn cancel(key: Key) -> Sqe {
    Sqe { opcode: sys::IORING_OP_ASYNC_CANCEL as u8, fd: -1, addr: key.user_data(), ..Sqe::default() }
}

/// `ASYNC_CANCEL` of everything in the ring, since Linux 5.19.
pub(super) fn cancel_all() -> Sqe {
    let op_flags = sys::IORING_ASYNC_CANCEL_ANY | sys::IORING_ASYNC_CANCEL_ALL;
    Sqe { opcode: sys::IORING_OP_ASYNC_CANCEL as u8, fd: -1, op_flags, ..Sqe::default() }
}

/// A one-shot `POLL_ADD`, since Linux 5.1.
pub(super) fn wait_for(fd: RawFd, interest: Interest, key: Key) -> Sqe {
    Sqe::poll_add(fd, interest).user_data(key.user_data())
}

/// How long the entry of a timeout lasts.
pub(super) fn time(sqe: &Sqe) -> Duration {
    // SAFETY: Lent: an entry whose twin is a timer names a time, which stays until the entry has been answered.
    let time = unsafe { (sqe.addr as *const sys::__kernel_timespec).read() };
    let (secs, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into()))
}

/// `close(2)`, wherever it may block. EINTR means closed, too: Linux has let go of the number by then.
pub(crate) static CLOSE: Twin = Twin::pool(close);

/// Whether a CLOSE that ended with `res` never began, so that the number is still open: it was cancelled, or no thread
/// could be had for it. `close(2)` itself says neither.
pub(crate) fn close_never_began(res: i32) -> bool {
    matches!(-res, libc::ECANCELED | libc::EAGAIN)
}

unsafe fn close(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Close waits: the entry was made by whoever held the last reference to the number.
    match ret(unsafe { libc::close(sqe.fd) } as isize) {
        interrupted if interrupted == -libc::EINTR => 0,
        res => res,
    }
}
