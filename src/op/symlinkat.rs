//! `symlinkat(2)`: `IORING_OP_SYMLINKAT`, since Linux 5.15. The twin runs on the pool.

use crate::{
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, c_path, submit},
    sys::{self, unix::ret},
};
use std::{
    ffi::{CString, c_char},
    io,
    os::fd::RawFd,
    path::Path,
};

impl Sqe {
    /// Makes a symbolic link at `path`, relative to the directory `dir` or to `AT_FDCWD`, that leads to `target`. Both
    /// are NUL-terminated; nobody looks whether there is a `target`.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: `symlinkat(2)`.
    #[must_use]
    pub fn symlinkat(target: *const c_char, dir: RawFd, path: *const c_char) -> Sqe {
        let opcode = sys::IORING_OP_SYMLINKAT as u8;
        Sqe { opcode, fd: dir, addr: target as u64, off: path as u64, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (target, path) = (sqe.addr as *const c_char, sqe.off as *const c_char);
    // SAFETY: Lent: target and path stay until completion.
    ret(unsafe { libc::symlinkat(target, sqe.fd, path) } as isize)
}

/// The making of a symbolic link, as an operation.
#[derive(Debug)]
pub struct SymlinkAt {
    target: CString,
    path: CString,
}

// SAFETY: Lent: the bytes of both `CString`s lie outside of the operation, so it may be moved.
unsafe impl Op for SymlinkAt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::symlinkat(self.target.as_ptr(), libc::AT_FDCWD, self.path.as_ptr())
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Makes a symbolic link at `path` that leads to `target`, which need not be there. A relative `target` starts where
/// the link is, a relative `path` at the process's working directory.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `symlinkat(2)`: `AlreadyExists`, `NotFound` for
/// an empty one.
///
/// # Cancellation
/// **Detached**: the link may be made all the same.
pub fn symlinkat(target: &Path, path: &Path) -> io::Result<Submit<SymlinkAt>> {
    Ok(submit(SymlinkAt { target: c_path(target)?, path: c_path(path)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, io::ErrorKind};

    /// Red when target and path are exchanged.
    #[crate::test]
    async fn a_link_leads_to_its_target() {
        let (target, path) = (Path::new("no/such/file"), temp_path());
        symlinkat(target, &path).unwrap().await.unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), target);
        assert_eq!(symlinkat(target, &path).unwrap().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&path).unwrap();
        let bad = Path::new("a\0b");
        for (target, path) in [(bad, target), (target, bad)] {
            assert_eq!(symlinkat(target, path).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
