//! What differs between Unixes: the only file below the gates where an operating system is named.

#[cfg(annulus_kqueue)]
pub(crate) use crate::sys::bsd::{
    AT_EMPTY_PATH, HUGE, SPLICE_F_NONBLOCK, WAIT_PEEK, WAIT_PIDFD, affinity, bind_device, device, ftruncate,
    goes_past_the_cache, kept, map_huge, mark, pidfd_open, pidfd_signal, pin, preadv_cached, prefer_huge, readv_nowait,
    roomy_pipe, set_mark, set_user_timeout, splice, statx, user_timeout, wait_pidfd, wait_status, wipe_on_fork,
    writev_nowait,
};
#[cfg(not(annulus_kqueue))]
pub(crate) use crate::sys::linux::{
    AT_EMPTY_PATH, HUGE, SPLICE_F_NONBLOCK, WAIT_PEEK, WAIT_PIDFD, affinity, bind_device, device, ftruncate,
    goes_past_the_cache, kept, map_huge, mark, pidfd_open, pidfd_signal, pin, preadv_cached, prefer_huge, readv_nowait,
    roomy_pipe, set_mark, set_user_timeout, splice, statx, user_timeout, wait_pidfd, wait_status, wipe_on_fork,
    writev_nowait,
};

use crate::sys::sockaddr::SockAddr;
use socket2::SockRef;
#[cfg(not(target_os = "openbsd"))]
use socket2::TcpKeepalive;
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

/// Where this thread's error number lies.
fn errno_place() -> *mut i32 {
    #[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as place;
    #[cfg(target_os = "linux")]
    use libc::__errno_location as place;
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    use libc::__error as place;
    // SAFETY: Plain call: it gives an address, always.
    unsafe { place() }
}

/// Runs `f`, and leaves the error number as it was: for whoever interrupts a thread between a call and the look at it.
pub(crate) fn keep_errno(f: impl FnOnce()) {
    let place = errno_place();
    // SAFETY: Plain bytes: the place is this thread's own, and a number.
    let before = unsafe { place.read() };
    f();
    // SAFETY: Plain bytes: the same place, to which nobody holds a reference.
    unsafe { place.write(before) };
}

/// Sends a signal to this process.
pub(crate) fn raise(signal: i32) -> io::Result<()> {
    // SAFETY: Plain call: a process and a signal, which the kernel checks.
    check(unsafe { libc::kill(std::process::id() as i32, signal) }).map(drop)
}

/// What a signal handler is called with: the signal, what is known about it, and the context that it interrupted.
pub(crate) type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// What the process does at `signal`.
///
/// # Errors
/// `EINVAL` if there is no such signal, or the C library keeps it for itself.
pub(crate) fn signal_action(signal: i32) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: Kernel's word: there is room for one action, and none is set.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: Plain bytes: all-zero is an action, and the call has only written another over it.
    Ok(unsafe { action.assume_init() })
}

/// Lets `handler` be called at `signal`, on whatever thread. Calls that it interrupts go on (`SA_RESTART`). It runs on
/// the thread's own stack: the one for signals that `std` gives each thread is overrun by two that interrupt each
/// other.
///
/// # Safety
/// `handler` does only what may be done between any two instructions of any thread.
///
/// # Errors
/// `EINVAL` for a signal that cannot be handled.
pub(crate) unsafe fn handle_signal(signal: i32, handler: Handler) -> io::Result<()> {
    // SAFETY: Plain bytes: an action of zeros blocks nothing, and has no flags.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // What the former action promises others stays: that children leave no zombies, and a stack of its own.
    let former = signal_action(signal)?;
    action.sa_flags |= former.sa_flags & (libc::SA_NOCLDWAIT | libc::SA_NOCLDSTOP | libc::SA_ONSTACK);
    if signal == libc::SIGCHLD && former.sa_sigaction == libc::SIG_IGN {
        action.sa_flags |= libc::SA_NOCLDWAIT;
    }
    // SAFETY: Kernel's word: the action is read before the call returns. The handler is harmless by this contract.
    check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }).map(drop)
}

/// Calls the handler of `action`, if it has one.
///
/// # Safety
/// `action` is what the kernel said of `signal`, and the arguments are those that a handler was just called with.
pub(crate) unsafe fn pass_on(
    action: &libc::sigaction,
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let handler = action.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    if action.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: Kernel's word: with this flag the number is that of a function with three arguments.
        let handler = unsafe { std::mem::transmute::<libc::sighandler_t, Handler>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: Kernel's word: without the flag, and neither of the two special numbers, it is one with one argument.
        let handler = unsafe { std::mem::transmute::<libc::sighandler_t, extern "C" fn(i32)>(handler) };
        handler(signal);
    }
}

