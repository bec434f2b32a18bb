//! `futex_waitv(2)`: `IORING_OP_FUTEX_WAITV`, since Linux 6.7. Waits for one of many words to be woken.

use crate::{
    entry::Sqe,
    ring::FutexFlags,
    sys::{self, futex_waitv},
};
use std::{fmt, sync::atomic::AtomicU32};

/// `struct futex_waitv`: one word of those that [`Sqe::futex_waitv`](crate::entry::Sqe::futex_waitv) waits on.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct FutexWait(futex_waitv);

impl FutexWait {
    /// The word at `futex`, as long as it is `value`.
    #[must_use]
    pub fn new(futex: *const AtomicU32, value: u32, flags: FutexFlags) -> FutexWait {
        FutexWait(futex_waitv { val: value.into(), uaddr: futex as u64, flags: flags.word(), __reserved: 0 })
    }
}

impl fmt::Debug for FutexWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutexWait").field("value", &self.0.val).finish_non_exhaustive()
    }
}

impl Sqe {
    /// Waits until somebody wakes one of the `count` words at `words`, at most 128, if each has its value now. The
    /// array is read when this is submitted; the kernel only reads the words.
    ///
    /// *Result*: the index of one that was woken; `EAGAIN` if one has another value, `EINVAL` for no word or too many.
    /// *Since* Linux 6.7. *Cancel*: while it waits. *Twin*: none.
    #[must_use]
    pub fn futex_waitv(words: *const FutexWait, count: u32) -> Sqe {
        Sqe { opcode: sys::IORING_OP_FUTEX_WAITV as u8, addr: words as u64, len: count, ..Sqe::default() }
    }
}
