//! `fsync(2)`: `IORING_OP_FSYNC`, since Linux 5.1. The twin runs on the pool.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix},
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// Writes a whole file to its device; with `data_only`, only what is needed to read it back. It is in no order with
    /// writes that have not completed, unless they are [linked](Sqe::link).
    ///
    /// *Result*: 0; `EINVAL` for what cannot be synced, as a pipe. *Since* Linux 5.1. *Cancel*: before a worker has it.
    /// *Twin*: `fsync(2)`, `fdatasync(2)`.
    #[must_use]
    pub fn fsync(fd: impl Target, data_only: bool) -> Sqe {
        let op_flags = if data_only { sys::IORING_FSYNC_DATASYNC } else { 0 };
        fd.aim(Sqe { opcode: sys::IORING_OP_FSYNC as u8, op_flags, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    unix::fsync(sqe.fd, sqe.op_flags & sys::IORING_FSYNC_DATASYNC != 0)
}

/// An fsync, as an operation.
#[derive(Debug)]
pub struct Fsync {
    fd: Fd,
    data_only: bool,
}

// SAFETY: Lent: flags and a descriptor, which `fd` holds open; the kernel reads its own pages.
unsafe impl Op for Fsync {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::fsync(self.fd.as_raw_fd(), self.data_only)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Writes a file and what is known about it to its device.
///
/// It covers writes that had completed before it was first polled, and no others: the ring promises no order.
///
/// # Errors
/// Those of `fsync(2)`: `EINVAL` for what cannot be synced, `EIO` when data are lost.
///
/// # Cancellation
/// **Detached**: the file is written all the same.
pub fn fsync(fd: &Fd) -> Submit<Fsync> {
    submit(Fsync { fd: fd.clone(), data_only: false })
}

/// Writes a file to its device, and of what is known about it only what is needed to read it back.
///
/// # Errors
/// Those of `fdatasync(2)`.
///
/// # Cancellation
/// **Detached**: the file is written all the same.
pub fn fdatasync(fd: &Fd) -> Submit<Fsync> {
    submit(Fsync { fd: fd.clone(), data_only: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn a_file_can_be_synced_and_a_pipe_cannot() {
        let file = Fd::new(crate::testing::temp_file().into());
        fsync(&file).await.unwrap();
        fdatasync(&file).await.unwrap();
        let (rx, _tx) = std::io::pipe().unwrap();
        assert_eq!(fsync(&Fd::new(rx.into())).await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
