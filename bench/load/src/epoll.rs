//! The few system calls that all loads share.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Turns the -1 of a libc call into the error it stands for.
pub fn check(res: i64) -> io::Result<usize> {
    usize::try_from(res).map_err(|_| io::Error::last_os_error())
}

/// `None` for what would block.
fn now(res: i64) -> io::Result<Option<usize>> {
    match check(res) {
        Ok(count) => Ok(Some(count)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

/// Sends what there is room for; `None` when there is none.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    // SAFETY: pointer and length are those of `bytes`.
    now(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) } as i64)
}

/// Receives what there is; `None` when there is nothing.
pub fn receive(fd: RawFd, inbox: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: pointer and length are those of `inbox`.
    now(unsafe { libc::recv(fd, inbox.as_mut_ptr().cast(), inbox.len(), 0) } as i64)
}

/// Sets an option that is a number.
pub fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: pointer and size are those of `value`, which lives through the call.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) }.into()).map(drop)
}

/// Descriptors and who waits for them.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())? as RawFd;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches both directions, edge-triggered, until the descriptor is closed.
    pub fn watch(&self, fd: &impl AsRawFd, index: usize) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: index as u64 };
        let (epoll, op, fd) = (self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd());
        // SAFETY: `event` outlives the call.
        check(unsafe { libc::epoll_ctl(epoll, op, fd, &raw mut event) }.into()).map(drop)
    }

    /// Waits for events, at most so long.
    pub fn wait(&self, events: &mut [libc::epoll_event], most: Duration) -> io::Result<usize> {
        let time = libc::timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() };
        let (at, room, mask) = (events.as_mut_ptr(), events.len(), ptr::null::<libc::sigset_t>());
        let (epoll, time) = (self.0.as_raw_fd(), &raw const time);
        // SAFETY: `events` and `time` outlive the call; `room` is the length of `events`.
        check(unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, at, room, time, mask, 0) })
    }
}

/// Room for the events of one wait.
pub fn events() -> [libc::epoll_event; 256] {
    [libc::epoll_event { events: 0, u64: 0 }; 256]
}
