//! What BSDs do without: calls that promise not to block, and descriptors of processes.
//!
//! Nobody's descriptor is made non-blocking here: that would be seen by whoever shares the open file. So a call is made
//! when `poll(2)` says that it can be. Between the two another reader of the same pipe may take what was there, and
//! then the call blocks until there is more; a pipe with several readers wants a descriptor that does not block by
//! itself, which is left as it is and called at once.

use crate::sys::{
    Statx, by_stat,
    unix::{Kept, is_nonblocking, no_option, ret},
};
use memmap2::MmapRaw;
use socket2::SockRef;
use std::{
    ffi::c_char,
    io,
    os::fd::{OwnedFd, RawFd},
    time::Duration,
};

/// Packets have no marks here.
pub(crate) fn mark(_: &SockRef<'_>) -> io::Result<u32> {
    Err(no_option("SO_MARK"))
}

/// Likewise.
pub(crate) fn set_mark(_: &SockRef<'_>, _mark: u32) -> io::Result<()> {
    Err(no_option("SO_MARK"))
}

/// A socket is bound to no interface by its name here.
pub(crate) fn device(_: &SockRef<'_>) -> io::Result<Option<Vec<u8>>> {
    Err(no_option("SO_BINDTODEVICE"))
}

/// Likewise.
pub(crate) fn bind_device(_: &SockRef<'_>, _name: Option<&[u8]>) -> io::Result<()> {
    Err(no_option("SO_BINDTODEVICE"))
}

/// The system decides here.
pub(crate) fn user_timeout(_: &SockRef<'_>) -> io::Result<Option<Duration>> {
    Err(no_option("TCP_USER_TIMEOUT"))
}

/// Likewise.
pub(crate) fn set_user_timeout(_: &SockRef<'_>, _limit: Option<Duration>) -> io::Result<()> {
    Err(no_option("TCP_USER_TIMEOUT"))
}

/// As much as a pipe takes without blocking when it can be written to at all: `PIPE_BUF`, which is this everywhere.
const AT_ONCE: usize = 512;

/// `readv(2)` that answers `-EAGAIN` instead of waiting. Without room there is nothing to wait for.
///
/// # Safety
/// The `count` buffers at `iov` are writable (Lent).
pub(crate) unsafe fn readv_nowait(fd: RawFd, iov: *const libc::iovec, count: i32) -> i32 {
    // SAFETY: Lent: the array, by this function's contract.
    let room = unsafe { first(iov, count) }.is_some();
    match if room { ready(fd, libc::POLLIN) } else { Ok(()) } {
        // SAFETY: Lent, by this function's contract: the array and its buffers are there, and writable.
        Ok(()) => ret(unsafe { libc::readv(fd, iov, count) }),
        Err(again) => again,
    }
}

/// Whether reads go past the page cache: nobody has to know, as none is tried.
pub(crate) fn goes_past_the_cache(_: RawFd) -> bool {
    true
}

/// Which reads may be tried without waiting: none, as no call promises that here.
pub(crate) fn kept(_: RawFd) -> Kept {
    Kept::Nowhere
}

/// `preadv(2)` of what is in the page cache, which nobody tells here: always `-EOPNOTSUPP`.
///
/// # Safety
/// None is needed: it does nothing.
pub(crate) unsafe fn preadv_cached(_: RawFd, _: *const libc::iovec, _count: i32, _len: usize, _offset: u64) -> i32 {
    -libc::EOPNOTSUPP
}

/// `writev(2)` that answers `-EAGAIN` instead of waiting. Into what blocks by itself it writes little at once.
///
/// # Safety
/// The `count` buffers at `iov` are readable (Lent).
pub(crate) unsafe fn writev_nowait(fd: RawFd, iov: *const libc::iovec, count: i32) -> i32 {
    // SAFETY: Lent: the array again, which nobody changes before completion.
    match unsafe { first(iov, count) }.filter(|_| !is_nonblocking(fd)) {
        Some(first) => match ready(fd, libc::POLLOUT) {
            // SAFETY: Lent: the beginning of one of the buffers, which are readable.
            Ok(()) => ret(unsafe { libc::write(fd, first.iov_base, first.iov_len.min(AT_ONCE)) }),
            Err(again) => again,
        },
        // SAFETY: Lent, by this function's contract: the array and its bytes are there, and readable.
        None => ret(unsafe { libc::writev(fd, iov, count) }),
    }
}

/// The first buffer that is not empty.
///
/// # Safety
/// There are `count` buffers at `iov`.
unsafe fn first(iov: *const libc::iovec, count: i32) -> Option<libc::iovec> {
    let count = usize::try_from(count).ok().filter(|&count| count > 0)?;
    // SAFETY: Lent, by this function's contract: so many entries, which stay as they are while the call lasts.
    let all = unsafe { std::slice::from_raw_parts(iov, count) };
    all.iter().find(|iov| iov.iov_len > 0).copied()
}

/// Whether a call on `fd` will not block, or else what to answer instead.
fn ready(fd: RawFd, events: i16) -> Result<(), i32> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: Kernel's word: `ask` is one live, writable entry.
    match ret(unsafe { libc::poll(&mut ask, 1, 0) } as isize) {
        0 if !is_nonblocking(fd) => Err(-libc::EAGAIN),
        error if error < 0 => Err(error),
        _ => Ok(()),
    }
}

// No descriptor stands for a process here, and no operation waits for one: whoever asks is told so, and goes by
// SIGCHLD.

