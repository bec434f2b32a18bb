//! `statx(2)`: `IORING_OP_STATX`, since Linux 5.6.

use crate::{entry::Sqe, sys};
use std::{ffi::c_char, os::fd::RawFd};

impl Sqe {
    /// Tells what is known about the file at the NUL-terminated `path`, relative to the directory `dir` or to
    /// `AT_FDCWD`. With `AT_EMPTY_PATH` among `flags` (`AT_*`) and an empty path, about `dir` itself. `mask`
    /// (`STATX_*`) says what is asked for. `out` has to be writable until the completion; its `stx_mask` says what it
    /// holds.
    ///
    /// *Result*: 0. *Since* Linux 5.6. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn statx(dir: RawFd, path: *const c_char, flags: i32, mask: u32, out: *mut libc::statx) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_STATX as u8, flags as u32);
        Sqe { opcode, fd: dir, addr: path as u64, len: mask, off: out as u64, op_flags, ..Sqe::default() }
    }
}
