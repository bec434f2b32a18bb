//! `linkat(2)`: `IORING_OP_LINKAT`, since Linux 5.15.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Gives the file at a path another one; each is a NUL-terminated path, relative to its directory or to `AT_FDCWD`.
    /// `flags` are `AT_SYMLINK_FOLLOW` and `AT_EMPTY_PATH`.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn linkat(from: (RawFd, *const c_char), to: (RawFd, *const c_char), flags: i32) -> Sqe {
        let ((fd, from), (to_dir, to)) = (from, to);
        let (opcode, len, op_flags) = (sys::IORING_OP_LINKAT as u8, to_dir as u32, flags as u32);
        Sqe { opcode, fd, addr: from as u64, off: to as u64, len, op_flags, ..Sqe::default() }
    }
}
