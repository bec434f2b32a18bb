//! Connections that keep the bounds of messages.

use super::{SocketAddr, Spare, UCred, common, cred, listener, with_peer};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut},
    driver::Fd,
    op,
    sys::{sockaddr::SockAddr, unix},
};
use std::{
    cell::RefCell,
    io,
    net::Shutdown,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

/// A connection by a Unix socket that keeps the bounds of messages (`SOCK_SEQPACKET`): as reliable as a stream, and
/// what is sent by one call is received by one. macOS has none.
///
/// ```
/// annulus::run(async {
///     let Ok((here, there)) = annulus::net::unix::UnixSeqpacket::pair() else { return Ok(()) };
///     here.send("one").await.0?;
///     here.send("two").await.0?;
///     assert_eq!(there.recv(Vec::with_capacity(64)).await.1, b"one");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixSeqpacket {
    pub(super) fd: Fd,
    pub(super) spare: Spare,
}

impl UnixSeqpacket {
    pub(super) fn from_fd(fd: Fd) -> UnixSeqpacket {
        UnixSeqpacket { fd, spare: Spare::default() }
    }

    /// Connects to the socket that is named `path` in the file system. While the listener's queue is full it waits.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, and those of `socket(2)` and `connect(2)`:
    /// `EPROTONOSUPPORT` where there are no such sockets.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacket> {
        UnixSeqpacket::connect_addr(SocketAddr::unix(path.as_ref())?).await
    }

    /// Connects to `addr`, which may be an [abstract name](SocketAddr::unix_abstract).
    ///
    /// # Errors
    /// Those of `socket(2)` and `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr(addr: SocketAddr) -> io::Result<UnixSeqpacket> {
        super::connected(libc::SOCK_SEQPACKET, addr).await.map(UnixSeqpacket::from_fd)
    }

    /// Two ends of one connection without a name.
    ///
    /// # Errors
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixSeqpacket, UnixSeqpacket)> {
        let (a, b) = unix::socket_pair(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
        Ok((a.into(), b.into()))
    }

    /// Who made the other end.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        cred::peer_cred(self.fd.as_raw_fd())
    }

    /// Sends `buf` as one message.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer: `EPIPE` when the peer has gone.
    ///
    /// # Cancellation
    /// **Lossy**: the message may have been sent.
    pub async fn send<T: IoBuf>(&self, buf: T) -> BufResult<usize, T> {
        op::send(&self.fd, buf).await
    }

    /// Receives a message; what does not fit into the buffer is lost. 0 bytes are an empty message, or the end.
    ///
    /// # Errors
    /// Those of `recv(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: a message that was received is dropped.
    pub async fn recv<T: IoBufMut>(&self, buf: T) -> BufResult<usize, T> {
        op::recv(&self.fd, buf).await
    }

    /// Sends `buf` as one message to the peer, whatever is at `path`: a connection has one peer, and Linux does not
    /// look at the name that a message on it is for. It is here for programs that were written for monoio.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, and those of [`send`](UnixSeqpacket::send), with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: the message may have been sent.
    pub async fn send_to<T: IoBuf, P: AsRef<Path>>(&self, buf: T, path: P) -> BufResult<usize, T> {
        match SocketAddr::unix(path.as_ref()) {
            Ok(_) => self.send(buf).await,
            Err(e) => (Err(e), buf),
        }
    }

    /// Receives a message as [`recv`](UnixSeqpacket::recv) does, and tells the name of the peer, if the system does.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: a message that was received is dropped.
    pub async fn recv_from<T: IoBufMut>(&self, buf: T) -> BufResult<(usize, SocketAddr), T> {
        let (res, (buf, envelope)) = op::recvmsg(&self.fd, buf, self.spare.take(), 0).await;
        let res = res.map(|n| (n, *envelope.addr()));
        self.spare.put(envelope);
        (res, buf)
    }

    /// Ends the connection in one direction or in both.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    ///
    /// # Cancellation
    /// **Detached**: it may be done all the same.
    pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        op::shutdown(&self.fd, how).await
    }
}

common!(UnixSeqpacket);
with_peer!(UnixSeqpacket);

/// A socket that takes connections which keep the bounds of messages. Its name in the file system stays when it is
/// dropped.
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    fd: Fd,
    room: RefCell<Option<Box<SockAddr>>>,
}

impl UnixSeqpacketListener {
    fn from_fd(fd: Fd) -> UnixSeqpacketListener {
        UnixSeqpacketListener { fd, room: RefCell::new(None) }
    }

    /// Listens at `path`, which is made.
    ///
    /// # Errors
    /// As for [`UnixListener::bind`](super::UnixListener::bind); `EPROTONOSUPPORT` where there are no such sockets.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacketListener> {
        UnixSeqpacketListener::bind_with_backlog(path, 1024)
    }

    /// Listens at `path`; so many connections may wait to be accepted.
    ///
    /// # Errors
    /// As for [`UnixSeqpacketListener::bind`].
    pub fn bind_with_backlog<P: AsRef<Path>>(path: P, backlog: i32) -> io::Result<UnixSeqpacketListener> {
        UnixSeqpacketListener::bind_addr(&SocketAddr::unix(path.as_ref())?, backlog)
    }

    /// Listens at `addr`, which may be an [abstract name](SocketAddr::unix_abstract).
    ///
    /// # Errors
    /// Those of `bind(2)` and `listen(2)`.
    pub fn bind_addr(addr: &SocketAddr, backlog: i32) -> io::Result<UnixSeqpacketListener> {
        let socket = super::bound(libc::SOCK_SEQPACKET, addr)?;
        unix::listen(socket.as_raw_fd(), backlog)?;
        listener::acceptable(socket).map(UnixSeqpacketListener::from_fd)
    }

    /// Takes the next connection, and tells the address of whoever made it.
    ///
    /// # Errors
    /// Those of `accept4(2)`.
    ///
    /// # Cancellation
    /// **Lossy**: a connection that was accepted is closed.
    pub async fn accept(&self) -> io::Result<(UnixSeqpacket, SocketAddr)> {
        let (fd, peer): (OwnedFd, _) = listener::accept(&self.fd, &self.room).await?;
        Ok((fd.into(), peer))
    }
}

common!(UnixSeqpacketListener);
