//! `io_uring_prep_msg_ring(3)`: `IORING_OP_MSG_RING`, since Linux 5.18. Gives another ring a completion, or a file.

use crate::{
    entry::{Cqe, FixedFile, Sqe, Target},
    sys,
};

/// Another ring is named by its descriptor. It needs to do nothing but to reap, whoever owns it, and however it was set
/// up; one that is not [enabled](crate::ring::Ring::enable) yet answers `EBADFD`.
impl Sqe {
    /// Gives `ring` a completion with this result and `user_data`.
    ///
    /// *Result*: 0; `EBADFD` for what is no ring or not enabled, `EOVERFLOW` or `ENOMEM` if it could not be stored.
    /// *Since* Linux 5.18. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn msg_ring(ring: impl Target, result: i32, user_data: u64) -> Sqe {
        let (addr, len) = (sys::IORING_MSG_DATA.into(), result as u32);
        ring.aim(Sqe { opcode: sys::IORING_OP_MSG_RING as u8, addr, len, off: user_data, ..Sqe::default() })
    }

    /// Gives `ring` this completion, flags and all: what they say is between the two rings.
    ///
    /// *Result*: as of [`msg_ring`](Sqe::msg_ring); `EINVAL` before. *Since* Linux 6.3. *Cancel*: nothing to cancel.
    /// *Twin*: none.
    #[must_use]
    pub fn msg_ring_cqe(ring: impl Target, cqe: Cqe) -> Sqe {
        let sqe = Sqe::msg_ring(ring, cqe.res, cqe.user_data);
        Sqe { file_index: cqe.flags.bits(), op_flags: sys::IORING_MSG_RING_FLAGS_PASS, ..sqe }
    }

    /// Copies the fixed file `from` of this ring to the table of `ring`: to a [place](Sqe::direct) or to
    /// [any](Sqe::direct_any), one of which has to be said. `ring` gets a completion with 0 or the place, and
    /// `user_data`.
    ///
    /// *Result*: 0 or the place; `EBADF` if there is no such file, `ENFILE` if no place is free, `EINVAL` for this ring
    /// itself. *Since* Linux 6.0. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn msg_ring_fd(ring: impl Target, from: FixedFile, user_data: u64) -> Sqe {
        let sqe = Sqe::msg_ring(ring, 0, user_data);
        Sqe { addr: sys::IORING_MSG_SEND_FD.into(), addr3: from.0.into(), ..sqe }
    }

    /// The same, but `ring` gets no completion.
    ///
    /// *Result*: as of [`msg_ring_fd`](Sqe::msg_ring_fd). *Since* Linux 6.0. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn msg_ring_fd_quietly(ring: impl Target, from: FixedFile) -> Sqe {
        Sqe { op_flags: sys::IORING_MSG_RING_CQE_SKIP, ..Sqe::msg_ring_fd(ring, from, 0) }
    }
}
