//! `futex_wait(2)`: `IORING_OP_FUTEX_WAIT`, since Linux 6.7. Waits for a word to be woken.

use crate::{entry::Sqe, sys};
use std::sync::atomic::AtomicU32;

bitflags::bitflags! {
    /// `FUTEX2_*`: whose word it is, and where it lies. It has 32 bits, as the kernel knows no others yet.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct FutexFlags: u32 {
        /// Only threads of this process wait on it and wake: quicker. Waiters and wakers have to agree.
        const PRIVATE = sys::FUTEX2_PRIVATE;
        /// The number of the memory's node follows behind the word, in 4 bytes more, which the kernel may write. Since
        /// Linux 6.16.
        const NUMA = sys::FUTEX2_NUMA;
        /// Placed by the memory's policy. Since Linux 6.16.
        const MPOL = sys::FUTEX2_MPOL;
    }
}

impl FutexFlags {
    pub(super) const fn word(self) -> u32 {
        self.bits() | sys::FUTEX2_SIZE_U32
    }
}

impl Sqe {
    /// Waits until somebody [wakes](Sqe::futex_wake) the word at `futex` with a bit of `mask`, if it is `value` now. By
    /// the call of old with the same flag, too: `FUTEX_WAKE`. The kernel only reads the word.
    ///
    /// *Result*: 0; `EAGAIN` if it is not `value`, `EINVAL` for a mask of 0. *Since* Linux 6.7. *Cancel*: while it
    /// waits. *Twin*: none.
    #[must_use]
    pub fn futex_wait(futex: *const AtomicU32, value: u32, mask: u32, flags: FutexFlags) -> Sqe {
        Sqe {
            opcode: sys::IORING_OP_FUTEX_WAIT as u8,
            fd: flags.word() as i32,
            off: value.into(),
            addr: futex as u64,
            addr3: mask.into(),
            ..Sqe::default()
        }
    }
}