/// There are none.
pub(crate) fn pidfd_open(_pid: u32) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// There are none to send to.
pub(crate) fn pidfd_signal(_pidfd: RawFd, _signal: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// What an entry says that nobody will carry out.
pub(crate) const WAIT_PIDFD: u32 = 0;
/// Likewise.
pub(crate) const WAIT_PEEK: u32 = 0;

/// There are none to wait for.
///
/// # Safety
/// None; elsewhere it writes to `info`.
pub(crate) unsafe fn wait_pidfd(_pidfd: RawFd, _info: *mut libc::siginfo_t, _options: u32) -> i32 {
    -libc::ENOSYS
}

/// What nobody has written.
pub(crate) fn wait_status(_info: &libc::siginfo_t) -> i32 {
    0
}

// Bytes pass from one descriptor to another by way of the process: whoever would have a pipe for that is told so.

/// A flag for nobody.
pub(crate) const SPLICE_F_NONBLOCK: u32 = 0;

/// There is no such call.
pub(crate) fn splice(_from: (RawFd, i64), _to: (RawFd, i64), _len: usize, _flags: u32) -> i32 {
    -libc::ENOSYS
}

/// There is no use for one.
pub(crate) fn roomy_pipe(_room: i32) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Says to [`statx`] that an empty path means the descriptor itself. The number is Linux's; no system hears of it.
pub(crate) const AT_EMPTY_PATH: i32 = 0x1000;

/// What `fstatat(2)` knows.
///
/// # Safety
/// `path` ends in a NUL byte, and `out` is writable (Lent).
pub(crate) unsafe fn statx(dir: RawFd, path: *const c_char, flags: i32, _mask: u32, out: *mut Statx) -> i32 {
    // SAFETY: Lent, by this function's contract, which is that one's.
    unsafe { by_stat::statx(dir, path, flags, out) }
}

/// `ftruncate(2)`; `EINVAL` for a length that no file has.
pub(crate) fn ftruncate(fd: RawFd, len: u64) -> i32 {
    let Ok(len) = libc::off_t::try_from(len) else { return -libc::EINVAL };
    // SAFETY: Plain call: a descriptor and a length, and no memory.
    ret(unsafe { libc::ftruncate(fd, len) } as isize)
}

/// There is no common way to ask or to say where a thread runs.
pub(crate) fn affinity() -> io::Result<Option<Vec<usize>>> {
    Ok(None)
}

/// A shard never asks for it, where no CPU is told.
pub(crate) fn pin(_cpus: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Memory of huge pages: not to be had.
pub(crate) fn map_huge(_len: usize) -> io::Result<MmapRaw> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a multiple of would be asked for.
pub(crate) const HUGE: usize = 2 << 20;

/// Asks for huge pages: nobody hears that.
pub(crate) fn prefer_huge(_map: &MmapRaw) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nothing is pinned here, so a child shares the pages like any others.
///
/// # Errors
/// `Unsupported`.
pub(crate) fn wipe_on_fork(_map: &MmapRaw) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::unix::{check, set_nonblocking};
    use std::{
        os::fd::{AsRawFd, FromRawFd, OwnedFd},
        sync::mpsc,
        thread,
        time::Duration,
    };

    fn pipe() -> [OwnedFd; 2] {
        let mut ends = [0; 2];
        // SAFETY: Kernel's word: there is room for two numbers.
        check(unsafe { libc::pipe(ends.as_mut_ptr()) }).unwrap();
        // SAFETY: Fresh descriptor: each end was just made.
        ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn read(fd: &OwnedFd, room: &mut [u8]) -> i32 {
        let mut iov = [&mut [], room]
            .map(|part: &mut [u8]| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() });
        // SAFETY: Lent: both buffers and the array live until the call returns.
        unsafe { readv_nowait(fd.as_raw_fd(), iov.as_mut_ptr(), 2) }
    }

    fn write(fd: &OwnedFd, bytes: &[u8]) -> i32 {
        let mut iov = [&[], bytes]
            .map(|part: &[u8]| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
        // SAFETY: Lent: the bytes and the array live until the call returns.
        unsafe { writev_nowait(fd.as_raw_fd(), iov.as_mut_ptr(), 2) }
    }

    /// Calls on a thread of its own, so that one that blocks is a failure and no standstill.
    fn soon<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(call()));
        told.recv_timeout(Duration::from_secs(10)).expect("the call blocks")
    }

    #[test]
    fn an_empty_pipe_is_not_waited_for() {
        let [reader, writer] = pipe();
        let (reader, empty, nothing) = soon(move || {
            let (empty, nothing) = (read(&reader, &mut [0; 4]), read(&reader, &mut []));
            (reader, empty, nothing)
        });
        assert_eq!((empty, nothing), (-libc::EAGAIN, 0));
        assert_eq!(write(&writer, b"abc"), 3);
        assert_eq!(read(&reader, &mut [0; 2]), 2);
        drop(writer);
        assert_eq!((read(&reader, &mut [0; 2]), read(&reader, &mut [0; 2])), (1, 0));
    }

    /// Red when more is written than what a pipe must have room for.
    #[test]
    fn a_pipe_is_filled_without_blocking() {
        let [reader, writer] = pipe();
        let (writer, last) = soon(move || {
            let results = (0..100_000).map(|_| write(&writer, &[7; 100_000]));
            let last = results.take_while(|&n| n > 0).inspect(|&n| assert!(n <= 512)).count();
            (writer, last)
        });
        assert!(last > 1, "{last}");
        assert_eq!((write(&writer, &[7]), write(&writer, &[])), (-libc::EAGAIN, 0));
        set_nonblocking(writer.as_raw_fd(), true).unwrap();
        while read(&reader, &mut [0; 10_000]) > 0 {}
        assert_eq!(write(&writer, &[7; 10_000]), 10_000, "what does not block by itself takes all");
    }
}