/// Sends a signal to the process with this number.
///
/// # Errors
/// `ESRCH` when there is none, `EPERM` when it may not be sent to.
pub(crate) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: Plain call: two numbers, which the kernel checks.
    check(unsafe { libc::kill(pid as libc::pid_t, signal) }).map(drop)
}

/// Sends one byte into a socket: a handler may. Whether there was room for it is not told.
pub(crate) fn ring(fd: RawFd) {
    let byte = 1u8;
    // SAFETY: Lent: the byte is read before the call returns.
    unsafe { libc::send(fd, (&raw const byte).cast(), 1, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
}

/// A time has passed: what a timeout of the kernel's ring answers.
#[cfg(not(any(target_os = "freebsd", target_os = "openbsd")))]
pub(crate) const ETIME: i32 = libc::ETIME;
/// A time has passed. There is no number for a timer's end here, so it is the one for a peer that is silent.
#[cfg(any(target_os = "freebsd", target_os = "openbsd"))]
pub(crate) const ETIME: i32 = libc::ETIMEDOUT;

/// What a descriptor is, as far as reading and writing it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A socket: waits for readiness, and each call may be told not to block.
    Socket,
    /// A pipe, a FIFO or one of the kernel's anonymous files (an eventfd, a kqueue, …): waits for readiness.
    Stream,
    /// A file, a directory, a block or character device: calls may block, and readiness means nothing.
    File,
}

/// Asks what `fd` is. A descriptor that cannot be asked (it is closed) counts as a file: the call itself will tell.
pub(crate) fn kind(fd: RawFd) -> Kind {
    match stat(fd).map(|stat| stat.st_mode & libc::S_IFMT) {
        Some(libc::S_IFSOCK) => Kind::Socket,
        Some(libc::S_IFIFO | 0) => Kind::Stream,
        _ => Kind::File,
    }
}

/// What is known of `fd`; `None` when it cannot be asked.
pub(crate) fn stat(fd: RawFd) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: Kernel's word: `stat` is live, writable room of the size that `fstat` fills.
    let asked = unsafe { libc::fstat(fd, stat.as_mut_ptr()) };
    // SAFETY: Kernel's word: all-zero bytes were a value before `fstat`, and a failed one changes nothing.
    let stat = unsafe { stat.assume_init() };
    (asked == 0).then_some(stat)
}

/// Which reads of a descriptor may be tried without waiting, because what they give stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// None.
    Nowhere,
    /// Those that name a place.
    Places,
    /// Those from its own position, too.
    Anywhere,
}

/// A place in a file as calls take it. What is past the last one is an offset that they refuse (EINVAL), also where
/// theirs has 32 bits.
pub(crate) fn offset(place: u64) -> libc::off_t {
    libc::off_t::try_from(place).unwrap_or(libc::off_t::MIN)
}

/// What a call at a place gave; what has no places (a terminal, a pipe) is read and written where it is, as by a ring.
pub(crate) fn or_here(at_place: isize, here: impl FnOnce() -> isize) -> i32 {
    match ret(at_place) {
        refused if refused == -libc::ESPIPE => ret(here()),
        n => n,
    }
}

pub(crate) use flagged::{SOCK_CLOEXEC, SOCK_NONBLOCK, accept_cloexec, new_socket};

/// Sockets that are born with their flags.
#[cfg(not(any(target_os = "macos", annulus_kqueue = "emulated")))]
mod flagged {
    use super::ret;
    use std::os::fd::RawFd;

    /// The flags of `socket(2)` and `accept4(2)` that keep a descriptor from children, and that make it non-blocking.
    pub(crate) const SOCK_CLOEXEC: i32 = libc::SOCK_CLOEXEC;
    pub(crate) const SOCK_NONBLOCK: i32 = libc::SOCK_NONBLOCK;

    /// `socket(2)`; `kind` may have the two flags.
    pub(crate) fn new_socket(domain: i32, kind: i32, protocol: i32) -> i32 {
        // SAFETY: Plain call: three numbers that the kernel checks.
        ret(unsafe { libc::socket(domain, kind, protocol) } as isize)
    }

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
}

