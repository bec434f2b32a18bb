//! `madvise(2)`: `IORING_OP_MADVISE`, since Linux 5.6.

use crate::{entry::Sqe, sys};
use std::ffi::c_void;

impl Sqe {
    /// Says how the `len` bytes of memory at `addr`, which is a page's, are going to be used: `advice` is a `MADV_*`.
    /// Some of them take the bytes away (`MADV_DONTNEED`): that memory is lent as if it were read into. 4 GiB and more
    /// need Linux 6.10; before, `EINVAL`.
    ///
    /// *Result*: 0; `ENOMEM` for what is not mapped. *Since* Linux 5.6. *Cancel*: before a worker has it. *Twin*: none.
    #[must_use]
    pub fn madvise(addr: *mut c_void, len: u64, advice: i32) -> Sqe {
        let (short, long) = super::length(len);
        let (opcode, op_flags) = (sys::IORING_OP_MADVISE as u8, advice as u32);
        Sqe { opcode, fd: -1, addr: addr as u64, len: short, off: long, op_flags, ..Sqe::default() }
    }
}
