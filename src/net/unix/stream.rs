//! A connection between two processes of one machine.

use super::{SocketAddr, Spare, UCred, common, cred, with_peer};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    driver::Fd,
    io::{
        AsReadFd, AsWriteFd, AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent,
        OwnedReadHalf, OwnedWriteHalf, Split, shared_reader, shared_writer,
    },
    op,
};
use socket2::SockRef;
use std::{
    cell::UnsafeCell,
    future::{Future, ready},
    io,
    net::Shutdown,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream as Std,
    },
    path::Path,
};

/// A connection by a Unix socket. Dropping it closes the connection, once the operations on it have ended.
///
/// ```
/// use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
/// use annulus::net::UnixStream;
///
/// annulus::run(async {
///     let (mut here, mut there) = UnixStream::pair()?;
///     here.write_all("ping").await.0?;
///     assert_eq!(there.read(Vec::with_capacity(16)).await.1, b"ping");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixStream {
    pub(super) fd: Fd,
    pub(super) spare: Spare,
}

impl UnixStream {
    pub(super) fn from_fd(fd: Fd) -> UnixStream {
        UnixStream { fd, spare: Spare::default() }
    }

    /// Connects to the socket that is named `path` in the file system. While the listener's queue is full it waits.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no address can hold, `NotFound` when there is no such socket,
    /// `ConnectionRefused` when nobody listens there.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(SocketAddr::unix(path.as_ref())?).await
    }

    /// Connects to `addr`, which may be an [abstract name](SocketAddr::unix_abstract).
    ///
    /// # Errors
    /// Those of `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr(addr: SocketAddr) -> io::Result<UnixStream> {
        super::connected(libc::SOCK_STREAM, addr).await.map(UnixStream::from_fd)
    }

    /// Two ends of one connection without a name.
    ///
    /// # Errors
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = Std::pair()?;
        Ok((OwnedFd::from(a).into(), OwnedFd::from(b).into()))
    }

    /// Takes over a connection of `std`; whether it blocks does not matter.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(stream: Std) -> io::Result<UnixStream> {
        Ok(OwnedFd::from(stream).into())
    }

    /// Who made the other end.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        cred::peer_cred(self.fd.as_raw_fd())
    }
}

common!(UnixStream);
with_peer!(UnixStream);

impl Split for UnixStream {
    fn shared_read<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::recv(&self.fd, buf)
    }

    fn shared_readv<T: IoVecBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::readv(&self.fd, buf)
    }

    fn shared_write<T: IoBuf>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::send(&self.fd, buf)
    }

    fn shared_writev<T: IoVecBuf>(&self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        op::writev(&self.fd, buf_vec)
    }

    fn shared_flush(&self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }

    fn shared_shutdown(&self) -> impl Future<Output = io::Result<()>> {
        op::shutdown(&self.fd, Shutdown::Write)
    }

    /// Shuts the connection down in this direction; what was written before is still delivered.
    fn hang_up(&self) {
        // One that is gone already has nobody to be told.
        let _ = SockRef::from(self).shutdown(Shutdown::Write);
    }
}

impl AsyncReadRent for UnixStream {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_read(buf)
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_readv(buf)
    }

    unsafe fn reader(stream: &UnsafeCell<UnixStream>) -> impl AsyncReadRent {
        // SAFETY: Marked: the halves have this, and what `writer` gives: two shared references.
        unsafe { shared_reader(stream) }
    }
}

impl AsyncWriteRent for UnixStream {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_write(buf)
    }

    fn write_whole<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::send_all(&self.fd, buf)
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.shared_flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.shared_shutdown()
    }

    unsafe fn writer(stream: &UnsafeCell<UnixStream>) -> impl AsyncWriteRent {
        // SAFETY: Marked: the halves have this, and what `reader` gives: two shared references.
        unsafe { shared_writer(stream) }
    }

    unsafe fn hang_up_at(stream: &UnsafeCell<UnixStream>) {
        // SAFETY: Marked: one more shared reference, beside that of a reader.
        unsafe { shared_writer(stream) }.as_ref().hang_up();
    }
}

impl CancelableAsyncReadRent for UnixStream {
    unsafe fn cancelable_reader(stream: &UnsafeCell<UnixStream>) -> impl CancelableAsyncReadRent {
        // SAFETY: Marked: as in `reader`, this is one of two shared references.
        unsafe { shared_reader(stream) }
    }
}

impl CancelableAsyncWriteRent for UnixStream {
    unsafe fn cancelable_writer(stream: &UnsafeCell<UnixStream>) -> impl CancelableAsyncWriteRent {
        // SAFETY: Marked: as in `writer`, this is one of two shared references.
        unsafe { shared_writer(stream) }
    }
}

impl AsReadFd for UnixStream {
    fn as_reader_fd(&mut self) -> &Fd {
        &self.fd
    }
}

impl AsWriteFd for UnixStream {
    fn as_writer_fd(&mut self) -> &Fd {
        &self.fd
    }
}

/// The half of a connection that is read.
pub type UnixOwnedReadHalf = OwnedReadHalf<UnixStream>;
/// The half of a connection that is written.
pub type UnixOwnedWriteHalf = OwnedWriteHalf<UnixStream>;

impl FromRawFd for UnixStream {
    unsafe fn from_raw_fd(fd: RawFd) -> UnixStream {
        // SAFETY: Fresh descriptor: by the trait's contract the number is nobody else's to close.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}
