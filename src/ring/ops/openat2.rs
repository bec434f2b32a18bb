//! `openat2(2)`: `IORING_OP_OPENAT2`, since Linux 5.6.

use crate::{
    entry::Sqe,
    sys::{self, open_how},
};
use std::{ffi::c_char, mem::size_of, os::fd::RawFd};

impl Sqe {
    /// Opens the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`, as `how` says: `flags` are
    /// `O_*`, `mode` is for a file that is created, and `resolve` (`RESOLVE_*`) says where the path must not lead.
    /// Nothing is added: ask for `O_CLOEXEC`, unless what is opened goes to the ring's table.
    ///
    /// *Result*: a descriptor; with [`direct`](Sqe::direct) 0, with [`direct_any`](Sqe::direct_any) the place. `EINVAL`
    /// for flags that do not go together, `EXDEV` or `ELOOP` for a path that leads where it must not. *Since* Linux
    /// 5.6. *Cancel*: nothing to cancel while the path is in the kernel's cache; otherwise, and with `O_CREAT`,
    /// `O_TRUNC` or `O_TMPFILE`, before a worker has it. *Twin*: none.
    #[must_use]
    pub fn openat2(dir: RawFd, path: *const c_char, how: *const open_how) -> Sqe {
        let (opcode, len) = (sys::IORING_OP_OPENAT2 as u8, size_of::<open_how>() as u32);
        Sqe { opcode, fd: dir, addr: path as u64, off: how as u64, len, ..Sqe::default() }
    }
}
