//! `fgetxattr(2)`: `IORING_OP_FGETXATTR`, since Linux 5.19.

use crate::{
    entry::{Sqe, Target},
    sys,
};
use std::ffi::c_char;

impl Sqe {
    /// Reads an open file's extended attribute of the NUL-terminated `name` into the `len` bytes at `value`, which have
    /// to be writable until the completion. With a `len` of 0 it only tells the size.
    ///
    /// *Result*: the size of the value in bytes; `ERANGE` if it does not fit, `ENODATA` if there is none. *Since* Linux
    /// 5.19. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn fgetxattr(fd: impl Target, name: *const c_char, value: *mut u8, len: u32) -> Sqe {
        let opcode = sys::IORING_OP_FGETXATTR as u8;
        fd.aim(Sqe { opcode, addr: name as u64, off: value as u64, len, ..Sqe::default() })
    }
}
