//! What every contender shares: its arguments, its announcement, and a few socket calls for the hand-written loops.

pub mod ring;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};

/// Bytes of buffer per connection (or per pool buffer): the same for every contender.
pub const BUF: usize = 16 * 1024;
/// Entries of a ring, for every contender whose users can choose.
pub const ENTRIES: u32 = 1024;

/// The address to listen on: `--addr A`, else any free loopback port.
pub fn addr() -> String {
    std::env::args().skip_while(|arg| arg != "--addr").nth(1).unwrap_or_else(|| "127.0.0.1:0".into())
}

/// Is this flag among the arguments?
pub fn flag(name: &str) -> bool {
    std::env::args().any(|arg| arg == name)
}

/// Tells the runner that the server is ready. Standard output is line buffered, so this arrives at once.
pub fn announce(addr: SocketAddr) {
    println!("listening {addr}");
}

/// A bound and announced listener for the hand-written loops. What it accepts has Nagle's algorithm switched off as well.
pub fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr())?;
    nodelay(listener.as_raw_fd())?;
    announce(listener.local_addr()?);
    Ok(listener)
}

/// Turns the -1 of a libc call into the error it stands for.
pub fn check(res: i64) -> io::Result<usize> {
    usize::try_from(res).map_err(|_| io::Error::last_os_error())
}

/// Switches Nagle's algorithm off.
pub fn nodelay(fd: RawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the size are those of `on`, which lives through the call.
    let res = unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), size) };
    check(res.into()).map(drop)
}

/// Receives once without waiting; `None` when there is nothing.
pub fn recv(fd: RawFd, buf: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: pointer and length are those of `buf`.
    match check(unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) } as i64) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

/// Sends what there is room for without waiting.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: pointer and length are those of `bytes`.
    match check(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) } as i64) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Closes a connection that nothing refers to any more.
pub fn close(fd: RawFd) {
    // SAFETY: the caller's table held this number alone, and has just let it go.
    unsafe { libc::close(fd) };
}
