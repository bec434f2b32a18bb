//! `linkat(2)`: `IORING_OP_LINKAT`, since Linux 5.15. The twin runs on the pool.

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
    /// Gives the file at a path another one; each is a NUL-terminated path, relative to its directory or to `AT_FDCWD`.
    /// `flags` are `AT_SYMLINK_FOLLOW` and `AT_EMPTY_PATH`.
    ///
    /// *Result*: 0. *Since* Linux 5.15. *Cancel*: before a worker has it. *Twin*: `linkat(2)`.
    #[must_use]
    pub fn linkat(from: (RawFd, *const c_char), to: (RawFd, *const c_char), flags: i32) -> Sqe {
        let ((fd, from), (to_dir, to)) = (from, to);
        let (opcode, len, op_flags) = (sys::IORING_OP_LINKAT as u8, to_dir as u32, flags as u32);
        Sqe { opcode, fd, addr: from as u64, off: to as u64, len, op_flags, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (from, to) = (sqe.addr as *const c_char, sqe.off as *const c_char);
    // SAFETY: Lent: the two paths stay until completion, and nobody changes them.
    ret(unsafe { libc::linkat(sqe.fd, from, sqe.len as RawFd, to, sqe.op_flags as i32) } as isize)
}

/// The giving of another name, as an operation.
#[derive(Debug)]
pub struct LinkAt {
    from: CString,
    to: CString,
}

// SAFETY: Lent: both names are `CString`s, whose bytes stay where they are when the operation is moved.
unsafe impl Op for LinkAt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::linkat((libc::AT_FDCWD, self.from.as_ptr()), (libc::AT_FDCWD, self.to.as_ptr()), 0)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Gives the file at `from` the name `to` as well (a hard link). A symbolic link at `from` gets another name itself.
/// Relative paths start at the process's working directory.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `linkat(2)`: `AlreadyExists`, `EPERM` for a
/// directory, `CrossesDevices` between file systems.
///
/// # Cancellation
/// **Detached**: the name may be given all the same.
pub fn linkat(from: &Path, to: &Path) -> io::Result<Submit<LinkAt>> {
    Ok(submit(LinkAt { from: c_path(from)?, to: c_path(to)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, io::ErrorKind, os::unix::fs::MetadataExt};

    #[crate::test]
    async fn one_file_has_two_names() {
        let (one, two) = (temp_path(), temp_path());
        fs::write(&one, "x").unwrap();
        linkat(&one, &two).unwrap().await.unwrap();
        let [a, b] = [&one, &two].map(|path| fs::metadata(path).unwrap());
        assert_eq!((a.ino(), a.nlink()), (b.ino(), 2));
        assert_eq!(linkat(&one, &two).unwrap().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&one).unwrap();
        assert_eq!(linkat(&one, &two).unwrap().await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_file(two).unwrap();
        let bad = Path::new("a\0b");
        assert_eq!(linkat(bad, Path::new("a")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
