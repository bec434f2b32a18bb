//! `io_uring_prep_uring_cmd(3)`: `IORING_OP_URING_CMD`, since Linux 5.19. Commands that a file's driver knows.

use crate::{
    entry::{BufGroup, BufIndex, Sqe, Target},
    sys,
};

impl Sqe {
    /// As [`uring_cmd`](Sqe::uring_cmd), for memory that lies in the registered buffer `index`.
    ///
    /// *Result*: as of [`uring_cmd`](Sqe::uring_cmd); `EFAULT` if there is no such buffer. *Since* Linux 6.1. *Cancel*:
    /// as of that. *Twin*: none.
    #[must_use]
    pub fn uring_cmd_fixed(fd: impl Target, op: u32, command: [u8; 16], index: BufIndex) -> Sqe {
        Sqe { op_flags: sys::IORING_URING_CMD_FIXED, buf_index: index.0, ..Sqe::uring_cmd(fd, op, command) }
    }

    /// As [`uring_cmd`](Sqe::uring_cmd), again and again, each time into a buffer of `group`.
    ///
    /// *Result*: as of [`uring_cmd`](Sqe::uring_cmd), of each completion; `EINVAL` before. *Since* Linux 6.18.
    /// *Cancel*: as of that. Multishot, and only with a group. *Twin*: none.
    #[must_use]
    pub fn uring_cmd_multi(fd: impl Target, op: u32, command: [u8; 16], group: BufGroup) -> Sqe {
        let sqe = Sqe::uring_cmd(fd, op, command).buffer_select(group);
        Sqe { op_flags: sys::IORING_URING_CMD_MULTISHOT, ..sqe }
    }
}
