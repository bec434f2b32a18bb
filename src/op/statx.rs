//! `statx(2)`: `IORING_OP_STATX`, since Linux 5.6. The twin runs on the pool.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, c_path, submit},
    sys::{self, Statx, unix},
};
use std::{
    ffi::{CString, c_char},
    io,
    os::fd::{AsRawFd, RawFd},
    path::Path,
};

impl Sqe {
    /// Tells what is known about the file at the NUL-terminated `path`, relative to the directory `dir` or to
    /// `AT_FDCWD`. With `AT_EMPTY_PATH` among `flags` (`AT_*`) and an empty path, about `dir` itself. `mask`
    /// (`STATX_*`) says what is asked for. `out` has to be writable until the completion; its
    /// [`mask`](Statx::mask) says what it holds.
    ///
    /// *Result*: 0. *Since* Linux 5.6. *Cancel*: before a worker has it. *Twin*: `statx(2)`, or where there is none,
    /// `fstatat(2)`.
    #[must_use]
    pub fn statx(dir: RawFd, path: *const c_char, flags: i32, mask: u32, out: *mut Statx) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_STATX as u8, flags as u32);
        Sqe { opcode, fd: dir, addr: path as u64, len: mask, off: out as u64, op_flags, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (path, flags, out) = (sqe.addr as *const c_char, sqe.op_flags as i32, sqe.off as *mut Statx);
    // SAFETY: Lent: the path and the room for the answer stay until completion.
    unsafe { unix::statx(sqe.fd, path, flags, sqe.len, out) }
}

/// What is asked of a file: everything that has a place in the answer of every kernel, and when it was made.
const MASK: u32 = sys::STATX_BASIC_STATS | sys::STATX_BTIME;

/// A question about a file, as an operation.
#[derive(Debug)]
pub struct Stat {
    fd: Option<Fd>,
    path: CString,
    flags: i32,
    out: Box<Statx>,
}

// SAFETY: Lent: path and answer each lie in memory of their own, which stays when the operation is moved, and nobody
// looks at the answer before the completion. `fd` holds the descriptor open.
unsafe impl Op for Stat {
    type Output = io::Result<Statx>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        self.fd.as_ref()
    }

    fn encode(&mut self) -> Sqe {
        let dir = self.fd.as_ref().map_or(libc::AT_FDCWD, Fd::as_raw_fd);
        Sqe::statx(dir, self.path.as_ptr(), self.flags, MASK, &raw mut *self.out)
    }

    fn finish(self, cqe: Cqe) -> io::Result<Statx> {
        cqe.result().map(|_| *self.out)
    }
}

/// Tells what is known about the file at `path`; a relative one starts at the process's working directory. With
/// `follow`, a symbolic link is followed; without, it is the link that is told about.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `statx(2)`: `NotFound`, `PermissionDenied`.
///
/// # Cancellation
/// **Clean**: nothing is changed.
pub fn statx(path: &Path, follow: bool) -> io::Result<Submit<Stat>> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    Ok(submit(Stat { fd: None, path: c_path(path)?, flags, out: Box::default() }))
}

/// Tells what is known about an open file.
///
/// # Errors
/// Those of `statx(2)`; `EBADF` for a [direct](Fd::is_direct) descriptor, whose kernel has no such question.
///
/// # Cancellation
/// **Clean**: nothing is changed.
pub fn fstatx(fd: &Fd) -> Submit<Stat> {
    let (fd, flags) = (Some(fd.clone()), unix::AT_EMPTY_PATH);
    submit(Stat { fd, path: CString::default(), flags, out: Box::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, os::unix::fs::MetadataExt};

    #[crate::test]
    async fn what_is_told_is_what_std_says() {
        let std = fs::metadata("Cargo.toml").unwrap();
        let by_path = statx(Path::new("Cargo.toml"), true).unwrap().await.unwrap();
        let by_fd = fstatx(&Fd::new(fs::File::open("Cargo.toml").unwrap().into())).await.unwrap();
        for told in [by_path, by_fd] {
            assert_eq!((told.size(), told.inode()), (Some(std.len()), Some(std.ino())));
            assert_eq!(told.modified().unwrap().to_system_time(), std.modified().ok());
        }
        assert_eq!(statx(Path::new(""), true).unwrap().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(statx(Path::new("a\0b"), true).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[crate::test]
    async fn a_link_is_followed_when_asked() {
        let link = temp_path();
        std::os::unix::fs::symlink(fs::canonicalize("Cargo.toml").unwrap(), &link).unwrap();
        let kind = async |follow| statx(&link, follow).unwrap().await.unwrap().file_type();
        let (followed, itself) = (kind(true).await, kind(false).await);
        fs::remove_file(&link).unwrap();
        assert_eq!((followed, itself), (Some(0o100_000), Some(0o120_000)));
    }

    #[crate::test]
    async fn streams_are_told_about_too() {
        let (a, _b) = crate::testing::socket_pair();
        assert_eq!(fstatx(&a).await.unwrap().file_type(), Some(0o140_000));
    }
}
