//! Descriptors that cannot promise for one call that they will not block: Linux's inotify is one, and so are terminals
//! and what is written to an eventfd.
#![cfg(target_os = "linux")]

#[path = "outside/inotify.rs"]
mod inotify;

use annulus::{Fd, buf::VecBuf, op};
use inotify::inotify;
use std::{
    fs::{self, File},
    future::{Future, poll_fn},
    os::fd::{FromRawFd, OwnedFd},
    path::PathBuf,
    pin::pin,
    task::Poll,
    time::Duration,
};

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

/// Red when a twin asks for a place in what has none.
#[annulus::test]
async fn a_terminal_and_a_counter_have_no_places() {
    // SAFETY: Plain call: it makes a descriptor.
    let counter = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(counter >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: Fresh descriptor: the kernel just made it.
    let counter = Fd::new(unsafe { OwnedFd::from_raw_fd(counter) });
    assert_eq!(op::write_at(&counter, 7u64.to_ne_bytes().to_vec(), 5).await.0.unwrap(), 8);
    let more = VecBuf::from(vec![2u64.to_ne_bytes().to_vec()]);
    assert_eq!(op::writev_at(&counter, more, 5).await.0.unwrap(), 8);
    assert_eq!(op::read_at(&counter, Vec::with_capacity(8), 5).await.1, 9u64.to_ne_bytes());
    // SAFETY: Plain call: it makes a descriptor.
    let terminal = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(terminal >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: Fresh descriptor: the kernel just made it.
    let terminal = Fd::new(unsafe { OwnedFd::from_raw_fd(terminal) });
    assert_eq!(op::write_at(&terminal, b"a\n".to_vec(), 5).await.0.unwrap(), 2);
    // What was typed is shown.
    assert_eq!(op::read_at(&terminal, Vec::with_capacity(8), 5).await.1, b"a\r\n");
}