/// Sockets that are given their flags afterwards. A child that another thread makes in between inherits them; no call
/// of macOS helps that.
#[cfg(any(target_os = "macos", annulus_kqueue = "emulated"))]
mod flagged {
    use super::{close, keep_from_children, quiet_when_broken, ret, set_nonblocking};
    use std::os::fd::RawFd;

    /// What the flags are called here, where the system has no numbers for them: as Linux calls them.
    pub(crate) const SOCK_CLOEXEC: i32 = 0o2_000_000;
    pub(crate) const SOCK_NONBLOCK: i32 = 0o4000;

    /// `socket(2)`; `kind` may have the two flags.
    pub(crate) fn new_socket(domain: i32, kind: i32, protocol: i32) -> i32 {
        // SAFETY: Plain call: three numbers that the kernel checks.
        let fd = ret(unsafe { libc::socket(domain, kind & !(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol) } as isize);
        flagged(fd, kind)
    }

    /// `accept(2)` with close-on-exec. What the listener's flags would be handed down is overruled.
    ///
    /// # Safety
    /// `addr` and `len` are both null, or name room for an address and its size (Lent).
    pub(crate) unsafe fn accept_cloexec(
        fd: RawFd,
        addr: *mut libc::sockaddr,
        len: *mut libc::socklen_t,
        flags: i32,
    ) -> i32 {
        // SAFETY: Lent: both are null or room, as this function demands.
        flagged(ret(unsafe { libc::accept(fd, addr, len) } as isize), flags | SOCK_CLOEXEC)
    }

    /// A new socket, or the error instead of one, with its flags.
    fn flagged(fd: i32, flags: i32) -> i32 {
        if fd < 0 {
            return fd;
        }
        let set = || {
            if flags & SOCK_CLOEXEC != 0 {
                keep_from_children(fd)?;
            }
            quiet_when_broken(fd)?;
            set_nonblocking(fd, flags & SOCK_NONBLOCK != 0)
        };
        match set() {
            Ok(()) => fd,
            Err(error) => {
                close(fd);
                -error.raw_os_error().unwrap_or(libc::EIO)
            }
        }
    }
}

/// The option by which several sockets have one port, and share its connections evenly where the system can do that.
#[cfg(not(target_os = "freebsd"))]
pub(crate) const SO_REUSEPORT: i32 = libc::SO_REUSEPORT;
/// Likewise; the option of the older name would give all connections to one of the sockets.
#[cfg(target_os = "freebsd")]
pub(crate) const SO_REUSEPORT: i32 = libc::SO_REUSEPORT_LB;

/// The option of a listener that takes data with the opening of a connection.
#[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
pub(crate) const TCP_FASTOPEN: i32 = libc::TCP_FASTOPEN;
/// There is none: no system has an option of this number, and each says so.
#[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
pub(crate) const TCP_FASTOPEN: i32 = -1;

/// The option of a connection that sends its first data with the opening.
#[cfg(target_os = "linux")]
pub(crate) const TCP_FASTOPEN_CONNECT: i32 = libc::TCP_FASTOPEN_CONNECT;
/// There is none outside of Linux, as the system will say.
#[cfg(not(target_os = "linux"))]
pub(crate) const TCP_FASTOPEN_CONNECT: i32 = -1;

/// The option by which a local address without a port gets one when it connects, and not before: then many connections
/// to different peers may have the same.
#[cfg(target_os = "linux")]
pub(crate) const IP_BIND_ADDRESS_NO_PORT: Option<i32> = Some(libc::IP_BIND_ADDRESS_NO_PORT);
/// Without it, a port is taken early.
#[cfg(not(target_os = "linux"))]
pub(crate) const IP_BIND_ADDRESS_NO_PORT: Option<i32> = None;

/// Has the kernel look after a silent connection: after how long, how often then, and how many answers may be missing.
#[cfg(not(target_os = "openbsd"))]
pub(crate) fn keep_alive(
    socket: &SockRef<'_>,
    time: Option<Duration>,
    interval: Option<Duration>,
    retries: Option<u32>,
) -> io::Result<()> {
    let mut wanted = TcpKeepalive::new();
    if let Some(time) = time {
        wanted = wanted.with_time(time);
    }
    if let Some(interval) = interval {
        wanted = wanted.with_interval(interval);
    }
    if let Some(retries) = retries {
        wanted = wanted.with_retries(retries);
    }
    socket.set_tcp_keepalive(&wanted)
}

/// How the kernel looks after a silent connection.
#[cfg(not(target_os = "openbsd"))]
pub(crate) fn keeping_alive(socket: &SockRef<'_>) -> io::Result<(Duration, Duration, u32)> {
    Ok((socket.tcp_keepalive_time()?, socket.tcp_keepalive_interval()?, socket.tcp_keepalive_retries()?))
}

/// Nobody can be asked.
#[cfg(target_os = "openbsd")]
pub(crate) fn keeping_alive(_: &SockRef<'_>) -> io::Result<(Duration, Duration, u32)> {
    Err(no_option("TCP_KEEPIDLE"))
}

/// Has the kernel look after a silent connection. The times are the system's here, and not a socket's.
#[cfg(target_os = "openbsd")]
pub(crate) fn keep_alive(
    socket: &SockRef<'_>,
    time: Option<Duration>,
    interval: Option<Duration>,
    retries: Option<u32>,
) -> io::Result<()> {
    match (time, interval, retries) {
        (None, None, None) => socket.set_keepalive(true),
        _ => Err(no_option("TCP_KEEPIDLE")),
    }
}

pub(crate) use only_some::{congestion, set_congestion};

/// Which algorithm a connection's rate goes by.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
mod only_some {
    use super::SockRef;
    use std::io;

