//! `mkdirat(2)`: `IORING_OP_MKDIRAT`, since Linux 5.15. The twin runs on the pool.

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
    /// Makes a directory at the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`. `mode` are its
    /// permissions, before the process's mask.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: `mkdirat(2)`.
    #[must_use]
    pub fn mkdirat(dir: RawFd, path: *const c_char, mode: u32) -> Sqe {
        Sqe { opcode: sys::IORING_OP_MKDIRAT as u8, fd: dir, addr: path as u64, len: mode, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (path, mode) = (sqe.addr as *const c_char, sqe.len as libc::mode_t);
    // SAFETY: Lent: the path ends in a NUL byte and stays until completion.
    ret(unsafe { libc::mkdirat(sqe.fd, path, mode) } as isize)
}

/// The making of a directory, as an operation.
#[derive(Debug)]
pub struct MkdirAt {
    path: CString,
    mode: u32,
}

// SAFETY: Lent: the one thing that is named is the path, and a `CString` leaves its bytes where they are.
unsafe impl Op for MkdirAt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::mkdirat(libc::AT_FDCWD, self.path.as_ptr(), self.mode)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Makes a directory at `path`; a relative one starts at the process's working directory. `mode` are its permissions,
/// before the process's mask.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `mkdirat(2)`: `AlreadyExists` whatever it is.
///
/// # Cancellation
/// **Detached**: the directory may be made all the same.
pub fn mkdirat(path: &Path, mode: u32) -> io::Result<Submit<MkdirAt>> {
    Ok(submit(MkdirAt { path: c_path(path)?, mode }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::os::unix::fs::PermissionsExt;

    #[crate::test]
    async fn a_directory_is_made_once() {
        let path = temp_path();
        mkdirat(&path, 0o700).unwrap().await.unwrap();
        let made = std::fs::metadata(&path).unwrap();
        assert_eq!((made.is_dir(), made.permissions().mode() & 0o7777), (true, 0o700));
        let again = mkdirat(&path, 0o700).unwrap().await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_dir(path).unwrap();
        assert_eq!(mkdirat(Path::new("a\0b"), 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
