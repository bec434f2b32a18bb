//! The calls of Linux that the emulation is made of, each with its error number.

use super::Errno;
use std::{
    ffi::{c_int, c_void},
    fs::File,
    io::{Error, Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// The most events that one fetch brings.
const EVENTS: usize = 256;

pub(super) fn errno() -> Errno {
    Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(super) fn set_errno(error: Errno) {
    // SAFETY: It gives the address of this thread's `errno`, always.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: The place is this thread's own.
    unsafe { *place = error };
}

fn check(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn owned(result: c_int) -> Result<OwnedFd, Errno> {
    let fd = check(result)?;
    // SAFETY: The kernel just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn epoll() -> Result<OwnedFd, Errno> {
    // SAFETY: No memory is named.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// `EPOLL_CTL_ADD`, or `_MOD`, or `_DEL`: `interest` as `EPOLLIN` and so on, and the name that events will have.
pub(super) fn epoll_control(epoll: RawFd, what: c_int, fd: RawFd, interest: c_int, name: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events: interest as u32, u64: name };
    // SAFETY: `event` is read before the call returns.
    check(unsafe { libc::epoll_ctl(epoll, what, fd, &mut event) }).map(drop)
}

/// Names with events, at most `room`, without waiting.
pub(super) fn epoll_fetch(epoll: RawFd, room: usize) -> Vec<u64> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let room = room.min(EVENTS) as c_int;
    // SAFETY: There is room for EVENTS, and no more are asked for.
    let found = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, 0) };
    events.iter().take(usize::try_from(found).unwrap_or(0)).map(|event| event.u64).collect()
}

/// What of `events` holds for `fd` now, and of `POLLERR`, `POLLHUP`, `POLLNVAL`. Waits for it if there is a limit, or
/// for ever without one.
pub(super) fn poll(fd: RawFd, events: c_int, limit: Option<Duration>) -> Result<c_int, Errno> {
    let mut place = libc::pollfd { fd, events: events as i16, revents: 0 };
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: limit.as_secs().min(i32::MAX as u64) as _,
        tv_nsec: limit.subsec_nanos() as _,
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: One place and a limit, which live until the call returns; the signal mask stays as it is.
    check(unsafe { libc::ppoll(&mut place, 1, limit, std::ptr::null()) })?;
    Ok(place.revents.into())
}

pub(super) fn eventfd(value: u32) -> Result<File, Errno> {
    // SAFETY: No memory is named.
    owned(unsafe { libc::eventfd(value, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(File::from)
}

pub(super) fn timerfd(clock: libc::clockid_t) -> Result<File, Errno> {
    // SAFETY: No memory is named.
    owned(unsafe { libc::timerfd_create(clock, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) }).map(File::from)
}

pub(super) fn timerfd_set(timer: &File, flags: c_int, time: &libc::itimerspec) -> Result<(), Errno> {
    // SAFETY: `time` is read before the call returns, and no old value is asked for.
    check(unsafe { libc::timerfd_settime(timer.as_raw_fd(), flags, time, std::ptr::null_mut()) }).map(drop)
}

/// Takes the number that an eventfd or a timerfd holds, 0 if none.
pub(super) fn take(mut counter: &File) -> u64 {
    let mut bytes = [0; 8];
    counter.read(&mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
}

/// Adds 1 to an eventfd.
pub(super) fn ring(mut counter: &File) {
    // A full counter is as loud.
    let _ = counter.write(&1u64.to_ne_bytes());
}

pub(super) fn stat(fd: RawFd) -> Result<libc::stat, Errno> {
    let mut stat = std::mem::MaybeUninit::zeroed();
    // SAFETY: There is room for one.
    check(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })?;
    // SAFETY: The call filled it; and zeroes are a stat, too.
    Ok(unsafe { stat.assume_init() })
}

/// Where the next read or write of a file begins.
pub(super) fn offset(fd: RawFd) -> libc::off_t {
    // SAFETY: No memory is named.
    unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }
}

/// How much there is to read.
pub(super) fn unread(fd: RawFd) -> Result<isize, Errno> {
    let mut bytes: c_int = 0;
    // SAFETY: FIONREAD writes an int.
    check(unsafe { libc::ioctl(fd, libc::FIONREAD, &mut bytes) })?;
    Ok(bytes as isize)
}

pub(super) fn pipe_size(fd: RawFd) -> Result<isize, Errno> {
    // SAFETY: No memory is named.
    Ok(check(unsafe { libc::fcntl(fd, libc::F_GETPIPE_SZ) })? as isize)
}

/// A socket option that is a row of numbers; what the kernel leaves out is zero.
pub(super) fn option<const N: usize>(fd: RawFd, level: c_int, name: c_int) -> Result<[u32; N], Errno> {
    let mut values = [0u32; N];
    let mut length = size_of_val(&values) as libc::socklen_t;
    let place = values.as_mut_ptr().cast::<c_void>();
    // SAFETY: `place` has `length` bytes, and any bytes are numbers.
    check(unsafe { libc::getsockopt(fd, level, name, place, &mut length) })?;
    Ok(values)
}

/// Whether the own side of sending of a stream of AF_UNIX is shut: sending nothing then fails, and otherwise does
/// nothing.
pub(super) fn is_shut(stream: RawFd) -> bool {
    // SAFETY: Of a null pointer nothing is read, as the length is zero.
    let sent = unsafe { libc::send(stream, std::ptr::null(), 0, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    sent < 0 && errno() == libc::EPIPE
}