    pub(crate) fn congestion(socket: &SockRef<'_>) -> io::Result<Vec<u8>> {
        socket.tcp_congestion()
    }

    pub(crate) fn set_congestion(socket: &SockRef<'_>, name: &[u8]) -> io::Result<()> {
        socket.set_tcp_congestion(name)
    }
}

/// There is one for all connections.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
mod only_some {
    use super::{SockRef, no_option};
    use std::io;

    pub(crate) fn congestion(_: &SockRef<'_>) -> io::Result<Vec<u8>> {
        Err(no_option("TCP_CONGESTION"))
    }

    pub(crate) fn set_congestion(_: &SockRef<'_>, _: &[u8]) -> io::Result<()> {
        Err(no_option("TCP_CONGESTION"))
    }
}

/// The answer to an option that this system does not have.
#[cfg(annulus_kqueue)]
pub(crate) fn no_option(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("sockets have no option {name} on this system"))
}

/// Whether Unix sockets can have names that are no paths.
pub(crate) const HAS_ABSTRACT_NAMES: bool = cfg!(all(target_os = "linux", not(annulus_kqueue = "emulated")));

/// The family of sockets between a machine and its guests.
#[cfg(target_os = "linux")]
pub(crate) const AF_VSOCK: Option<i32> = Some(libc::AF_VSOCK);
/// There is none that annulus knows.
#[cfg(not(target_os = "linux"))]
pub(crate) const AF_VSOCK: Option<i32> = None;

/// The flag of `recvmsg(2)` by which descriptors that arrive are kept from children.
#[cfg(not(target_os = "macos"))]
pub(crate) const MSG_CMSG_CLOEXEC: i32 = libc::MSG_CMSG_CLOEXEC;
/// There is none; [`arrived`] does it afterwards.
#[cfg(target_os = "macos")]
pub(crate) const MSG_CMSG_CLOEXEC: i32 = 0;

/// The flags of `recvmsg(2)` by which bytes are counted that are written to no buffer: TCP throws them away, or leaves
/// them in a device (`MSG_SOCK_DEVMEM`).
#[cfg(target_os = "linux")]
pub(crate) const MSG_UNWRITTEN: i32 = libc::MSG_TRUNC | 0x200_0000;
/// As far as there are such.
#[cfg(not(target_os = "linux"))]
pub(crate) const MSG_UNWRITTEN: i32 = libc::MSG_TRUNC;

/// A descriptor that came with a message, and that children do not inherit.
///
/// # Safety
/// The kernel just gave this number to the process, and nobody else has it.
pub(crate) unsafe fn arrived(fd: RawFd) -> OwnedFd {
    // SAFETY: Fresh descriptor, by this function's contract.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    #[cfg(target_os = "macos")]
    let _ = keep_from_children(std::os::fd::AsRawFd::as_raw_fd(&fd));
    fd
}

/// The bytes of a `kevent`.
#[cfg(target_os = "freebsd")]
pub(crate) const KEVENT_SIZE: usize = 64;
#[cfg(target_os = "netbsd")]
pub(crate) const KEVENT_SIZE: usize = 40;
#[cfg(all(annulus_kqueue, not(any(target_os = "freebsd", target_os = "netbsd"))))]
pub(crate) const KEVENT_SIZE: usize = 32;

