//! `io_uring_prep_poll_remove(3)`: `IORING_OP_POLL_REMOVE`, since Linux 5.1. Ends a poll, or changes what it waits for.

use crate::{
    entry::{Sqe, poll_word},
    sys,
};

impl Sqe {
    /// Ends the poll whose entry carries `user_data`. It completes with `ECANCELED`.
    ///
    /// *Result*: 0; `ENOENT` if there is no such poll, `EALREADY` if it is just completing. *Since* Linux 5.1.
    /// *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn poll_remove(user_data: u64) -> Sqe {
        Sqe { opcode: sys::IORING_OP_POLL_REMOVE as u8, fd: -1, addr: user_data, ..Sqe::default() }
    }

    /// Lets the poll whose entry carries `user_data` wait for a mask of `POLL*` instead of its own, of which the lower
    /// 16 bits count. It goes on as it was made, once or many times, and completes at once if the descriptor is ready
    /// for the new mask.
    ///
    /// *Result*: 0; `ENOENT` if there is no such poll, `EALREADY` if it is just completing. *Since* Linux 5.13.
    /// *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn poll_update_events(user_data: u64, mask: u32) -> Sqe {
        Sqe { len: sys::IORING_POLL_UPDATE_EVENTS, op_flags: poll_word(mask), ..Sqe::poll_remove(user_data) }
    }

    /// Lets the poll whose entry carries `user_data` answer as `new` from now on.
    ///
    /// *Result*: as of [`poll_update_events`](Sqe::poll_update_events). *Since* Linux 5.13. *Cancel*: nothing to
    /// cancel. *Twin*: none.
    #[must_use]
    pub fn poll_update_user_data(user_data: u64, new: u64) -> Sqe {
        Sqe { len: sys::IORING_POLL_UPDATE_USER_DATA, off: new, ..Sqe::poll_remove(user_data) }
    }

    /// Both [`poll_update_events`](Sqe::poll_update_events) and
    /// [`poll_update_user_data`](Sqe::poll_update_user_data).
    ///
    /// *Result*: as of those. *Since* Linux 5.13. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn poll_update(user_data: u64, mask: u32, new: u64) -> Sqe {
        let sqe = Sqe::poll_update_events(user_data, mask);
        Sqe { len: sqe.len | sys::IORING_POLL_UPDATE_USER_DATA, off: new, ..sqe }
    }
}
