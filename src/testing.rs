//! What the tests in this crate have in common.

use crate::driver::{Driver, Fd};
use std::{
    fs::{self, File},
    future::{Future, poll_fn},
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::Pin,
    process,
    sync::atomic::{AtomicU32, Ordering},
    task::Poll,
    time::{Duration, SystemTime},
};

/// A path that nobody else uses, and nobody has used: the number of a process comes again, and a failed test leaves its
/// files.
pub(crate) fn temp_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
    std::env::temp_dir().join(format!("annulus-test-{}-{now}-{n}", process::id()))
}

/// A new file to read and write, which has no name any more.
pub(crate) fn temp_file() -> File {
    let path = temp_path();
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}

/// Two connected sockets: ours, and one of std.
pub(crate) fn socket_pair() -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Fd::new(a.into()), b)
}

/// Two ends of a TCP connection: ours, and one of std.
pub(crate) fn tcp_pair() -> (Fd, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let b = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    b.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (Fd::new(OwnedFd::from(listener.accept().unwrap().0)), b)
}

/// A listening socket, and where it listens.
pub(crate) fn listener() -> (Fd, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    (Fd::new(OwnedFd::from(listener)), addr)
}

/// Waits until nobody has `fd`'s other end: a child that another test makes has a copy until it runs its program.
pub(crate) fn await_gone(fd: &impl AsRawFd) {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: Plain call: one entry, which lives through it.
    let heard = unsafe { libc::poll(&mut asked, 1, 30_000) };
    assert_eq!(heard, 1, "somebody keeps the other end");
}

/// Runs `code` in a forked child, which has no other threads and no descriptors, and tells whether it came to its end
/// in time.
pub(crate) fn in_child(code: impl FnOnce()) -> bool {
    // SAFETY: Plain call: the child does what it is asked for and leaves.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    if child == 0 {
        // SAFETY: Plain call: the child ends itself when it hangs.
        unsafe { libc::alarm(20) };
        // Other tests wait for the ends of theirs.
        // SAFETY: Plain call: nothing but the copies of the child, which hands none of them back.
        (3..1024).for_each(|fd| _ = unsafe { libc::close(fd) });
        let done = catch_unwind(AssertUnwindSafe(code)).is_ok();
        // SAFETY: Plain call: nothing of the parent's is touched on the way out.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    let mut status = -1;
    // Signals interrupt it.
    // SAFETY: Plain call: it writes one number, which lives through it.
    while unsafe { libc::waitpid(child, &mut status, 0) } != child {
        assert_eq!(std::io::Error::last_os_error().kind(), std::io::ErrorKind::Interrupted);
    }
    status == 0
}

/// Polls once, and leaves it at that.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        let _ = Pin::new(&mut *future).poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Lets the driver have a turn. One sleep may be over before it begins, where this thread does not get its time.
pub(crate) async fn turn() {
    let turns = || Driver::current().unwrap().counters().turns;
    let before = turns();
    for _ in 0..1000 {
        crate::time::sleep(Duration::from_millis(1)).await;
        if turns() > before {
            return;
        }
    }
    panic!("the driver has no turn");
}

/// Waits until the driver has nothing in flight but what is the caller's.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        if Driver::current().unwrap().counters().slots == 0 {
            return;
        }
        crate::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the driver does not come to rest: {:?}", Driver::current().unwrap().counters());
}
