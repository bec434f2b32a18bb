//! `ftruncate(2)`: `IORING_OP_FTRUNCATE`, since Linux 6.9.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Makes a file `len` bytes long: cuts it, or adds zeros.
    ///
    /// *Result*: 0; `EINVAL` for what is no file or not open for writing, and for a length that no file has. *Since*
    /// Linux
    /// 6.9. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn ftruncate(fd: impl Target, len: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_FTRUNCATE as u8, off: len, ..Sqe::default() })
    }
}
