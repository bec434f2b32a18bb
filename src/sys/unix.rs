//! What differs between Unixes: the only file below the gates where an operating system is named.

use crate::sys::sockaddr::SockAddr;
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// The error number of the last call, and never 0.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// `-1` and `errno`, folded into the kernel's convention: a result or `-errno`.
pub(crate) fn ret(n: isize) -> i32 {
    if n < 0 { -errno() } else { i32::try_from(n).unwrap_or(i32::MAX) }
}

/// A time has passed: what a timeout of the kernel's ring answers.
pub(crate) const ETIME: i32 = libc::ETIME;

/// What a descriptor is, as far as reading and writing it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A socket: waits for readiness, and each call may be told not to block.
    Socket,
    /// A pipe, a FIFO or one of the kernel's anonymous files (eventfd, timerfd, …): waits for readiness.
    Stream,
    /// A file, a directory, a block or character device: calls may block, and readiness means nothing.
    File,
}

/// Asks what `fd` is. A descriptor that cannot be asked (it is closed) counts as a file: the call itself will tell.
pub(crate) fn kind(fd: RawFd) -> Kind {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: Kernel's word: `stat` is live, writable room of the size that `fstat` fills.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } < 0 {
        return Kind::File;
    }
    // SAFETY: Kernel's word: `fstat` succeeded, and all-zero bytes were a value before it.
    let mode = unsafe { stat.assume_init() }.st_mode & libc::S_IFMT;
    match mode {
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFIFO | 0 => Kind::Stream,
        _ => Kind::File,
    }
}

/// Flags of `socket(2)` and `accept4(2)` that keep a descriptor from children, and that make it non-blocking.
pub(crate) const SOCK_CLOEXEC: i32 = libc::SOCK_CLOEXEC;
pub(crate) const SOCK_NONBLOCK: i32 = libc::SOCK_NONBLOCK;

/// `accept4(2)` with close-on-exec.
///
/// # Safety
/// `addr` and `len` are both null, or name room for an address and its size (Lent).
pub(crate) unsafe fn accept_cloexec(
    fd: RawFd,
    addr: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
    flags: i32,
) -> i32 {
    // SAFETY: Lent, by this function's contract: both null, or room for an address and its size.
    ret(unsafe { libc::accept4(fd, addr, len, flags | SOCK_CLOEXEC) } as isize)
}

/// `readv(2)` that never blocks and never changes the descriptor: `-EAGAIN` instead of waiting, `-EOPNOTSUPP` where the
/// file cannot promise that.
///
/// # Safety
/// The `count` buffers at `iov` are writable (Lent).
pub(crate) unsafe fn readv_nowait(fd: RawFd, iov: *const libc::iovec, count: i32) -> i32 {
    // SAFETY: Lent, by this function's contract: the array and its buffers are there, and writable.
    match ret(unsafe { libc::preadv2(fd, iov, count, -1, libc::RWF_NOWAIT) }) {
        // SAFETY: Lent, likewise; nothing was read by the call before.
        no if no == -libc::EOPNOTSUPP && is_nonblocking(fd) => ret(unsafe { libc::readv(fd, iov, count) }),
        res => res,
    }
}

/// `writev(2)` that never blocks and never changes the descriptor.
///
/// # Safety
/// The `count` buffers at `iov` are readable (Lent).
pub(crate) unsafe fn writev_nowait(fd: RawFd, iov: *const libc::iovec, count: i32) -> i32 {
    // SAFETY: Lent, by this function's contract: the array and its bytes are there, and readable.
    match ret(unsafe { libc::pwritev2(fd, iov, count, -1, libc::RWF_NOWAIT) }) {
        // SAFETY: Lent, likewise; nothing was written by the call before.
        no if no == -libc::EOPNOTSUPP && is_nonblocking(fd) => ret(unsafe { libc::writev(fd, iov, count) }),
        res => res,
    }
}

/// Whether a descriptor never blocks anyway: then no call has to promise it.
fn is_nonblocking(fd: RawFd) -> bool {
    // SAFETY: Plain call: it asks for the descriptor's flags, and changes nothing.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// `recvmsg(2)` into several buffers that never blocks.
///
/// # Safety
/// The `count` buffers at `iov` are writable (Lent).
pub(crate) unsafe fn recvv_nowait(fd: RawFd, iov: *mut libc::iovec, count: usize) -> i32 {
    // SAFETY: Plain bytes: a `msghdr` of zeros has no address and no control data.
    let mut msg = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    msg.msg_iov = iov;
    msg.msg_iovlen = count as _;
    // SAFETY: Lent, by this function's contract; the kernel writes to the header, which is ours, and to the buffers.
    ret(unsafe { libc::recvmsg(fd, &mut msg, libc::MSG_DONTWAIT) })
}

/// `epoll_pwait2(2)`, asked for by its number: C libraries older than the kernel have no name for it.
///
/// # Safety
/// `room` has space for `len` events, and `limit` is null or names a time.
pub(crate) unsafe fn epoll_pwait2(
    epoll: RawFd,
    room: *mut libc::epoll_event,
    len: usize,
    limit: *const libc::timespec,
) -> i32 {
    let no_mask = std::ptr::null::<libc::sigset_t>();
    // SAFETY: Kernel's word: the room and the limit are as this function's contract says, and there is no signal mask.
    let n = unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, room, len as i32, limit, no_mask, 0) };
    n as i32
}

