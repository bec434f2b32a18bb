//! A descriptor that cannot promise for one call that it will not block: Linux's inotify is one.
#![cfg(target_os = "linux")]

use annulus::{Fd, op};
use std::{
    ffi::CString,
    fs::{self, File},
    future::{Future, poll_fn},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// An inotify that tells of `events` at `path`.
fn inotify(flags: i32, path: &Path, events: u32) -> Fd {
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

fn temp(name: &str) -> PathBuf {
    let thread = std::thread::current().id();
    std::env::temp_dir().join(format!("annulus-inotify-{}-{thread:?}-{name}", std::process::id()))
}

/// Red when the twin of a descriptor that does not block goes to the pool: it is answered with EAGAIN there.
#[annulus::test]
async fn what_does_not_block_by_itself_is_waited_for() {
    let path = temp("waited");
    fs::write(&path, b"").unwrap();
    let fd = inotify(libc::IN_NONBLOCK, &path, libc::IN_OPEN);
    let mut reading = pin!(op::read(&fd, Vec::with_capacity(4096)));
    poll_fn(|cx| {
        assert!(reading.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    annulus::time::sleep(Duration::from_millis(5)).await;
    drop(File::open(&path).unwrap());
    let read = annulus::time::timeout(Duration::from_secs(2), reading).await;
    assert!(read.expect("it is not watched").0.unwrap() > 0);
    fs::remove_file(path).unwrap();
}

/// Red when such a descriptor is read in another way than by read(2).
#[annulus::test]
async fn what_cannot_promise_says_what_read_says() {
    for flags in [libc::IN_NONBLOCK, 0] {
        let dir = temp("dir");
        fs::create_dir_all(&dir).unwrap();
        let fd = inotify(flags, &dir, libc::IN_CREATE);
        fs::write(dir.join("x"), b"").unwrap();
        let (n, _) = op::read(&fd, Vec::with_capacity(256)).await;
        assert_eq!(n.unwrap(), 32, "one event with a name of up to 16 bytes");
        fs::remove_dir_all(dir).unwrap();
    }
}
