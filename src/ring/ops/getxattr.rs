//! `getxattr(2)`: `IORING_OP_GETXATTR`, since Linux 5.19.

use crate::{entry::Sqe, sys};
use std::ffi::c_char;

impl Sqe {
    /// Reads the extended attribute of the NUL-terminated `name` that the file at the NUL-terminated `path` has,
    /// relative to the process's working directory, into the `len` bytes at `value`, which have to be writable until
    /// the completion. With a `len` of 0 it only tells the size. A symbolic link is followed.
    ///
    /// *Result*: the size of the value in bytes; `ERANGE` if it does not fit, `ENODATA` if there is none. *Since* Linux
    /// 5.19. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn getxattr(path: *const c_char, name: *const c_char, value: *mut u8, len: u32) -> Sqe {
        let (opcode, addr, off) = (sys::IORING_OP_GETXATTR as u8, name as u64, value as u64);
        Sqe { opcode, fd: -1, addr, off, len, addr3: path as u64, ..Sqe::default() }
    }
}
