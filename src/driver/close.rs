//! Closing what nobody holds any more.

use crate::{
    entry::{Sqe, Twin},
    sys::unix::ret,
};

/// `close(2)`, wherever it may block. EINTR means closed, too: the number is gone by then.
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
