//! `io_uring_prep_provide_buffers(3)`: `IORING_OP_PROVIDE_BUFFERS`, since Linux 5.7.

use crate::{
    entry::{BufGroup, Sqe},
    sys,
};

impl Sqe {
    /// Offers `count` buffers (1 to 65,535) of `size` bytes each, which follow each other in the memory at `memory` and
    /// are numbered from `first` on, in `group`. Before Linux 5.19 this is the only way to provide buffers; since then
    /// a [`BufRing`](crate::ring::BufRing) does it without an entry for each.
    ///
    /// Each buffer is lent until a completion [names](crate::entry::Cqe::buffer) it, or it was
    /// [removed](Sqe::remove_buffers) and the requests that could have it are done.
    ///
    /// *Result*: 0; `EINVAL` if the group is a [`BufRing`](crate::ring::BufRing), and for numbers beyond 65,535
    /// (`E2BIG` on older kernels), `E2BIG` for a `count` of 0, `EFAULT` for memory that is not there. *Since* Linux
    /// 5.7. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn provide_buffers(group: BufGroup, memory: *mut u8, size: u32, count: u16, first: u16) -> Sqe {
        Sqe {
            opcode: sys::IORING_OP_PROVIDE_BUFFERS as u8,
            fd: count.into(),
            addr: memory as u64,
            len: size,
            off: first.into(),
            buf_index: group.0,
            ..Sqe::default()
        }
    }
}
