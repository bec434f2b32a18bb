//! What only Linux has: eventfd, epoll to the nanosecond, reads and writes that promise not to block, options of
//! sockets, and memory of huge pages.

use crate::sys::{
    __kernel_timespec, Statx, by_stat,
    unix::{Kept, check, device_parts, is_nonblocking, option, ret, stat},
};
use memmap2::{Advice, MmapOptions, MmapRaw};
use socket2::SockRef;
use std::{
    ffi::c_char,
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// The mark of a socket's packets, for rules of routing and filtering.
pub(crate) fn mark(socket: &SockRef<'_>) -> io::Result<u32> {
    socket.mark()
}

/// Marks a socket's packets.
pub(crate) fn set_mark(socket: &SockRef<'_>, mark: u32) -> io::Result<()> {
    socket.set_mark(mark)
}

/// The interface that a socket is bound to.
pub(crate) fn device(socket: &SockRef<'_>) -> io::Result<Option<Vec<u8>>> {
    socket.device()
}

/// Binds a socket to an interface.
pub(crate) fn bind_device(socket: &SockRef<'_>, name: Option<&[u8]>) -> io::Result<()> {
    socket.bind_device(name)
}

/// How long sent data may go without an answer.
pub(crate) fn user_timeout(socket: &SockRef<'_>) -> io::Result<Option<Duration>> {
    socket.tcp_user_timeout()
}

/// Sets how long sent data may go without an answer.
pub(crate) fn set_user_timeout(socket: &SockRef<'_>, limit: Option<Duration>) -> io::Result<()> {
    socket.set_tcp_user_timeout(limit)
}

/// A counter that wakes whoever waits for it: the remote end of a driver's sleep.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: Plain call: a count to start from, and flags.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: Fresh descriptor: `eventfd` succeeded, so nobody else has this number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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
    // SAFETY: Kernel's word: null or a time, by this function's contract.
    let limit = unsafe { limit.as_ref() };
    // The kernel's own time, which has 64 bits where that of the C library may have 32.
    let limit = limit.map(|time| __kernel_timespec { tv_sec: time.tv_sec as _, tv_nsec: time.tv_nsec as _ });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let no_mask = std::ptr::null::<libc::sigset_t>();
    // SAFETY: Kernel's word: the room is as this function's contract says, the limit is ours, and there is no mask.
    let n = unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, room, len as i32, limit, no_mask, 0) };
    n as i32
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

/// Which reads of a descriptor may be tried with `RWF_NOWAIT`, and again otherwise.
///
/// Of files and disks those at a place. Of other devices only `/dev/null` and `/dev/zero`, which are always the same:
/// what another (a terminal, `/dev/net/tun`) has given is gone.
pub(crate) fn kept(fd: RawFd) -> Kept {
    const MEMORY: u32 = 1;
    let Some(stat) = stat(fd) else { return Kept::Nowhere };
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFBLK => Kept::Places,
        libc::S_IFCHR if matches!(device_parts(stat.st_rdev as _), (MEMORY, 3 | 5)) => Kept::Anywhere,
        _ => Kept::Nowhere,
    }
}

/// Whether reads go past the page cache (`O_DIRECT`): with `RWF_NOWAIT` they wait for the device all the same. `true`
/// where the descriptor cannot be asked.
pub(crate) fn goes_past_the_cache(fd: RawFd) -> bool {
    // SAFETY: Plain call: without an argument.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags < 0 || flags & libc::O_DIRECT != 0
}

/// `preadv(2)` of what is in the page cache, as far as the file goes; `-EOPNOTSUPP` for everything else, when nothing
/// was done that a read does not do again. It is for reads that are [kept]. `len` is the length of all buffers.
///
/// # Safety
/// The `count` buffers at `iov` are writable (Lent).
pub(crate) unsafe fn preadv_cached(fd: RawFd, iov: *const libc::iovec, count: i32, len: usize, offset: u64) -> i32 {
    let Some(at) = position(offset) else { return -libc::EOPNOTSUPP };
    // SAFETY: Lent, by this function's contract: the array is there, and its buffers are writable.
    let n = unsafe { libc::preadv2(fd, iov, count, at, libc::RWF_NOWAIT) };
    match usize::try_from(n) {
        // A count that is short may as well be where the page cache ends, and on Linux 5.9 and 5.10 so may 0 be.
        Ok(n) if n == len || ends_at(fd, offset.saturating_add(n as u64)) => ret(n as isize),
        _ => -libc::EOPNOTSUPP,
    }
}

/// Whether what is [kept] is known to end there: a file by its size, and a device anywhere. A disk is not known.
fn ends_at(fd: RawFd, offset: u64) -> bool {
    stat(fd).is_some_and(|stat| match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => u64::try_from(stat.st_size).is_ok_and(|size| size <= offset),
        format => format == libc::S_IFCHR,
    })
}

