//! `pipe2(2)`: `IORING_OP_PIPE`, since Linux 6.16.

use crate::{entry::Sqe, sys};

impl Sqe {
    /// Makes a pipe, and writes the numbers of its reading and its writing end to `fds`, which has to be writable until
    /// the completion. `flags` are `O_CLOEXEC`, `O_NONBLOCK`, `O_DIRECT`, as `pipe2(2)` has them.
    ///
    /// With [`direct`](Sqe::direct) the ends go to that place and the one after it, with
    /// [`direct_any`](Sqe::direct_any) to two that are free, which are then what is written to `fds`; `O_CLOEXEC` is
    /// `EINVAL` beside them.
    ///
    /// *Result*: 0. *Since* Linux 6.16. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn pipe(fds: *mut [i32; 2], flags: i32) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_PIPE as u8, flags as u32);
        Sqe { opcode, addr: fds as u64, op_flags, ..Sqe::default() }
    }
}
