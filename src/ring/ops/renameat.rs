//! `renameat2(2)`: `IORING_OP_RENAMEAT`, since Linux 5.11.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Moves what is at a path to another; each is a NUL-terminated path, relative to its directory or to `AT_FDCWD`.
    /// `flags` are `RENAME_*`.
    ///
    /// *Result*: 0. *Since* Linux 5.11. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn renameat(from: (RawFd, *const c_char), to: (RawFd, *const c_char), flags: u32) -> Sqe {
        let ((fd, from), (to_dir, to)) = (from, to);
        let (opcode, len) = (sys::IORING_OP_RENAMEAT as u8, to_dir as u32);
        Sqe { opcode, fd, addr: from as u64, off: to as u64, len, op_flags: flags, ..Sqe::default() }
    }
}
