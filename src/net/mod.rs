//! Sockets. Each method is one line over an operation of [`op`](crate::op).

mod connect;
mod copy;
mod detached;
mod device;
mod direct;
mod halves;
mod incoming;
mod listener;
mod lookup;
mod opts;
#[cfg(feature = "tokio")]
pub mod polled;
mod recv_stream;
mod socket;
mod sockopt;
mod spare;
pub mod splice;
mod streams;
pub mod tcp;
pub mod udp;
pub mod unix;
mod zero_copy;

pub use self::unix::{Pipe, UnixDatagram, UnixListener, UnixStream};
pub use crate::{
    buf::Envelope,
    sys::{
        control::{ControlMessage, ControlMessages},
        sockaddr::SockAddr,
    },
};
pub use copy::{Copied, CopyCounter, CopyError, Side, copy_bidirectional, copy_bidirectional_counted};
pub use detached::Detached;
pub use device::Device;
pub use incoming::Incoming;
pub use listener::TcpListener;
pub use lookup::{ToSocketAddrs, lookup_host};
pub use opts::{ListenerOpts, TcpConnectOpts};
pub use recv_stream::RecvStream;
pub use socket::Socket;
pub use tcp::TcpStream;
pub use udp::UdpSocket;

use crate::sys::unix::{bind_device, set_mark, set_option};
use socket2::SockRef;
use spare::Spare;
use std::{io, net::SocketAddr, os::fd::AsFd};

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
    set_option(fd.as_raw_fd(), level, name, value)
}

/// What listeners and connections are given before they have an address.
fn prepare(
    fd: &impl AsFd,
    send_buf_size: Option<usize>,
    recv_buf_size: Option<usize>,
    device: Option<Device>,
    mark: Option<u32>,
) -> io::Result<()> {
    let socket = SockRef::from(fd);
    if let Some(bytes) = send_buf_size {
        socket.set_send_buffer_size(bytes.min(i32::MAX as usize))?;
    }
    if let Some(bytes) = recv_buf_size {
        socket.set_recv_buffer_size(bytes.min(i32::MAX as usize))?;
    }
    if let Some(device) = device {
        bind_device(&socket, Some(device.as_bytes()))?;
    }
    if let Some(mark) = mark {
        set_mark(&socket, mark)?;
    }
    Ok(())
}
