//! A TCP socket that takes connections.

use super::{ListenerOpts, TcpStream, domain, first, set};
use crate::{
    driver::{Driver, Fd},
    op::Accept,
    sys::{
        self,
        sockaddr::SockAddr,
        unix::{self, End},
    },
};
use std::{
    cell::RefCell,
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// A TCP socket that takes connections.
///
/// ```
/// annulus::run(async {
///     let listener = annulus::net::TcpListener::bind("127.0.0.1:0")?;
///     let client = annulus::net::TcpStream::connect(listener.local_addr()?).await?;
///     let (_stream, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    fd: Fd,
    /// Room for the address of the next peer, so that accepting allocates none.
    room: RefCell<Option<Box<SockAddr>>>,
}

impl TcpListener {
    /// Listens at `addr`, with the defaults of [`ListenerOpts`]. Of several addresses, the first that can be had.
    ///
    /// A name is looked up on this thread, which waits: this is no `async fn`. Where that matters, give an address, or
    /// what [`lookup_host`](super::lookup_host) found.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` and whatever else `socket(2)`, `bind(2)` and `listen(2)`
    /// say.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        TcpListener::bind_with_config(addr, &ListenerOpts::default())
    }

    /// Listens at `addr` as `opts` say.
    ///
    /// # Errors
    /// Those of [`TcpListener::bind`], and those of options that the system does not have.
    pub fn bind_with_config(addr: impl ToSocketAddrs, opts: &ListenerOpts) -> io::Result<TcpListener> {
        first(addr.to_socket_addrs()?, |addr| TcpListener::listen(addr, opts))
    }

    fn listen(addr: SocketAddr, opts: &ListenerOpts) -> io::Result<TcpListener> {
        let socket = unix::socket(domain(addr), libc::SOCK_STREAM)?;
        let switches = [(opts.reuse_port, unix::SO_REUSEPORT), (opts.reuse_addr, libc::SO_REUSEADDR)];
        for (_, name) in switches.into_iter().filter(|&(on, _)| on) {
            set(&socket, libc::SOL_SOCKET, name, 1)?;
        }
        let sizes = [(opts.send_buf_size, libc::SO_SNDBUF), (opts.recv_buf_size, libc::SO_RCVBUF)];
        for (bytes, name) in sizes.into_iter().filter_map(|(bytes, name)| Some((bytes?, name))) {
            set(&socket, libc::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX))?;
        }
        unix::bind(socket.as_raw_fd(), &addr.into())?;
        unix::listen(socket.as_raw_fd(), opts.backlog)?;
        if opts.tcp_fast_open {
            // After listen(2), before which macOS refuses it.
            set(&socket, libc::IPPROTO_TCP, unix::TCP_FASTOPEN, opts.backlog.max(1))?;
        }
        TcpListener::from_owned(socket)
    }

    /// Takes over a listener of `std`. On the poll driver it becomes non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_owned(listener.into())
    }

    /// A twin's accept must not block; on the ring, a listener that does not block would keep kernels before 6.10 from
    /// waiting by themselves. Outside of a runtime nobody knows yet, and both drivers can do with one that does not.
    fn from_owned(fd: OwnedFd) -> io::Result<TcpListener> {
        let on_ring = Driver::current().is_some_and(|driver| driver.on_ring(sys::IORING_OP_ACCEPT as u8));
        if !on_ring {
            unix::set_nonblocking(fd.as_raw_fd(), true)?;
        }
        Ok(TcpListener { fd: Fd::socket(fd), room: RefCell::new(None) })
    }

    /// Takes the next connection, and tells who it is from.
    ///
    /// # Errors
    /// Those of `accept4(2)`: `EMFILE` when no descriptor is left; the connection waits on then.
    ///
    /// # Cancellation
    /// **Lossy**: a connection that was accepted is closed.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let room = self.room.take().unwrap_or_else(|| Box::new(SockAddr::room()));
        let (fd, peer) = Accept::with_room(&self.fd, room).await;
        let accepted = fd.and_then(|fd| Ok((TcpStream::from_fd(Fd::socket(fd)), peer.ip()?)));
        self.room.replace(Some(peer.into_room()));
        accepted
    }

    /// The address that this listens at.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Local)?.to_std()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn a_port_is_used_once_unless_shared() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        TcpListener::bind(addr).expect("ports are shared by default");
        let alone = ListenerOpts::new().reuse_port(false).reuse_addr(false);
        let error = TcpListener::bind_with_config(addr, &alone).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[crate::test]
    async fn a_listener_of_std_or_from_outside_works() {
        for listener in [std::net::TcpListener::bind("127.0.0.1:0").unwrap(), {
            let nonblocking = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            nonblocking.set_nonblocking(true).unwrap();
            nonblocking
        }] {
            let listener = TcpListener::from_std(listener).unwrap();
            let addr = listener.local_addr().unwrap();
            let client = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(10));
                std::net::TcpStream::connect(addr).unwrap()
            });
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.join().unwrap().local_addr().unwrap());
        }
    }
}
