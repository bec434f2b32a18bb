//! `fstatat(2)` in the form of `statx(2)`: for systems and kernels that have no other.

use crate::sys::{
    self, Statx, statx, statx_timestamp,
    unix::{self, ret},
};
use std::{ffi::c_char, mem::MaybeUninit, os::fd::RawFd};

/// Asks about the file at `path` below `dir`, or with [`unix::AT_EMPTY_PATH`] and an empty path about `dir` itself.
/// Everything that is known is told, whatever was asked for.
///
/// # Safety
/// `path` ends in a NUL byte, and `out` is writable (Lent).
pub(crate) unsafe fn statx(dir: RawFd, path: *const c_char, flags: i32, out: *mut Statx) -> i32 {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: Lent, by this function's contract: there is a first byte, if only the one that ends the path.
    let is_empty = || unsafe { *path } == 0;
    let res = if flags & unix::AT_EMPTY_PATH != 0 && is_empty() {
        // SAFETY: Kernel's word: there is room for what is told of a descriptor.
        unsafe { libc::fstat(dir, stat.as_mut_ptr()) }
    } else {
        // SAFETY: Lent, by this function's contract: the path is readable to its end; the room is ours.
        unsafe { libc::fstatat(dir, path, stat.as_mut_ptr(), flags & libc::AT_SYMLINK_NOFOLLOW) }
    };
    if res < 0 {
        return ret(res as isize);
    }
    // SAFETY: Plain bytes: integers, all zero before the kernel wrote over them.
    let stat = unsafe { stat.assume_init() };
    // SAFETY: Lent, by this function's contract: the room for the answer, of whatever alignment.
    unsafe { out.write_unaligned(Statx::from(&stat)) };
    0
}

impl From<&libc::stat> for Statx {
    fn from(stat: &libc::stat) -> Statx {
        let [read, modified, changed] = unix::nanoseconds(stat);
        let time = |seconds: libc::time_t, nanoseconds| statx_timestamp {
            tv_sec: seconds as _,
            tv_nsec: nanoseconds,
            ..statx_timestamp::default()
        };
        let birth = unix::birth(stat);
        let ((dev_major, dev_minor), (rdev_major, rdev_minor)) =
            (unix::device_parts(stat.st_dev as _), unix::device_parts(stat.st_rdev as _));
        Statx::from(statx {
            stx_mask: sys::STATX_BASIC_STATS | birth.map_or(0, |_| sys::STATX_BTIME),
            stx_blksize: stat.st_blksize as _,
            stx_nlink: stat.st_nlink as _,
            stx_uid: stat.st_uid,
            stx_gid: stat.st_gid,
            stx_mode: stat.st_mode as _,
            stx_ino: stat.st_ino as _,
            stx_size: stat.st_size as _,
            stx_blocks: stat.st_blocks as _,
            stx_atime: time(stat.st_atime, read),
            stx_mtime: time(stat.st_mtime, modified),
            stx_ctime: time(stat.st_ctime, changed),
            stx_btime: birth.map_or_else(statx_timestamp::default, |(seconds, nanoseconds)| time(seconds, nanoseconds)),
            stx_dev_major: dev_major,
            stx_dev_minor: dev_minor,
            stx_rdev_major: rdev_major,
            stx_rdev_minor: rdev_minor,
            ..statx::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        ffi::CString,
        fs::{self, Metadata},
        os::{
            fd::AsRawFd,
            unix::{ffi::OsStrExt, fs::MetadataExt},
        },
        path::Path,
    };

    fn ask(dir: RawFd, path: &Path, flags: i32) -> Result<Statx, i32> {
        let (path, mut out) = (CString::new(path.as_os_str().as_bytes()).unwrap(), Statx::default());
        // SAFETY: Lent: path and answer live until the call returns.
        match unsafe { statx(dir, path.as_ptr(), flags, &raw mut out) } {
            0 => Ok(out),
            error => Err(error),
        }
    }

    /// Red when a field stands at another's place.
    fn agree(ours: &Statx, std: &Metadata) {
        let mode = ours.file_type().unwrap() | ours.permissions().unwrap();
        let numbers = [ours.uid(), ours.gid(), Some(mode), ours.links(), Some(ours.block_size())];
        assert_eq!(
            numbers.map(Option::unwrap),
            [std.uid(), std.gid(), std.mode(), std.nlink() as u32, std.blksize() as u32]
        );
        let sizes = [ours.size(), ours.inode(), ours.blocks()].map(Option::unwrap);
        assert_eq!(sizes, [std.size(), std.ino(), std.blocks()]);
        let devices = [ours.device(), ours.represents()].map(|(major, minor)| unix::device_number(major, minor));
        assert_eq!(devices, [std.dev(), std.rdev()]);
        let times = [ours.accessed(), ours.modified(), ours.changed()].map(Option::unwrap);
        assert_eq!(times.map(|time| time.seconds), [std.atime(), std.mtime(), std.ctime()]);
        let nanoseconds = [std.atime_nsec(), std.mtime_nsec(), std.ctime_nsec()];
        assert_eq!(times.map(|time| i64::from(time.nanoseconds)), nanoseconds);
    }

    #[test]
    fn all_is_told_that_std_tells() {
        let cwd = libc::AT_FDCWD;
        for path in ["Cargo.toml", "/dev/null", "src"].map(Path::new) {
            agree(&ask(cwd, path, 0).unwrap(), &fs::metadata(path).unwrap());
        }
        let file = crate::testing::temp_file();
        let at = |seconds, nanoseconds| std::time::UNIX_EPOCH + std::time::Duration::new(seconds, nanoseconds);
        file.set_times(fs::FileTimes::new().set_accessed(at(1000, 1)).set_modified(at(2000, 2))).unwrap();
        agree(&ask(file.as_raw_fd(), Path::new(""), unix::AT_EMPTY_PATH).unwrap(), &file.metadata().unwrap());
        let link = crate::testing::temp_path();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        agree(&ask(cwd, &link, libc::AT_SYMLINK_NOFOLLOW).unwrap(), &fs::symlink_metadata(&link).unwrap());
        agree(&ask(cwd, &link, 0).unwrap(), &fs::metadata("/dev/null").unwrap());
        fs::remove_file(&link).unwrap();
        let (dir, empty) = (fs::File::open("src").unwrap(), Path::new(""));
        let (fd, at_fd) = (dir.as_raw_fd(), unix::AT_EMPTY_PATH);
        agree(&ask(fd, empty, at_fd).unwrap(), &dir.metadata().unwrap());
        agree(&ask(fd, Path::new("lib.rs"), at_fd).unwrap(), &fs::metadata("src/lib.rs").unwrap());
        assert_eq!(ask(cwd, empty, 0).unwrap_err(), -libc::ENOENT);
        assert_eq!(ask(cwd, &link, 0).unwrap_err(), -libc::ENOENT);
        assert_eq!(ask(-1, empty, at_fd).unwrap_err(), -libc::EBADF);
    }
}
