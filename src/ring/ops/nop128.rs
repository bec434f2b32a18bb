//! `io_uring_prep_nop128(3)`: `IORING_OP_NOP128`, since Linux 6.19.

use crate::{
    entry::{Sqe, Sqe128},
    sys,
};

impl Sqe128 {
    /// Does nothing, and takes 128 bytes of the queue for it.
    ///
    /// *Result*: 0; `EINVAL` on a ring with neither `SQE128` nor `SQE_MIXED`. *Since* Linux 6.19; before, on a ring
    /// with `SQE128`, `Sqe128::from(Sqe::nop())`. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn nop() -> Sqe128 {
        Sqe { opcode: sys::IORING_OP_NOP128 as u8, fd: -1, ..Sqe::default() }.into()
    }
}
