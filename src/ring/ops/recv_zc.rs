//! `io_uring_prep_recv_zc(3)`: `IORING_OP_RECV_ZC`, since Linux 6.15. Receives without a copy.

use crate::{
    entry::{RecvSendFlags, Sqe, Target},
    sys,
};

impl Sqe {
    /// Receives from a TCP socket again and again, without a copy: the bytes stay where the network card put them, in
    /// the area of the registered queue `queue`. At most `limit` bytes in all, or without an end for 0.
    ///
    /// The ring has `DEFER_TASKRUN`, and completions of 32 bytes. Each names its bytes in the second half: the lower 48
    /// bits of its first word are an offset, the upper 16 the area. They are lent to us until they are given back by
    /// the queue's refill ring.
    ///
    /// *Result*: the number of bytes of each completion; 0 at the stream's end, or when `limit` is reached. `ENOMEM`
    /// when the area is used up. `EINVAL` on a ring without such completions, and for a queue that there is not.
    /// *Since* Linux 6.15. *Cancel*: while it waits. Always multishot; no group of buffers. *Twin*: none.
    #[must_use]
    pub fn recv_zc(fd: impl Target, queue: u32, limit: u32) -> Sqe {
        let sqe = Sqe { opcode: sys::IORING_OP_RECV_ZC as u8, file_index: queue, len: limit, ..Sqe::default() };
        fd.aim(sqe).recv_send_flags(RecvSendFlags::MULTISHOT)
    }
}
