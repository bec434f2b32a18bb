//! `nop`: `IORING_OP_NOP`, since Linux 5.1. Does nothing and completes: the cost of a round trip.

use crate::{
    entry::{BufIndex, Cqe, Sqe, SqeFlags, Target, Twin},
    op::{Op, Submit, submit},
    sys,
};
use std::io;

/// Beside [`Sqe::nop`], those that try something on the way are all nothing, too: for tests and measurements. Before
/// Linux 6.10 their flags are ignored, or refused (`EINVAL`).
impl Sqe {
    /// Does nothing.
    ///
    /// *Result*: 0. *Since* Linux 5.1. *Cancel*: nothing to cancel. *Twin*: none is needed.
    #[must_use]
    pub fn nop() -> Sqe {
        Sqe { opcode: sys::IORING_OP_NOP as u8, fd: -1, ..Sqe::default() }
    }

    /// Does nothing and completes with `res`.
    ///
    /// *Result*: `res`; a negative one is an error, which breaks a chain. *Since* Linux 6.10. *Cancel*: nothing to
    /// cancel. *Twin*: none.
    #[must_use]
    pub fn nop_result(res: i32) -> Sqe {
        Sqe { len: res as u32, ..Sqe::nop() }.nop_flags(sys::IORING_NOP_INJECT_RESULT)
    }

    /// Looks the file up that other entries would act on, and does nothing with it.
    ///
    /// *Result*: 0; `EBADF` if there is none. *Since* Linux 6.13. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn nop_file(fd: impl Target) -> Sqe {
        // A place is said by a flag of its own: with that of other entries, kernels until 7.1 never let go of the file.
        let Sqe { fd, flags, .. } = fd.aim(Sqe::nop());
        let place = if flags.contains(SqeFlags::FIXED_FILE) { sys::IORING_NOP_FIXED_FILE } else { 0 };
        Sqe { fd, ..Sqe::nop() }.nop_flags(sys::IORING_NOP_FILE | place)
    }

    /// Looks the ring's registered buffer `index` up, and does nothing with it.
    ///
    /// *Result*: 0; `EFAULT` if there is none. *Since* Linux 6.13. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn nop_buffer(index: BufIndex) -> Sqe {
        Sqe { buf_index: index.0, ..Sqe::nop() }.nop_flags(sys::IORING_NOP_FIXED_BUFFER)
    }

    /// Does nothing, and completes as what had to wait does: by work that is left for the thread.
    ///
    /// *Result*: 0. *Since* Linux 6.16. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn nop_deferred() -> Sqe {
        Sqe::nop().nop_flags(sys::IORING_NOP_TW)
    }

    /// Does nothing, and its completion is one of 32 bytes, with these two words.
    ///
    /// *Result*: 0; `EINVAL` on a ring without `CQE32` and `CQE_MIXED`. *Since* Linux 6.18. *Cancel*: nothing to
    /// cancel. *Twin*: none.
    #[must_use]
    pub fn nop_big(extra: [u64; 2]) -> Sqe {
        Sqe { off: extra[0], addr: extra[1], ..Sqe::nop() }.nop_flags(sys::IORING_NOP_CQE32)
    }

    /// With these flags (`IORING_NOP_*`) beside its own.
    fn nop_flags(self, flags: u32) -> Sqe {
        Sqe { op_flags: self.op_flags | flags, ..self }
    }
}

static TWIN: Twin = Twin::here(|_, _| 0);

/// Nothing, as an operation.
#[derive(Debug)]
pub struct Nop(());

// SAFETY: Lent: the entry names nothing.
unsafe impl Op for Nop {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::nop()
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Does nothing: goes to the driver and comes back.
///
/// # Errors
/// `ECANCELED` at a driver that is being torn down.
///
/// # Cancellation
/// **Clean**: there is nothing to lose.
pub fn nop() -> Submit<Nop> {
    submit(Nop(()))
}

#[cfg(test)]
mod tests {
    #[crate::test]
    async fn nothing_succeeds() {
        for _ in 0..3 {
            super::nop().await.unwrap();
        }
    }
}
