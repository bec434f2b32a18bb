//! `openat(2)`: `IORING_OP_OPENAT`, since Linux 5.6. The twin runs on the pool.

use crate::{
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, c_path, submit},
    sys::{self, unix::ret},
};
use std::{
    ffi::{CString, c_char},
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    path::Path,
};

impl Sqe {
    /// Opens the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`. `flags` are `O_*`;
    /// close-on-exec is added. `mode` is for a file that is created. Into the ring's table:
    /// [`openat_direct`](Sqe::openat_direct).
    ///
    /// *Result*: a descriptor. *Since* Linux 5.6. *Cancel*: nothing to cancel while the path is in the kernel's cache;
    /// otherwise, and with `O_CREAT`, `O_TRUNC` or `O_TMPFILE`, before a worker has it. *Twin*: `openat(2)`.
    #[must_use]
    pub fn openat(dir: RawFd, path: *const c_char, flags: i32, mode: u32) -> Sqe {
        let (addr, op_flags) = (path as u64, (flags | libc::O_CLOEXEC) as u32);
        Sqe { opcode: sys::IORING_OP_OPENAT as u8, fd: dir, addr, len: mode, op_flags, ..Sqe::default() }
    }
}

pub(super) static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (path, flags) = (sqe.addr as *const c_char, sqe.op_flags as i32);
    // SAFETY: Lent: the path stays until completion.
    ret(unsafe { libc::openat(sqe.fd, path, flags, sqe.len) } as isize)
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    /// `O_*`, as `open(2)` has them.
    pub flags: i32,
    /// The permissions of a file that is created, before the process's mask.
    pub mode: u32,
}

impl Default for OpenHow {
    /// For reading.
    fn default() -> OpenHow {
        OpenHow { flags: libc::O_RDONLY, mode: 0o666 }
    }
}

/// An open, as an operation.
#[derive(Debug)]
pub struct OpenAt {
    path: CString,
    how: OpenHow,
}

impl OpenAt {
    pub(super) fn new(path: &Path, how: OpenHow) -> io::Result<OpenAt> {
        Ok(OpenAt { path: c_path(path)?, how })
    }
}

// SAFETY: Lent: a `CString` keeps its bytes in place while it is moved.
unsafe impl Op for OpenAt {
    type Output = io::Result<OwnedFd>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::openat(libc::AT_FDCWD, self.path.as_ptr(), self.how.flags, self.how.mode)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        // SAFETY: Fresh descriptor: an open that succeeds gives one that nobody else has.
        cqe.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }
}

/// Opens the file at `path`; a relative one starts at the process's working directory. Children do not inherit it.
///
/// Of a FIFO without a peer, ask with `O_NONBLOCK`. Otherwise `open(2)` waits for the peer, and so does the twin, on a
/// thread of the pool; but the ring first tries without waiting, and then a reader needs no peer and a writer gets
/// `ENXIO`. It waits only when the path is not in the kernel's cache, or with `O_CREAT` or `O_TRUNC`.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `openat(2)`.
///
/// # Cancellation
/// **Detached**: a file may be created or cut all the same; a descriptor that was opened is closed.
pub fn openat(path: &Path, how: OpenHow) -> io::Result<Submit<OpenAt>> {
    OpenAt::new(path, how).map(submit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str) -> Submit<OpenAt> {
        openat(Path::new(path), OpenHow::default()).unwrap()
    }

    #[crate::test]
    async fn opens_what_is_there() {
        open("Cargo.toml").await.unwrap();
        assert_eq!(open("nowhere.toml").await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(openat(Path::new("a\0b"), OpenHow::default()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
