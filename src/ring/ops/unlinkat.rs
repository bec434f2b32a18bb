//! `unlinkat(2)`: `IORING_OP_UNLINKAT`, since Linux 5.11.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Removes what is at the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`. With
    /// `AT_REMOVEDIR` as `flags` an empty directory, with 0 anything else.
    ///
    /// *Result*: 0. *Since* Linux 5.11. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn unlinkat(dir: RawFd, path: *const c_char, flags: i32) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_UNLINKAT as u8, flags as u32);
        Sqe { opcode, fd: dir, addr: path as u64, op_flags, ..Sqe::default() }
    }
}
