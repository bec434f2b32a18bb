//! `futex_wake(2)`: `IORING_OP_FUTEX_WAKE`, since Linux 6.7. Wakes those who wait for a word.

use crate::{entry::Sqe, ring::FutexFlags, sys};
use std::sync::atomic::AtomicU32;

impl Sqe {
    /// Wakes at most `count` of those who wait for the word at `futex` with a bit of `mask`.
    ///
    /// *Result*: how many were woken; `EINVAL` for a mask of 0. *Since* Linux 6.7. *Cancel*: nothing to cancel. *Twin*:
    /// none.
    #[must_use]
    pub fn futex_wake(futex: *const AtomicU32, count: u32, mask: u32, flags: FutexFlags) -> Sqe {
        let sqe = Sqe::futex_wait(futex, count, mask, flags);
        Sqe { opcode: sys::IORING_OP_FUTEX_WAKE as u8, ..sqe }
    }
}
