//! `tee(2)`: `IORING_OP_TEE`, since Linux 5.8.

use crate::{
    entry::{Sqe, Target},
    sys,
};

impl Sqe {
    /// Gives a second pipe up to `len` of the bytes that a first one holds, which keeps them. `flags` are `SPLICE_F_*`.
    ///
    /// *Result*: the number of bytes, 0 when nobody writes to the first any more; `EINVAL` for what is no pipe, and for
    /// one pipe to itself. Short of `len`, it breaks a chain. *Since* Linux 5.8. *Cancel*: before a worker has it; one
    /// that waits in the worker may end with `EINTR`. *Twin*: none.
    #[must_use]
    pub fn tee(from: impl Target, to: impl Target, len: u32, flags: u32) -> Sqe {
        let opcode = sys::IORING_OP_TEE as u8;
        to.aim(Sqe { opcode, len, op_flags: flags, ..Sqe::default() }).taking_from(from)
    }
}