/// Keeps a descriptor of one's own from children.
#[cfg(annulus_kqueue)]
pub(crate) fn keep_from_children(fd: RawFd) -> io::Result<()> {
    // SAFETY: Plain call: the one flag that a descriptor has.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// Whether a number is a descriptor at all.
///
/// # Errors
/// `EBADF` if it is none.
#[cfg(annulus_kqueue)]
pub(crate) fn is_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: Plain call: it asks for the descriptor's own flags.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }).map(drop)
}

/// Lets a socket raise no signal when it is written to in vain. Where a call can be told so (`MSG_NOSIGNAL`), each is;
/// older macOS knows only this.
#[cfg(target_os = "macos")]
fn quiet_when_broken(fd: RawFd) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, 1)
}

#[cfg(annulus_kqueue = "emulated")]
fn quiet_when_broken(_fd: RawFd) -> io::Result<()> {
    Ok(())
}

/// Whether a descriptor never blocks anyway: then no call has to promise it.
pub(crate) fn is_nonblocking(fd: RawFd) -> bool {
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

/// `fsync(2)`, or where it suffices, `fdatasync(2)`.
#[cfg(not(target_os = "macos"))]
pub(crate) fn fsync(fd: RawFd, data_only: bool) -> i32 {
    ret(match data_only {
        // SAFETY: Plain call: a descriptor and nothing else.
        true => unsafe { libc::fdatasync(fd) },
        // SAFETY: Plain call: the same descriptor, and nothing else.
        false => unsafe { libc::fsync(fd) },
    } as isize)
}

/// `fcntl(F_FULLFSYNC)`: `fsync(2)` of macOS leaves data in the device's memory. There is no smaller one.
#[cfg(target_os = "macos")]
pub(crate) fn fsync(fd: RawFd, _data_only: bool) -> i32 {
    // SAFETY: Plain call: a descriptor and a request without an argument.
    ret(unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) } as isize)
}

/// What follows the seconds of a file's times: of its last read, of the last change of its content, and of any change.
#[cfg(not(target_os = "netbsd"))]
pub(crate) fn nanoseconds(stat: &libc::stat) -> [u32; 3] {
    [stat.st_atime_nsec, stat.st_mtime_nsec, stat.st_ctime_nsec].map(|n| n as u32)
}
/// Likewise, by their names here.
#[cfg(target_os = "netbsd")]
pub(crate) fn nanoseconds(stat: &libc::stat) -> [u32; 3] {
    [stat.st_atimensec, stat.st_mtimensec, stat.st_ctimensec].map(|n| n as u32)
}

/// When a file was made: seconds and nanoseconds. `stat(2)` of Linux does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn birth(_stat: &libc::stat) -> Option<(libc::time_t, u32)> {
    None
}
/// When a file was made: seconds and nanoseconds.
#[cfg(any(target_os = "macos", target_os = "freebsd", target_os = "openbsd"))]
pub(crate) fn birth(stat: &libc::stat) -> Option<(libc::time_t, u32)> {
    Some((stat.st_birthtime, stat.st_birthtime_nsec as u32))
}
/// When a file was made: seconds and nanoseconds.
#[cfg(target_os = "netbsd")]
pub(crate) fn birth(stat: &libc::stat) -> Option<(libc::time_t, u32)> {
    Some((stat.st_birthtime, stat.st_birthtimensec as u32))
}

/// The parts of a device's number: major and minor.
pub(crate) fn device_parts(device: libc::dev_t) -> (u32, u32) {
    (libc::major(device) as _, libc::minor(device) as _)
}

