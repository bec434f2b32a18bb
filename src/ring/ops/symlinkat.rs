//! `symlinkat(2)`: `IORING_OP_SYMLINKAT`, since Linux 5.15.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Makes a symbolic link at `path`, relative to the directory `dir` or to `AT_FDCWD`, that leads to `target`. Both
    /// are NUL-terminated; nobody looks whether there is a `target`.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn symlinkat(target: *const c_char, dir: RawFd, path: *const c_char) -> Sqe {
        let opcode = sys::IORING_OP_SYMLINKAT as u8;
        Sqe { opcode, fd: dir, addr: target as u64, off: path as u64, ..Sqe::default() }
    }
}
