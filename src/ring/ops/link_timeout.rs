//! `io_uring_prep_link_timeout(3)`: `IORING_OP_LINK_TIMEOUT`, since Linux 5.5. Limits the time of the entry before.

use crate::{
    entry::Sqe,
    sys::{self, __kernel_timespec},
};

impl Sqe {
    /// Cancels the entry before this one, which has to be [linked](Sqe::link) to it, when the time at `time` has passed
    /// since that one began. The time is read when this is submitted. Takes
    /// [`TimeoutFlags`](crate::entry::TimeoutFlags), but none that begins again.
    ///
    /// An entry that blocks inside a worker thread is not reached on every kernel: there the time begins when the work
    /// is done (since 6.15; 6.12.29, 6.1.139).
    ///
    /// *Result*: `ETIME` if it fired, and then the other one ends with `ECANCELED`, or with what it had done;
    /// `ECANCELED` if the other one was done before; `EALREADY` if that could not be stopped, `ENOENT` if it was just
    /// gone. Which of the two completions comes first is not defined. `EINVAL` for both, if nothing is linked before it
    /// or two follow one entry. *Since* Linux 5.5. *Cancel*: not by itself. *Twin*: none.
    #[must_use]
    pub fn link_timeout(time: *const __kernel_timespec) -> Sqe {
        Sqe { opcode: sys::IORING_OP_LINK_TIMEOUT as u8, ..Sqe::timeout(time) }
    }
}
