//! `io_uring_prep_remove_buffers(3)`: `IORING_OP_REMOVE_BUFFERS`, since Linux 5.7.

use crate::{
    entry::{BufGroup, Sqe},
    sys,
};

impl Sqe {
    /// Takes up to `count` buffers back that [`Sqe::provide_buffers`] offers in `group`: those that are on offer for
    /// longest.
    ///
    /// *Result*: how many they were; `ENOENT` if there is no such group, `EINVAL` if it is a
    /// [`BufRing`](crate::ring::BufRing). *Since* Linux 5.7. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn remove_buffers(group: BufGroup, count: u16) -> Sqe {
        let (opcode, fd) = (sys::IORING_OP_REMOVE_BUFFERS as u8, count.into());
        Sqe { opcode, fd, buf_index: group.0, ..Sqe::default() }
    }
}
