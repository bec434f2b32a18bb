//! `fsetxattr(2)`: `IORING_OP_FSETXATTR`, since Linux 5.19.

use crate::{
    entry::{Sqe, Target},
    sys,
};
use std::ffi::c_char;

impl Sqe {
    /// Gives an open file the extended attribute of the NUL-terminated `name`: its value are the `len` bytes at
    /// `value`. `flags` are `XATTR_CREATE` or `XATTR_REPLACE`, or 0 for either.
    ///
    /// *Result*: 0. *Since* Linux 5.19. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn fsetxattr(fd: impl Target, name: *const c_char, value: *const u8, len: u32, flags: i32) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_FSETXATTR as u8, flags as u32);
        fd.aim(Sqe { opcode, addr: name as u64, off: value as u64, len, op_flags, ..Sqe::default() })
    }
}
