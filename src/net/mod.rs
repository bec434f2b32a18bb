//! Sockets. Each method is one line over an operation of [`op`](crate::op).

mod connect;
mod detached;
mod listener;
mod lookup;
mod opts;
mod tcp;

pub use detached::Detached;
pub use listener::TcpListener;
pub use lookup::{ToSocketAddrs, lookup_host};
pub use opts::{ListenerOpts, TcpConnectOpts};
pub use tcp::TcpStream;

use crate::sys::unix;
use std::{io, net::SocketAddr};

/// The `AF_*` of an address.
fn domain(addr: SocketAddr) -> i32 {
    if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// Tries each address until one is taken; the last error otherwise.
fn first<T>(
    addrs: impl Iterator<Item = SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addrs {
        match attempt(addr) {
            Ok(done) => return Ok(done),
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(nothing))
}

fn nothing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address")
}

/// A switch or a number among a socket's options.
fn set(fd: &impl std::os::fd::AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    unix::set_option(fd.as_raw_fd(), level, name, value)
}
