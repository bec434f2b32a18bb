//! `setxattr(2)`: `IORING_OP_SETXATTR`, since Linux 5.19.

use crate::{entry::Sqe, sys};
use std::ffi::c_char;

impl Sqe {
    /// Gives the file at the NUL-terminated `path`, relative to the process's working directory, the extended attribute
    /// of the NUL-terminated `name`: its value are the `len` bytes at `value`. `flags` are `XATTR_CREATE` or
    /// `XATTR_REPLACE`, or 0 for either. A symbolic link is followed.
    ///
    /// *Result*: 0. *Since* Linux 5.19. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn setxattr(path: *const c_char, name: *const c_char, value: *const u8, len: u32, flags: i32) -> Sqe {
        let (opcode, addr, off, op_flags) = (sys::IORING_OP_SETXATTR as u8, name as u64, value as u64, flags as u32);
        Sqe { opcode, fd: -1, addr, off, len, op_flags, addr3: path as u64, ..Sqe::default() }
    }
}
