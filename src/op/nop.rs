//! `NOP`: `IORING_OP_NOP`, since Linux 5.1. Does nothing and completes.

use crate::{entry::Sqe, sys};

impl Sqe {
    /// Does nothing and completes with 0.
    #[must_use]
    pub fn nop() -> Sqe {
        Sqe { opcode: sys::IORING_OP_NOP as u8, fd: -1, ..Sqe::default() }
    }
}
