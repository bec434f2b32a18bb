//! `epoll_ctl(2)`: `IORING_OP_EPOLL_CTL`, since Linux 5.6.

use crate::{entry::Sqe, sys};
use std::os::fd::RawFd;

impl Sqe {
    /// Adds `fd` to the interests of `epoll`, changes it there, or takes it out: `op` is an `EPOLL_CTL_*`. Neither may
    /// be a place in the ring's table. `event` is null to take it out.
    ///
    /// *Result*: 0. *Since* Linux 5.6. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn epoll_ctl(epoll: RawFd, op: i32, fd: RawFd, event: *const libc::epoll_event) -> Sqe {
        // The descriptor is an offset, as the kernel has it: 32 bits of it.
        let (opcode, off) = (sys::IORING_OP_EPOLL_CTL as u8, u64::from(fd as u32));
        Sqe { opcode, fd: epoll, off, len: op as u32, addr: event as u64, ..Sqe::default() }
    }
}
