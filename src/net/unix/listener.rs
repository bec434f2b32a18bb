//! A Unix socket that takes connections.

use super::{SocketAddr, UnixStream, common};
use crate::{
    driver::{Driver, Fd},
    io::{CancelHandle, EarlyEnd},
    net::{ListenerOpts, set},
    op::{self, Accept, AcceptMulti, Multi},
    sys::{self, sockaddr::SockAddr, unix},
};
use std::{
    cell::RefCell,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixListener as Std,
    },
    path::Path,
    task::{Context, Poll},
};

/// A Unix socket that takes connections. Its name in the file system stays when it is dropped.
///
/// ```
/// use annulus::net::{UnixListener, UnixStream};
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join(format!("annulus-doc-{}", std::process::id()));
///     let listener = UnixListener::bind(&path)?;
///     let client = UnixStream::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     assert_eq!(server.peer_cred()?, client.peer_cred()?);
///     std::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    pub(super) fd: Fd,
    /// Room for the address of the next peer, so that accepting allocates none.
    room: RefCell<Option<Box<SockAddr>>>,
}

impl UnixListener {
    pub(super) fn from_fd(fd: Fd) -> UnixListener {
        UnixListener { fd, room: RefCell::new(None) }
    }

    /// Listens at `path`, which is made, with the defaults of [`ListenerOpts`].
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, `AddrInUse` when it is there already, and whatever else
    /// `bind(2)` and `listen(2)` say.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_with_config(path, &ListenerOpts::default())
    }

    /// Listens at `path`, with the backlog and the sizes of `opts`; ports are nothing that a Unix socket has.
    ///
    /// # Errors
    /// Those of [`UnixListener::bind`].
    pub fn bind_with_config<P: AsRef<Path>>(path: P, opts: &ListenerOpts) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::unix(path.as_ref())?, opts)
    }

    /// Listens at `addr`, which may be an [abstract name](SocketAddr::unix_abstract).
    ///
    /// # Errors
    /// Those of `bind(2)` and `listen(2)`.
    pub fn bind_addr(addr: &SocketAddr, opts: &ListenerOpts) -> io::Result<UnixListener> {
        let socket = super::bound(libc::SOCK_STREAM, addr)?;
        let sizes = [(opts.send_buf_size, libc::SO_SNDBUF), (opts.recv_buf_size, libc::SO_RCVBUF)];
        for (bytes, name) in sizes.into_iter().filter_map(|(bytes, name)| Some((bytes?, name))) {
            set(&socket, libc::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX))?;
        }
        unix::listen(socket.as_raw_fd(), opts.backlog)?;
        acceptable(socket).map(UnixListener::from_fd)
    }

    /// Takes over a listener of `std`. On the poll driver it becomes non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(listener: Std) -> io::Result<UnixListener> {
        acceptable(listener.into()).map(UnixListener::from_fd)
    }

    /// Takes the next connection, and tells the address of whoever made it, which is seldom named.
    ///
    /// # Errors
    /// Those of `accept4(2)`: `EMFILE` when no descriptor is left; the connection waits on then.
    ///
    /// # Cancellation
    /// **Lossy**: a connection that was accepted is closed.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (fd, peer) = accept(&self.fd, &self.room).await?;
        Ok((fd.into(), peer))
    }

    /// [`accept`](UnixListener::accept), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`accept`](UnixListener::accept); `ECANCELED` when it was cancelled before a connection came.
    ///
    /// # Cancellation
    /// **Lossy**: as [`accept`](UnixListener::accept), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_accept(&self, c: CancelHandle) -> io::Result<(UnixStream, SocketAddr)> {
        self.accept().cancelable(c).await
    }

    /// Takes one connection after the other, by one request where the kernel can.
    pub fn incoming(&self) -> Incoming {
        Incoming(op::accept_multi(&self.fd))
    }
}

common!(UnixListener);

/// A listener's descriptor, so that accepting does not block: a twin's accept must not, and on the ring, a listener
/// that does not block would keep kernels before 6.10 from waiting by themselves.
pub(super) fn acceptable(fd: OwnedFd) -> io::Result<Fd> {
    let on_ring = Driver::current().is_some_and(|driver| driver.on_ring(sys::IORING_OP_ACCEPT as u8));
    if !on_ring {
        unix::set_nonblocking(fd.as_raw_fd(), true)?;
    }
    Ok(Fd::socket(fd))
}

/// Accepts one connection, with room for the address that is used again.
pub(super) async fn accept(fd: &Fd, room: &RefCell<Option<Box<SockAddr>>>) -> io::Result<(OwnedFd, SocketAddr)> {
    let spare = room.take().unwrap_or_else(|| Box::new(SockAddr::room()));
    let (accepted, peer) = Accept::with_room(fd, spare).await;
    let peer = peer.into_room();
    let addr = *peer;
    room.replace(Some(peer));
    Ok((accepted?, addr))
}

/// The connections that a listener takes; made by [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Incoming(Multi<AcceptMulti>);

impl Incoming {
    /// The next connection. After an error that is the listener's own there is none.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was not given is the next one.
    pub async fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.0.next().await?.map(UnixStream::from))
    }

    /// As [`Incoming::next`], for a stream of one's own.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        self.0.poll_next(cx).map(|item| item.map(|item| item.map(UnixStream::from)))
    }
}
