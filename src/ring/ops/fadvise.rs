//! `posix_fadvise(2)`: `IORING_OP_FADVISE`, since Linux 5.6.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Says how `len` bytes of a file from `offset` on are going to be used, 0 for all that follow: `advice` is a
    /// `POSIX_FADV_*`. More than 4 GiB - 1 need Linux 6.10; before, `EINVAL`.
    ///
    /// *Result*: 0; `ESPIPE` for a pipe. *Since* Linux 5.6. *Cancel*: before a worker has it, and nothing to cancel in
    /// `NORMAL`, `RANDOM` and `SEQUENTIAL`. *Twin*: none.
    #[must_use]
    pub fn fadvise(fd: impl Target, offset: u64, len: u64, advice: i32) -> Sqe {
        let (short, long) = super::length(len);
        let (opcode, op_flags) = (sys::IORING_OP_FADVISE as u8, advice as u32);
        fd.aim(Sqe { opcode, off: offset, len: short, addr: long, op_flags, ..Sqe::default() })
    }
}
