//! `nop`: `IORING_OP_NOP`, since Linux 5.1. Does nothing and completes: the cost of a round trip.

use crate::{
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, submit},
    sys,
};
use std::io;

impl Sqe {
    /// Does nothing and completes with 0.
    #[must_use]
    pub fn nop() -> Sqe {
        Sqe { opcode: sys::IORING_OP_NOP as u8, fd: -1, ..Sqe::default() }
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