/// A place in a file as `preadv2(2)` takes it, or -1 for the file's own position.
fn position(offset: u64) -> Option<libc::off_t> {
    if offset == u64::MAX { Some(-1) } else { libc::off_t::try_from(offset).ok() }
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

/// A descriptor that stands for a process, which children do not inherit. The number must not be another process's by
/// now: it is not, for a child that nobody has reaped.
///
/// # Errors
/// `ENOSYS` before Linux 5.3, `ESRCH` if there is no such process.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: Plain call: a process's number, and no flags.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32)?;
    // SAFETY: Fresh descriptor: `pidfd_open` succeeded, so nobody else has this number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process that a descriptor stands for.
///
/// # Errors
/// `ESRCH` when it has ended and was reaped, `EPERM` when it may not be sent to.
pub(crate) fn pidfd_signal(pidfd: RawFd, signal: i32) -> io::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: Kernel's word: without further information about the signal, it makes that by itself.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, nothing, 0) } as i32).map(drop)
}

/// Says to `waitid(2)` that what it gets is a descriptor.
pub(crate) const WAIT_PIDFD: u32 = libc::P_PIDFD;
/// Waits for the end of a process, and does not reap it.
pub(crate) const WAIT_PEEK: u32 = (libc::WEXITED | libc::WNOWAIT) as u32;

/// `waitid(2)` for the process that a descriptor stands for: `-EAGAIN` instead of waiting.
///
/// # Safety
/// `info` is writable (Lent).
pub(crate) unsafe fn wait_pidfd(pidfd: RawFd, info: *mut libc::siginfo_t, options: u32) -> i32 {
    if info.is_null() {
        return -libc::EFAULT;
    }
    let options = options as i32 | libc::WNOHANG;
    // SAFETY: Lent, by this function's contract: there is room for what is told.
    let res = ret(unsafe { libc::waitid(WAIT_PIDFD, pidfd as libc::id_t, info, options) } as isize);
    if res < 0 {
        return res;
    }
    // SAFETY: Lent, likewise: nobody else looks at it.
    let info = unsafe { &*info };
    // SAFETY: Kernel's word: it has written to all that it tells of a child, zeros if there was nothing to tell.
    if unsafe { info.si_pid() } == 0 { -libc::EAGAIN } else { res }
}

/// What `waitid(2)` has told of an ended child, as `wait(2)` would have said it.
pub(crate) fn wait_status(info: &libc::siginfo_t) -> i32 {
    // SAFETY: Plain bytes: whatever is there is an integer.
    let status = unsafe { info.si_status() };
    match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }
}

/// Says to [`splice`] not to wait for a pipe.
pub(crate) const SPLICE_F_NONBLOCK: u32 = libc::SPLICE_F_NONBLOCK;

/// `splice(2)`; an offset of -1 is where the descriptor's own position is.
pub(crate) fn splice(from: (RawFd, i64), to: (RawFd, i64), len: usize, flags: u32) -> i32 {
    let ((from, mut from_at), (to, mut to_at)) = (from, to);
    let place = |at: &mut i64| if *at < 0 { std::ptr::null_mut() } else { std::ptr::from_mut(at) };
    // SAFETY: Kernel's word: each offset is null or ours, and no other memory is named.
    ret(unsafe { libc::splice(from, place(&mut from_at), to, place(&mut to_at), len, flags) })
}

/// A pipe that children do not inherit, with room for `room` bytes if the system lets one have it: the reading end, the
/// writing end, and what it has room for.
///
/// # Errors
/// `EMFILE` when the process may have no more descriptors.
pub(crate) fn roomy_pipe(room: i32) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    let mut ends = [0; 2];
    // SAFETY: Kernel's word: there is room for the two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: Fresh descriptor: `pipe2` succeeded, so nobody else has these numbers.
    let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: Plain call: a descriptor of ours and a number, which the kernel rounds or refuses.
    unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, room) };
    // SAFETY: Plain call: it asks how much room there is now.
    let room = check(unsafe { libc::fcntl(ends[1], libc::F_GETPIPE_SZ) })?;
    Ok((reader, writer, room as usize))
}

/// Says to [`statx`] that an empty path means the descriptor itself.
pub(crate) const AT_EMPTY_PATH: i32 = libc::AT_EMPTY_PATH;

/// `statx(2)`. Where there is none, or a sandbox that does not know it refuses it (EPERM), `fstatat(2)`.
///
/// # Safety
/// `path` ends in a NUL byte, and `out` is writable (Lent).
pub(crate) unsafe fn statx(dir: RawFd, path: *const c_char, flags: i32, mask: u32, out: *mut Statx) -> i32 {
    // SAFETY: Lent, by this function's contract: the path to its end, and room for the answer.
    match ret(unsafe { libc::syscall(libc::SYS_statx, dir, path, flags, mask, out) } as isize) {
        // SAFETY: Lent, by this function's contract, and once more.
        refused if [-libc::ENOSYS, -libc::EPERM].contains(&refused) => unsafe { by_stat::statx(dir, path, flags, out) },
        res => res,
    }
}

