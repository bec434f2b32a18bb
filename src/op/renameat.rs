//! `renameat2(2)`: `IORING_OP_RENAMEAT`, since Linux 5.11. The twin runs on the pool.

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
    /// Moves what is at a path to another; each is a NUL-terminated path, relative to its directory or to `AT_FDCWD`.
    /// `flags` are `RENAME_*`.
    ///
    /// *Result*: 0. *Since* Linux 5.11. *Cancel*: before a worker has it. *Twin*: `renameat(2)`, without flags.
    #[must_use]
    pub fn renameat(from: (RawFd, *const c_char), to: (RawFd, *const c_char), flags: u32) -> Sqe {
        let ((fd, from), (to_dir, to)) = (from, to);
        let (opcode, len) = (sys::IORING_OP_RENAMEAT as u8, to_dir as u32);
        Sqe { opcode, fd, addr: from as u64, off: to as u64, len, op_flags: flags, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (from, to) = (sqe.addr as *const c_char, sqe.off as *const c_char);
    // SAFETY: Lent: both paths stay until completion.
    ret(unsafe { libc::renameat(sqe.fd, from, sqe.len as RawFd, to) } as isize)
}

/// A move to another name, as an operation.
#[derive(Debug)]
pub struct RenameAt {
    from: CString,
    to: CString,
}

// SAFETY: Lent: two paths are named, and each `CString` keeps its bytes in place while it is moved.
unsafe impl Op for RenameAt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::renameat((libc::AT_FDCWD, self.from.as_ptr()), (libc::AT_FDCWD, self.to.as_ptr()), 0)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Gives what is at `from` the name `to`, in one step; a file that has that name loses it. Relative paths start at the
/// process's working directory.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `renameat(2)`: `CrossesDevices` between file
/// systems, `DirectoryNotEmpty` for a directory in the way.
///
/// # Cancellation
/// **Detached**: it may be moved all the same.
pub fn renameat(from: &Path, to: &Path) -> io::Result<Submit<RenameAt>> {
    Ok(submit(RenameAt { from: c_path(from)?, to: c_path(to)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, io::ErrorKind};

    #[crate::test]
    async fn a_file_takes_the_name_of_another() {
        let (from, to) = (temp_path(), temp_path());
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        renameat(&from, &to).unwrap().await.unwrap();
        assert_eq!((from.exists(), fs::read(&to).unwrap()), (false, b"new".to_vec()));
        assert_eq!(renameat(&from, &to).unwrap().await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_file(to).unwrap();
        let (good, bad) = (Path::new("a"), Path::new("a\0b"));
        for (from, to) in [(good, bad), (bad, good)] {
            assert_eq!(renameat(from, to).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
