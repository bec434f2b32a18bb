//! `io_uring_prep_writev_fixed(3)`: `IORING_OP_WRITEV_FIXED`, since Linux 6.15.

use crate::{
    entry::{BufIndex, Sqe, Target},
    sys,
};

impl Sqe {
    /// Writes at `offset` (`u64::MAX`: at the file's own position) the `count` buffers at `iov`, all of which lie in
    /// the ring's registered buffer `index`.
    ///
    /// *Result*: the number of bytes; `EFAULT` for a buffer that is empty or does not lie there. *Since* Linux 6.15.
    /// *Cancel*: while it waits. *Twin*: none; [`writev`](Sqe::writev) does the same with memory that is not
    /// registered.
    #[must_use]
    pub fn writev_fixed(fd: impl Target, iov: *const libc::iovec, count: u32, offset: u64, index: BufIndex) -> Sqe {
        let (opcode, addr) = (sys::IORING_OP_WRITEV_FIXED as u8, iov as u64);
        fd.aim(Sqe { opcode, off: offset, addr, len: count, buf_index: index.0, ..Sqe::default() })
    }
}
