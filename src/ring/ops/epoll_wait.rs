//! `epoll_wait(2)`: `IORING_OP_EPOLL_WAIT`, since Linux 6.15.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Waits until `epoll` has events, and writes up to `max` of them to `events`, which has to be writable until the
    /// completion. Without a timeout: link one to it.
    ///
    /// *Result*: how many there are; `EINVAL` for what is no epoll. *Since* Linux 6.15. *Cancel*: while it waits.
    /// *Twin*: none.
    #[must_use]
    pub fn epoll_wait(epoll: impl Target, events: *mut libc::epoll_event, max: u32) -> Sqe {
        let opcode = sys::IORING_OP_EPOLL_WAIT as u8;
        epoll.aim(Sqe { opcode, addr: events as u64, len: max, ..Sqe::default() })
    }
}
