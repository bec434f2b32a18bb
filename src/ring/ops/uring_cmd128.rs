//! `io_uring_prep_uring_cmd128(3)`: `IORING_OP_URING_CMD128`, since Linux 6.19.

use crate::{
    entry::{Sqe, Sqe128, Target},
    sys,
};

impl Sqe128 {
    /// As [`Sqe::uring_cmd`], with a command of 80 bytes.
    ///
    /// *Result*: that of whoever stands behind `fd`; `EINVAL` on a ring with neither `SQE128` nor `SQE_MIXED`. *Since*
    /// Linux
    /// 6.19; before, on a ring with `SQE128`, `Sqe128::from(Sqe::uring_cmd(..)).command(..)`. *Cancel*: his affair.
    /// *Twin*: none.
    #[must_use]
    pub fn uring_cmd(fd: impl Target, op: u32, command: &[u8; Sqe128::COMMAND]) -> Sqe128 {
        let opcode = sys::IORING_OP_URING_CMD128 as u8;
        Sqe128::from(Sqe { opcode, ..Sqe::uring_cmd(fd, op, [0; 16]) }).command(command)
    }
}
