//! `unlinkat(2)`: `IORING_OP_UNLINKAT`, since Linux 5.11. The twin runs on the pool.

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
    /// Removes what is at the NUL-terminated `path`, relative to the directory `dir` or to `AT_FDCWD`. With
    /// `AT_REMOVEDIR` as `flags` an empty directory, with 0 anything else.
    ///
    /// *Result*: 0. *Since* Linux 5.11. *Cancel*: before a worker has it. *Twin*: `unlinkat(2)`.
    #[must_use]
    pub fn unlinkat(dir: RawFd, path: *const c_char, flags: i32) -> Sqe {
        let (opcode, op_flags) = (sys::IORING_OP_UNLINKAT as u8, flags as u32);
        Sqe { opcode, fd: dir, addr: path as u64, op_flags, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (path, flags) = (sqe.addr as *const c_char, sqe.op_flags as i32);
    // SAFETY: Lent: the path stays until completion, and is read alone.
    ret(unsafe { libc::unlinkat(sqe.fd, path, flags) } as isize)
}

/// A removal, as an operation.
#[derive(Debug)]
pub struct UnlinkAt {
    path: CString,
    flags: i32,
}

// SAFETY: Lent: nothing is named but the path, whose bytes a `CString` keeps in place when it is moved.
unsafe impl Op for UnlinkAt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::unlinkat(libc::AT_FDCWD, self.path.as_ptr(), self.flags)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Removes the name `path` of a file, and the file when nobody has it open and it has no other; a relative path starts
/// at the process's working directory. Of a symbolic link, the link.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `unlinkat(2)`: for a directory `EISDIR` on
/// Linux and `EPERM` elsewhere.
///
/// # Cancellation
/// **Detached**: the name may be removed all the same.
pub fn unlinkat(path: &Path) -> io::Result<Submit<UnlinkAt>> {
    Ok(submit(UnlinkAt { path: c_path(path)?, flags: 0 }))
}

/// Removes the empty directory at `path`.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `rmdir(2)`: `DirectoryNotEmpty`,
/// `NotADirectory`.
///
/// # Cancellation
/// **Detached**: the directory may be removed all the same.
pub fn rmdir(path: &Path) -> io::Result<Submit<UnlinkAt>> {
    Ok(submit(UnlinkAt { path: c_path(path)?, flags: libc::AT_REMOVEDIR }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, io::ErrorKind};

    #[crate::test]
    async fn files_and_directories_are_removed_each_by_its_own() {
        let (dir, file) = (temp_path(), temp_path());
        fs::create_dir(&dir).unwrap();
        fs::write(&file, "x").unwrap();
        assert_eq!(rmdir(&file).unwrap().await.unwrap_err().kind(), ErrorKind::NotADirectory);
        unlinkat(&dir).unwrap().await.unwrap_err();
        assert!(dir.exists() && file.exists());
        fs::write(dir.join("inside"), "x").unwrap();
        assert_eq!(rmdir(&dir).unwrap().await.unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        unlinkat(&dir.join("inside")).unwrap().await.unwrap();
        rmdir(&dir).unwrap().await.unwrap();
        unlinkat(&file).unwrap().await.unwrap();
        assert!(!dir.exists() && !file.exists());
        assert_eq!(unlinkat(&file).unwrap().await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(unlinkat(Path::new("a\0b")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
