//! A TCP socket that takes connections.

use super::{ListenerOpts, TcpStream, domain, first, prepare, set};
use crate::{
    driver::{Driver, Fd},
    entry::Interest,
    io::{CancelHandle, EarlyEnd},
    op::{self, Accept},
    sys::{
        self,
        sockaddr::SockAddr,
        unix::{self, End},
    },
};
use socket2::SockRef;
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
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        TcpListener::bind_with_config(addr, &ListenerOpts::default())
    }

    /// Listens at `addr` as `opts` say.
    ///
    /// # Errors
    /// Those of [`TcpListener::bind`], and those of options that the system does not have.
    pub fn bind_with_config<A: ToSocketAddrs>(addr: A, opts: &ListenerOpts) -> io::Result<TcpListener> {
        first(addr.to_socket_addrs()?, |addr| TcpListener::listen(addr, opts))
    }

    fn listen(addr: SocketAddr, opts: &ListenerOpts) -> io::Result<TcpListener> {
        let socket = unix::socket(domain(addr), libc::SOCK_STREAM)?;
        let switches = [(opts.reuse_port, unix::SO_REUSEPORT), (opts.reuse_addr, libc::SO_REUSEADDR)];
        for (_, name) in switches.into_iter().filter(|&(on, _)| on) {
            set(&socket, libc::SOL_SOCKET, name, 1)?;
        }
        if let Some(only) = opts.only_v6.filter(|_| addr.is_ipv6()) {
            SockRef::from(&socket).set_only_v6(only)?;
        }
        prepare(&socket, opts.send_buf_size, opts.recv_buf_size, opts.device, opts.mark)?;
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

    /// The listener's descriptor, for operations of [`op`](crate::op).
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Whether it takes connections of IPv6 only (`IPV6_V6ONLY`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`, for a listener at an address of IPv4.
    pub fn only_v6(&self) -> io::Result<bool> {
        SockRef::from(self).only_v6()
    }

    /// The error that waits for the next accept, if there is one; it does not meet it any more then (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// The descriptor itself.
    ///
    /// # Errors
    /// Gives the listener back while operations on it are in flight.
    pub fn try_into_owned(self) -> Result<OwnedFd, TcpListener> {
        let TcpListener { fd, room } = self;
        fd.try_into_owned().map_err(|fd| TcpListener { fd, room })
    }

    /// The listener for `std`, whose calls wait: it blocks, as `std`'s own do.
    ///
    /// # Errors
    /// Gives the listener back while operations on it are in flight.
    pub fn into_std(self) -> Result<std::net::TcpListener, TcpListener> {
        let fd = self.try_into_owned()?;
        // The flags of an open socket can be set.
        let _ = unix::set_nonblocking(fd.as_raw_fd(), false);
        Ok(fd.into())
    }

    /// Waits until a connection waits to be accepted. `relaxed` is there for monoio's programs: the answer is always a
    /// true one.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn readable(&self, relaxed: bool) -> io::Result<()> {
        let _ = relaxed;
        op::poll(&self.fd, Interest::Read).await
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

    /// [`accept`](TcpListener::accept), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`accept`](TcpListener::accept); `ECANCELED` when it was cancelled before a connection came.
    ///
    /// # Cancellation
    /// **Lossy**: as [`accept`](TcpListener::accept), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_accept(&self, c: CancelHandle) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().cancelable(c).await
    }

    /// The address that this listens at.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Local)?.to_std()
    }
}

impl TryFrom<OwnedFd> for TcpListener {
    type Error = io::Error;

    /// Takes over a listener from anywhere, as [`TcpListener::from_std`] does.
    fn try_from(fd: OwnedFd) -> io::Result<TcpListener> {
        TcpListener::from_owned(fd)
    }
}

impl TryFrom<TcpListener> for OwnedFd {
    type Error = TcpListener;

    /// See [`TcpListener::try_into_owned`].
    fn try_from(listener: TcpListener) -> Result<OwnedFd, TcpListener> {
        listener.try_into_owned()
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

    /// Red when an option is not set, or set too late to mean anything.
    #[crate::test]
    async fn a_listener_is_as_it_was_asked_to_be() {
        for only in [true, false] {
            let opts = ListenerOpts::new().only_v6(only).recv_buf_size(32 << 10).send_buf_size(16 << 10);
            let listener = TcpListener::bind_with_config("[::]:0", &opts).unwrap();
            assert_eq!(listener.only_v6().unwrap(), only);
            let there = ("127.0.0.1", listener.local_addr().unwrap().port());
            assert_eq!(TcpStream::connect(there).await.is_err(), only);
            let _client = TcpStream::connect(("::1", there.1)).await.unwrap();
            if !only {
                listener.accept().await.unwrap();
            }
            listener.readable(false).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let sizes = (stream.recv_buffer_size().unwrap(), stream.send_buffer_size().unwrap());
            assert!([(32 << 10, 16 << 10), (64 << 10, 32 << 10)].contains(&sizes), "{sizes:?}");
            assert!(listener.take_error().unwrap().is_none());
        }
        TcpListener::bind_with_config("127.0.0.1:0", &ListenerOpts::new().only_v6(true))
            .expect("it means nothing here");
        let lo = ListenerOpts::new().device("lo".parse().unwrap());
        if let Err(e) = TcpListener::bind_with_config("127.0.0.1:0", &lo) {
            assert_eq!(e.kind(), io::ErrorKind::Unsupported);
        }
        let nowhere = ListenerOpts::new().device("no-such-device".parse().unwrap());
        TcpListener::bind_with_config("127.0.0.1:0", &nowhere).unwrap_err();
    }

    /// Red when a listener that std gets does not block, or one that is in use is given away.
    #[crate::test]
    async fn a_listener_goes_to_std_and_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut accepting = Box::pin(op::accept(listener.fd()));
        crate::testing::poll_once(&mut accepting).await;
        let listener = listener.into_std().expect_err("an accept is in flight");
        drop(accepting);
        crate::testing::settle().await;
        let listener = listener.into_std().unwrap();
        assert!(!unix::is_nonblocking(listener.as_raw_fd()));
        let listener = TcpListener::try_from(OwnedFd::from(listener)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
        OwnedFd::try_from(listener).unwrap();
    }
}
