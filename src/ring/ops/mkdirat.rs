//! `mkdirat(2)`: `IORING_OP_MKDIRAT`, since Linux 5.15.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Makes a directory at the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`. `mode` are its
    /// permissions, before the process's mask.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn mkdirat(dir: RawFd, path: *const c_char, mode: u32) -> Sqe {
        Sqe { opcode: sys::IORING_OP_MKDIRAT as u8, fd: dir, addr: path as u64, len: mode, ..Sqe::default() }
    }
}
