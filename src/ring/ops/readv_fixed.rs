//! `io_uring_prep_readv_fixed(3)`: `IORING_OP_READV_FIXED`, since Linux 6.15.

use crate::{
    entry::{BufIndex, Sqe, Target},
    sys,
};

impl Sqe {
    /// Reads at `offset` (`u64::MAX`: at the file's own position) into the `count` buffers at `iov`, all of which lie
    /// in the ring's registered buffer `index`.
    ///
    /// *Result*: the number of bytes; `EFAULT` for a buffer that is empty or does not lie there. *Since* Linux 6.15.
    /// *Cancel*: while it waits. *Twin*: none; [`readv`](Sqe::readv) does the same with memory that is not registered.
    #[must_use]
    pub fn readv_fixed(fd: impl Target, iov: *const libc::iovec, count: u32, offset: u64, index: BufIndex) -> Sqe {
        let (opcode, addr) = (sys::IORING_OP_READV_FIXED as u8, iov as u64);
        fd.aim(Sqe { opcode, off: offset, addr, len: count, buf_index: index.0, ..Sqe::default() })
    }
}
