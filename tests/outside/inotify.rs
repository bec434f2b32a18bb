//! A descriptor that tells what happens to files, and whose reads cannot promise not to block.

use annulus::Fd;
use std::{
    ffi::CString,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// An inotify that tells of `events` at `path`.
pub(crate) fn inotify(flags: i32, path: &Path, events: u32) -> Fd {
    // SAFETY: Plain call: flags and nothing else.
    let raw = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | flags) };
    assert!(raw >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: Fresh descriptor: the kernel just made it.
    let fd = Fd::new(unsafe { OwnedFd::from_raw_fd(raw) });
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: Lent: the name is there until the call returns.
    assert!(unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), events) } >= 0);
    fd
}
