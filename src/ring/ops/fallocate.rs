//! `fallocate(2)`: `IORING_OP_FALLOCATE`, since Linux 5.6.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Makes room in a file for `len` bytes at `offset`, or does with them what else `mode` (`FALLOC_FL_*`) says:
    /// punches a hole, fills with zeros, takes them out.
    ///
    /// *Result*: 0; `EINVAL` for a length of 0, `EOPNOTSUPP` where the file system knows no such mode. *Since* Linux
    /// 5.6. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn fallocate(fd: impl Target, mode: i32, offset: u64, len: u64) -> Sqe {
        // Not what the fields are called: the length is the address, and the mode the length.
        let opcode = sys::IORING_OP_FALLOCATE as u8;
        fd.aim(Sqe { opcode, off: offset, addr: len, len: mode as u32, ..Sqe::default() })
    }
}
