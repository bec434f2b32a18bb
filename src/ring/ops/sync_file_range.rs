//! `sync_file_range(2)`: `IORING_OP_SYNC_FILE_RANGE`, since Linux 5.2.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Writes a part of a file to its device, but not what is known about the file: no promise that it is there after a
    /// crash. `len` bytes from `offset` on, 0 for all that follow; `flags` are `SYNC_FILE_RANGE_*`.
    ///
    /// *Result*: 0; `ESPIPE` for what is no file or block device. *Since* Linux 5.2. *Cancel*: before a worker has it.
    /// *Twin*: none.
    #[must_use]
    pub fn sync_file_range(fd: impl Target, offset: u64, len: u32, flags: u32) -> Sqe {
        let opcode = sys::IORING_OP_SYNC_FILE_RANGE as u8;
        fd.aim(Sqe { opcode, off: offset, len, op_flags: flags, ..Sqe::default() })
    }
}
