//! `io_uring_prep_timeout_remove(3)`: `IORING_OP_TIMEOUT_REMOVE`, since Linux 5.5. Ends a timeout, or changes its time.

use crate::{
    entry::Sqe,
    sys::{self, __kernel_timespec},
};

impl Sqe {
    /// Ends the timeout whose entry carries `user_data`. It completes with `ECANCELED`.
    ///
    /// *Result*: 0; `ENOENT` if there is none, or it is in a chain, or it has fired and is about to begin again;
    /// `EALREADY` if it is just firing. *Since* Linux 5.5. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn timeout_remove(user_data: u64) -> Sqe {
        Sqe { opcode: sys::IORING_OP_TIMEOUT_REMOVE as u8, fd: -1, addr: user_data, ..Sqe::default() }
    }

    /// Lets the timeout whose entry carries `user_data` fire when the time at `time` has passed from now, or at that
    /// point ([`TimeoutFlags::ABS`](crate::entry::TimeoutFlags::ABS)), on the clock that it was made with. What it
    /// counts stays.
    ///
    /// The time is read when this is submitted.
    ///
    /// *Result*: 0; `ENOENT`, `EALREADY` as for [`timeout_remove`](Sqe::timeout_remove). *Since* Linux 5.11. *Cancel*:
    /// nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn timeout_update(user_data: u64, time: *const __kernel_timespec) -> Sqe {
        Sqe { off: time as u64, op_flags: sys::IORING_TIMEOUT_UPDATE, ..Sqe::timeout_remove(user_data) }
    }

    /// As [`timeout_update`](Sqe::timeout_update), for a [timeout of a link](Sqe::link_timeout) that runs.
    ///
    /// *Result*: 0; `ENOENT` if there is none that runs. *Since* Linux 5.15. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn link_timeout_update(user_data: u64, time: *const __kernel_timespec) -> Sqe {
        let op_flags = sys::IORING_TIMEOUT_UPDATE | sys::IORING_LINK_TIMEOUT_UPDATE;
        Sqe { op_flags, ..Sqe::timeout_update(user_data, time) }
    }
}
