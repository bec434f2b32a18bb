//! `io_uring_prep_read_multishot(3)`: `IORING_OP_READ_MULTISHOT`, since Linux 6.7.

use crate::{
    entry::{BufGroup, Sqe, Target},
    sys,
};

impl Sqe {
    /// Reads what comes, as often as something does, each time into a buffer of `group`. For pipes, terminals, eventfds
    /// and the like, which are read at their own position (`offset` is `u64::MAX`); `EBADFD` for what cannot be polled,
    /// as a file. Of sockets it is for those that [`recv`](Sqe::recv) is not for.
    ///
    /// *Result*: the number of bytes, and which [buffer](crate::entry::Cqe::buffer); 0 without a buffer at the end.
    /// Answered many times: until the end, an error or `ENOBUFS`, with [`MORE`](crate::entry::CqeFlags::MORE) on all
    /// but the last. *Since* Linux 6.7. *Cancel*: while it waits. *Twin*: none.
    #[must_use]
    pub fn read_multishot(fd: impl Target, offset: u64, group: BufGroup) -> Sqe {
        let opcode = sys::IORING_OP_READ_MULTISHOT as u8;
        fd.aim(Sqe { opcode, off: offset, ..Sqe::default() }).buffer_select(group)
    }
}