/// `sendmsg(2)` of several buffers that never blocks and raises no signal.
///
/// # Safety
/// The `count` buffers at `iov` are readable (Lent).
pub(crate) unsafe fn sendv_nowait(fd: RawFd, iov: *mut libc::iovec, count: usize) -> i32 {
    // SAFETY: Plain bytes: all-zero is a `msghdr` that names nothing.
    let mut msg = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    msg.msg_iov = iov;
    msg.msg_iovlen = count as _;
    // SAFETY: Lent, by this function's contract; the header itself lives until the call returns.
    ret(unsafe { libc::sendmsg(fd, &msg, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

/// `fsync(2)`, or where there is one and it suffices, `fdatasync(2)`.
pub(crate) fn fsync(fd: RawFd, data_only: bool) -> i32 {
    ret(match data_only {
        // SAFETY: Plain call: a descriptor and nothing else.
        true => unsafe { libc::fdatasync(fd) },
        // SAFETY: Plain call: the same descriptor, and nothing else.
        false => unsafe { libc::fsync(fd) },
    } as isize)
}

/// The pending error of a socket, as `-errno`, or 0.
pub(crate) fn socket_error(fd: RawFd) -> i32 {
    match option(fd, libc::SOL_SOCKET, libc::SO_ERROR) {
        Ok(error) => -error,
        Err(e) => -e.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// A socket that children do not inherit.
pub(crate) fn socket(domain: i32, kind: i32) -> io::Result<OwnedFd> {
    // SAFETY: Plain call: no memory is named but the arguments themselves.
    let fd = check(unsafe { libc::socket(domain, kind | SOCK_CLOEXEC, 0) })?;
    // SAFETY: Fresh descriptor: `socket` succeeded, so nobody else has this number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a socket its own address.
pub(crate) fn bind(fd: RawFd, addr: &SockAddr) -> io::Result<()> {
    // SAFETY: Kernel's word: the address is readable for as many bytes as it says, until the call returns.
    check(unsafe { libc::bind(fd, addr.as_ptr(), addr.len()) }).map(drop)
}

/// Lets a socket take connections.
pub(crate) fn listen(fd: RawFd, backlog: i32) -> io::Result<()> {
    // SAFETY: Plain call: two numbers and nothing else.
    check(unsafe { libc::listen(fd, backlog) }).map(drop)
}

/// An integer socket option.
pub(crate) fn option(fd: RawFd, level: i32, name: i32) -> io::Result<i32> {
    let (mut value, mut len) = (0i32, 4 as libc::socklen_t);
    // SAFETY: Kernel's word: `value` has the four bytes that `len` speaks of.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &mut len) })?;
    Ok(value)
}

/// Sets an integer socket option.
pub(crate) fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let value_ptr = (&raw const value).cast();
    // SAFETY: Kernel's word: `value` is four readable bytes.
    check(unsafe { libc::setsockopt(fd, level, name, value_ptr, 4) }).map(drop)
}

/// The address of one end of a socket.
pub(crate) fn socket_addr(fd: RawFd, end: End) -> io::Result<SockAddr> {
    let mut addr = SockAddr::room();
    let (ptr, len) = addr.room_ptrs();
    check(match end {
        // SAFETY: Kernel's word: `addr` is room for any address, and `len` says how much.
        End::Local => unsafe { libc::getsockname(fd, ptr, len) },
        // SAFETY: Kernel's word: as for the local end.
        End::Peer => unsafe { libc::getpeername(fd, ptr, len) },
    })?;
    Ok(addr)
}

/// An end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Local,
    Peer,
}

/// Makes a descriptor of one's own non-blocking, or blocking again.
pub(crate) fn set_nonblocking(fd: RawFd, on: bool) -> io::Result<()> {
    // SAFETY: Plain call: it asks for the descriptor's flags, and changes nothing.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let wanted = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted == flags {
        return Ok(());
    }
    // SAFETY: Plain call: the flags are the descriptor's own but for one bit.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, wanted) }).map(drop)
}

/// A counter that wakes whoever waits for it: the remote end of a driver's sleep.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: Plain call: a count to start from, and flags.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: Fresh descriptor: `eventfd` succeeded, so nobody else has this number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A duration as the kernel counts it, cut to what it can hold.
pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: Plain bytes: all-zero is a value of `timespec`.
    let mut ts = unsafe { MaybeUninit::<libc::timespec>::zeroed().assume_init() };
    ts.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    ts.tv_nsec = duration.subsec_nanos().into();
    ts
}

/// A result of a call that answers -1 on failure.
pub(crate) fn check(n: i32) -> io::Result<i32> {
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n) }
}

/// Closes a number that nobody else holds.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: Close waits: the last reference to this number is being dropped, and no entry names it.
    unsafe { libc::close(fd) };
}