/// `ftruncate(2)`; no file is longer than a signed number says.
pub(crate) fn ftruncate(fd: RawFd, len: u64) -> i32 {
    // SAFETY: Plain call: a descriptor and a number, which the kernel checks.
    ret(unsafe { libc::ftruncate64(fd, len as i64) } as isize)
}

/// More CPUs than any kernel is built for.
const MOST_CPUS: usize = 1 << 16;

/// How many CPUs a word of their masks stands for.
const CPUS: usize = libc::c_ulong::BITS as usize;

/// The CPUs that this thread may run on.
pub(crate) fn affinity() -> io::Result<Option<Vec<usize>>> {
    // The kernel refuses (EINVAL) less room than it has CPUs, and does not tell how many those are.
    let mut mask: Vec<libc::c_ulong> = vec![0; 1024 / CPUS];
    loop {
        let room = mask.as_mut_ptr().cast();
        // SAFETY: Kernel's word: the mask has as many bytes as are said, and any may be written.
        match check(unsafe { libc::sched_getaffinity(0, size_of_val(mask.as_slice()), room) }) {
            Ok(_) => break,
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && mask.len() * CPUS < MOST_CPUS => {
                mask.resize(mask.len() * 2, 0);
            }
            Err(e) => return Err(e),
        }
    }
    let is_set = |cpu: &usize| mask[cpu / CPUS] >> (cpu % CPUS) & 1 != 0;
    Ok(Some((0..mask.len() * CPUS).filter(is_set).collect()))
}

/// Keeps this thread on these CPUs.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    // `EINVAL` as for a CPU that there is not: the kernel leaves out what its own masks have no room for.
    let Some(most) = cpus.iter().copied().max().filter(|most| *most < MOST_CPUS) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let mut mask: Vec<libc::c_ulong> = vec![0; most / CPUS + 1];
    cpus.iter().for_each(|cpu| mask[cpu / CPUS] |= 1 << (cpu % CPUS));
    let set = mask.as_ptr().cast();
    // SAFETY: Kernel's word: the mask has as many bytes as are said, and is only read.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), set) }).map(drop)
}

/// Memory of huge pages of 2 MiB, that many bytes (a multiple) that nobody else can run out of: they are set aside.
///
/// # Errors
/// `ENOMEM` when the system keeps too few of them (`vm.nr_hugepages`), `EINVAL` where there are none of that size.
pub(crate) fn map_huge(len: usize) -> io::Result<MmapRaw> {
    Ok(MmapOptions::new().len(len).huge(Some(HUGE.trailing_zeros() as u8)).map_anon()?.into())
}

/// The size of a huge page.
pub(crate) const HUGE: usize = 2 << 20;

/// Asks for huge pages where the kernel can put some together.
///
/// # Errors
/// `EINVAL` from a kernel that never does.
pub(crate) fn prefer_huge(map: &MmapRaw) -> io::Result<()> {
    map.advise(Advice::HugePage)
}

/// Whether it is a stream socket of TCP itself, and not of something like it.
pub(crate) fn is_tcp(fd: RawFd) -> bool {
    let is = |name, value| option(fd, libc::SOL_SOCKET, name).is_ok_and(|found| found == value);
    is(libc::SO_PROTOCOL, libc::IPPROTO_TCP) && is(libc::SO_TYPE, libc::SOCK_STREAM)
}

/// Whether urgent data has come that nobody has received.
pub(crate) fn is_urgent(fd: RawFd) -> bool {
    let mut asked = libc::pollfd { fd, events: libc::POLLPRI, revents: 0 };
    // SAFETY: Kernel's word: there is one entry, and it is this one.
    unsafe { libc::poll(&mut asked, 1, 0) == 1 && asked.revents & libc::POLLPRI != 0 }
}

/// Lets a forked child find zeros there. It would get a copy of each page that a ring has pinned, while it is forked.
///
/// # Errors
/// `EINVAL` for memory of huge pages, and before Linux 4.14.
pub(crate) fn wipe_on_fork(map: &MmapRaw) -> io::Result<()> {
    // SAFETY: Fresh: it is the caller's whole map, and in this process nothing about it changes.
    check(unsafe { libc::madvise(map.as_mut_ptr().cast(), map.len(), libc::MADV_WIPEONFORK) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsRawFd};

    /// Linux 5.9 and 5.10 may say 0 in the middle of a file. Red when that is taken for its end.
    #[test]
    fn an_end_is_where_the_size_says() {
        let file = File::open("Cargo.toml").unwrap();
        let size = file.metadata().unwrap().len();
        assert!(!ends_at(file.as_raw_fd(), size - 1) && ends_at(file.as_raw_fd(), size));
        assert!(ends_at(File::open("/dev/null").unwrap().as_raw_fd(), 0));
        assert!(!ends_at(std::io::pipe().unwrap().0.as_raw_fd(), 0) && !ends_at(-1, 0));
    }
}
