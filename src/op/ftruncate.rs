//! `ftruncate(2)`: `IORING_OP_FTRUNCATE`, since Linux 6.9. The twin runs on the pool.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix},
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// Makes a file `len` bytes long: cuts it, or adds zeros.
    ///
    /// *Result*: 0; `EINVAL` for what is no file or not open for writing, and for a length that no file has. *Since*
    /// Linux
    /// 6.9. *Cancel*: before a worker has it. *Twin*: `ftruncate(2)`.
    #[must_use]
    pub fn ftruncate(fd: impl Target, len: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_FTRUNCATE as u8, off: len, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    unix::ftruncate(sqe.fd, sqe.off)
}

/// The setting of a file's length, as an operation.
#[derive(Debug)]
pub struct Ftruncate {
    fd: Fd,
    len: u64,
}

// SAFETY: Lent: a number and a descriptor, which `fd` holds open; no memory is named.
unsafe impl Op for Ftruncate {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::ftruncate(self.fd.as_raw_fd(), self.len)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Makes a file `len` bytes long: cuts it, or adds zeros. Its position stays.
///
/// # Errors
/// Those of `ftruncate(2)`: `EINVAL` for what is no file, is not open to write, or for a length that no file has;
/// `FileTooLarge` for one that this file system does not have.
///
/// # Cancellation
/// **Detached**: the file may be cut all the same.
pub fn ftruncate(fd: &Fd, len: u64) -> Submit<Ftruncate> {
    submit(Ftruncate { fd: fd.clone(), len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_file;

    #[crate::test]
    async fn a_file_is_as_long_as_is_said() {
        let std = temp_file();
        let file = Fd::new(std.try_clone().unwrap().into());
        for len in [10, 3, (1 << 31) + 5, 0] {
            ftruncate(&file, len).await.unwrap();
            assert_eq!(std.metadata().unwrap().len(), len);
        }
        for len in [1 << 63, u64::MAX] {
            assert_eq!(ftruncate(&file, len).await.unwrap_err().raw_os_error(), Some(libc::EINVAL), "{len:#x}");
        }
        let (rx, _tx) = std::io::pipe().unwrap();
        let read_only = std::fs::File::open("Cargo.toml").unwrap();
        for refused in [Fd::new(rx.into()), Fd::new(read_only.into())] {
            ftruncate(&refused, 0).await.unwrap_err();
        }
        assert!(std::fs::metadata("Cargo.toml").unwrap().len() > 0);
    }
}