/// A device's number from its parts.
pub(crate) fn device_number(major: u32, minor: u32) -> u64 {
    libc::makedev(major as _, minor as _) as _
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
    match new_socket(domain, kind | SOCK_CLOEXEC, 0) {
        // SAFETY: Fresh descriptor: `socket` succeeded, so nobody else has this number.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// Two sockets that are connected to each other, and that children do not inherit.
pub(crate) fn socket_pair(domain: i32, kind: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: Kernel's word: there is room for two numbers.
    check(unsafe { libc::socketpair(domain, kind | PAIR_FLAGS, 0, ends.as_mut_ptr()) })?;
    // SAFETY: Fresh descriptor: both ends were just made.
    let [a, b] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    #[cfg(any(target_os = "macos", annulus_kqueue = "emulated"))]
    for end in ends {
        keep_from_children(end)?;
        quiet_when_broken(end)?;
    }
    Ok((a, b))
}

/// A pipe, which children do not inherit: the end to read, and the end to write.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    #[cfg(not(any(target_os = "macos", annulus_kqueue = "emulated")))]
    // SAFETY: Kernel's word: both numbers fit, and there is a flag.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    #[cfg(any(target_os = "macos", annulus_kqueue = "emulated"))]
    // SAFETY: Kernel's word: both numbers fit.
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: Fresh descriptor: each end has just been made, for this caller.
    let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    #[cfg(any(target_os = "macos", annulus_kqueue = "emulated"))]
    for end in ends {
        keep_from_children(end)?;
    }
    Ok((reader, writer))
}

/// What `socketpair(2)` can be told of children.
#[cfg(not(any(target_os = "macos", annulus_kqueue = "emulated")))]
const PAIR_FLAGS: i32 = SOCK_CLOEXEC;
#[cfg(any(target_os = "macos", annulus_kqueue = "emulated"))]
const PAIR_FLAGS: i32 = 0;

/// User, group and process of whoever made the other end of a connection.
#[cfg(target_os = "linux")]
pub(crate) fn peer_cred(fd: RawFd) -> io::Result<(u32, u32, Option<i32>)> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let (room, mut len) = ((&raw mut cred).cast(), size_of::<libc::ucred>() as libc::socklen_t);
    // SAFETY: Kernel's word: there is room for the three numbers, and the length says so.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, room, &mut len) })?;
    Ok((cred.uid, cred.gid, Some(cred.pid)))
}

/// User and group of whoever made the other end of a connection; these systems tell no process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_cred(fd: RawFd) -> io::Result<(u32, u32, Option<i32>)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: Kernel's word: there is room for both numbers.
    check(unsafe { libc::getpeereid(fd, &mut uid, &mut gid) })?;
    Ok((uid, gid, None))
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

/// A duration as the kernel counts it, cut to what it can hold.
pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: Plain bytes: all-zero is a value of `timespec`.
    let mut ts = unsafe { MaybeUninit::<libc::timespec>::zeroed().assume_init() };
    ts.tv_sec = duration.as_secs().try_into().unwrap_or(i32::MAX.into());
    ts.tv_nsec = (duration.subsec_nanos() as i32).into();
    ts
}

/// Writes into an address how long it is, where addresses begin with that.
#[cfg(target_os = "linux")]
pub(crate) fn say_length(_addr: &mut libc::sockaddr_storage, _len: libc::socklen_t) {}

/// Writes into an address how long it is: its first byte.
#[cfg(not(target_os = "linux"))]
pub(crate) fn say_length(addr: &mut libc::sockaddr_storage, len: libc::socklen_t) {
    addr.ss_len = len as u8;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpStream, os::fd::AsRawFd, ptr};

    /// Whether children inherit a descriptor, and whether it blocks.
    fn flags(fd: RawFd) -> (bool, bool) {
        // SAFETY: Plain call: it asks for the flags of the number.
        let inherited = unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC == 0;
        (inherited, !is_nonblocking(fd))
    }

    fn owned(fd: i32) -> OwnedFd {
        assert!(fd >= 0, "{}", io::Error::from_raw_os_error(-fd));
        // SAFETY: Fresh descriptor: it was just made for this test.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    #[test]
    fn sockets_have_the_flags_that_were_asked_for() {
        for (wanted, blocks) in [(SOCK_CLOEXEC, true), (SOCK_CLOEXEC | SOCK_NONBLOCK, false)] {
            let made = owned(new_socket(libc::AF_INET, libc::SOCK_STREAM | wanted, 0));
            assert_eq!(flags(made.as_raw_fd()), (false, blocks));
        }
        let refused = new_socket(libc::AF_INET, libc::SOCK_STREAM | SOCK_CLOEXEC, libc::IPPROTO_UDP);
        assert_eq!(refused, -libc::EPROTONOSUPPORT);
    }

    #[test]
    fn accepted_sockets_have_flags_of_their_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        for (wanted, blocks) in [(0, true), (SOCK_NONBLOCK, false)] {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            // SAFETY: Lent: no room is given for the address.
            let fd = unsafe { accept_cloexec(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), wanted) };
            assert_eq!(flags(owned(fd).as_raw_fd()), (false, blocks));
        }
        // SAFETY: Lent: likewise without room.
        let nobody = unsafe { accept_cloexec(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), 0) };
        assert_eq!(nobody, -libc::EAGAIN);
    }
}
