//! Datagrams between processes of one machine.

use super::{SocketAddr, Spare, common, with_peer};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut},
    driver::Fd,
    op,
};
use std::{
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixDatagram as Std,
    },
    path::Path,
};

/// A Unix socket for datagrams, which arrive in their order and are not lost: whoever sends to a full one waits.
///
/// ```
/// annulus::run(async {
///     let (here, there) = annulus::net::UnixDatagram::pair()?;
///     here.send("one").await.0?;
///     here.send("two").await.0?;
///     assert_eq!(there.recv(Vec::with_capacity(64)).await.1, b"one");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    pub(super) fd: Fd,
    pub(super) spare: Spare,
}

impl UnixDatagram {
    pub(super) fn from_fd(fd: Fd) -> UnixDatagram {
        UnixDatagram { fd, spare: Spare::default() }
    }

    /// A socket that is named `path`, which is made in the file system.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, `AddrInUse` when it is there already.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&SocketAddr::unix(path.as_ref())?)
    }

    /// A socket at `addr`, which may be an [abstract name](SocketAddr::unix_abstract).
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixDatagram> {
        super::bound(libc::SOCK_DGRAM, addr).map(UnixDatagram::from)
    }

    /// A socket without a name, which cannot be answered.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(OwnedFd::from(Std::unbound()?).into())
    }

    /// Two sockets without names that are connected to each other.
    ///
    /// # Errors
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = Std::pair()?;
        Ok((OwnedFd::from(a).into(), OwnedFd::from(b).into()))
    }

    /// A new socket that is connected to the one named `path`.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, and those of `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: the socket is closed.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::connect_addr(SocketAddr::unix(path.as_ref())?).await
    }

    /// A new socket that is connected to the one at `addr`.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: the socket is closed.
    pub async fn connect_addr(addr: SocketAddr) -> io::Result<UnixDatagram> {
        super::connected(libc::SOCK_DGRAM, addr).await.map(UnixDatagram::from_fd)
    }

    /// Takes over a socket of `std`; whether it blocks does not matter.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(socket: Std) -> io::Result<UnixDatagram> {
        Ok(OwnedFd::from(socket).into())
    }

    /// Sends `buf` to whom the socket is connected to.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub async fn send<T: IoBuf>(&self, buf: T) -> BufResult<usize, T> {
        let mut envelope = self.spare.take();
        envelope.clear_addr();
        let (res, (buf, envelope)) = op::sendmsg_unix(&self.fd, buf, envelope).await;
        self.spare.put(envelope);
        (res, buf)
    }

    /// Receives a datagram; what does not fit into the buffer is lost.
    ///
    /// # Errors
    /// Those of `recv(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: a datagram that was received is dropped.
    pub async fn recv<T: IoBufMut>(&self, buf: T) -> BufResult<usize, T> {
        op::recv(&self.fd, buf).await
    }

    /// Sends `buf` to the socket that is named `path`.
    ///
    /// While its queue is full, this waits. A system that cannot tell when there is room is asked again, every
    /// millisecond at first and ten times a second at last.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, and those of `sendmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub async fn send_to<T: IoBuf, P: AsRef<Path>>(&self, buf: T, path: P) -> BufResult<usize, T> {
        match SocketAddr::unix(path.as_ref()) {
            Ok(addr) => self.send_to_addr(buf, addr).await,
            Err(e) => (Err(e), buf),
        }
    }

    /// Sends `buf` to `addr`; see [`UnixDatagram::send_to`].
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub async fn send_to_addr<T: IoBuf>(&self, buf: T, addr: SocketAddr) -> BufResult<usize, T> {
        let mut envelope = self.spare.take();
        envelope.set_addr(addr);
        let (res, (buf, envelope)) = op::sendmsg(&self.fd, buf, envelope).await;
        self.spare.put(envelope);
        (res, buf)
    }

    /// Receives a datagram, and tells who it is from. What does not fit into the buffer is lost.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: a datagram that was received is dropped.
    pub async fn recv_from<T: IoBufMut>(&self, buf: T) -> BufResult<(usize, SocketAddr), T> {
        let (res, (buf, envelope)) = op::recvmsg(&self.fd, buf, self.spare.take(), 0).await;
        let res = res.map(|n| (n, *envelope.addr()));
        self.spare.put(envelope);
        (res, buf)
    }
}

common!(UnixDatagram);
with_peer!(UnixDatagram);

impl FromRawFd for UnixDatagram {
    unsafe fn from_raw_fd(fd: RawFd) -> UnixDatagram {
        // SAFETY: Fresh descriptor: whoever calls this had the only claim to the number, and gives it up.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}
