//! A TCP connection.

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    driver::Fd,
    entry::Interest,
    io::{
        AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, OwnedReadHalf,
        OwnedWriteHalf, Split, shared_reader, shared_writer,
    },
    net::RecvStream,
    op,
    pool::RecvPool,
    sys::unix::{self, End},
};
use socket2::SockRef;
use std::{
    cell::UnsafeCell,
    future::{Future, ready},
    io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
};

/// A TCP connection. Dropping it closes the connection, once the operations on it have ended.
#[derive(Debug)]
pub struct TcpStream {
    fd: Fd,
}

impl TcpStream {
    pub(super) fn from_fd(fd: Fd) -> TcpStream {
        TcpStream { fd }
    }

    /// Takes over a connection of `std`; whether it blocks does not matter.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { fd: Fd::socket(stream.into()) })
    }

    /// The connection's descriptor, for operations of [`op`].
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`; `Unsupported` for a direct connection, before it has a number.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.numbered()?.as_raw_fd(), End::Local)?.to_std()
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// `NotConnected` when there is none any more; `Unsupported` for a direct connection, before it has a number.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.numbered()?.as_raw_fd(), End::Peer)?.to_std()
    }

    /// What the connection receives from now on, in buffers of `pool` that are chosen when there is something to put
    /// into them. So a connection that waits holds none.
    ///
    /// The stream is independent of `self`, which can write meanwhile; what reads besides takes bytes away from it.
    ///
    /// ```
    /// use annulus::{io::AsyncWriteRentExt, net::{TcpListener, TcpStream}, pool::RecvPool};
    ///
    /// # annulus::run(async {
    /// let pool = RecvPool::new(256, 4096)?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (mut server, _) = listener.accept().await?;
    /// client.write_all("ping").await.0?;
    /// drop(client);
    ///
    /// let mut received = server.recv_stream(&pool);
    /// while let Some(buf) = received.next().await {
    ///     server.write_all(buf?).await.0?; // from the buffer that it was received in
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn recv_stream(&self, pool: &RecvPool) -> RecvStream {
        RecvStream::new(&self.fd, pool)
    }

    /// Waits until there is something to read, or the peer has gone. `relaxed` is there for monoio's programs: the
    /// answer is always a true one.
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

    /// Waits until there is room to write, or the peer has gone. `relaxed` is there for monoio's programs.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn writable(&self, relaxed: bool) -> io::Result<()> {
        let _ = relaxed;
        op::poll(&self.fd, Interest::Write).await
    }

    /// Copies what is there to be read into `buf`, and leaves it there; as [`op::peek`](crate::op::peek()).
    ///
    /// # Errors
    /// Those of `recv(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Clean**: looking takes nothing away.
    pub fn peek<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::peek(&self.fd, buf)
    }

    /// Reads what is there now. `Ok(0)` means the end, or that `buf` has no room.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; those of `recv(2)`. The buffer is as it was.
    pub fn try_read<T: IoBufMut>(&self, buf: T) -> BufResult<usize, T> {
        op::recv(&self.fd, buf).now()
    }

    /// [`try_read`](TcpStream::try_read) into several parts, one after the other, as if they were one.
    ///
    /// # Errors
    /// As there.
    pub fn try_readv<T: IoVecBufMut>(&self, buf: T) -> BufResult<usize, T> {
        op::readv(&self.fd, buf).now()
    }

    /// Writes as much as there is room for now. Operations that wait for room are overtaken.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; those of `send(2)`. No byte was written then.
    pub fn try_write<T: IoBuf>(&self, buf: T) -> BufResult<usize, T> {
        op::send(&self.fd, buf).now()
    }

    /// [`try_write`](TcpStream::try_write) from several parts, one after the other, as if they were one.
    ///
    /// # Errors
    /// As there.
    pub fn try_writev<T: IoVecBuf>(&self, buf_vec: T) -> BufResult<usize, T> {
        op::writev(&self.fd, buf_vec).now()
    }

    /// The descriptor itself.
    ///
    /// # Errors
    /// Gives the stream back while operations on it are in flight.
    pub fn try_into_owned(self) -> Result<OwnedFd, TcpStream> {
        self.fd.try_into_owned().map_err(TcpStream::from_fd)
    }

    /// The connection for `std`, whose calls wait: it blocks, as `std`'s own do.
    ///
    /// # Errors
    /// Gives the stream back while operations on it are in flight.
    pub fn into_std(self) -> Result<std::net::TcpStream, TcpStream> {
        let fd = self.try_into_owned()?;
        // The flags of an open socket can be set.
        let _ = unix::set_nonblocking(fd.as_raw_fd(), false);
        Ok(fd.into())
    }
}

impl Split for TcpStream {
    fn shared_read<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::recv_tcp(&self.fd, buf)
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
        if self.fd.is_direct() {
            return op::shutdown(&self.fd, Shutdown::Write).detach();
        }
        // One that is gone already has nobody to be told.
        let _ = SockRef::from(self).shutdown(Shutdown::Write);
    }
}

impl AsyncReadRent for TcpStream {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_read(buf)
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.shared_readv(buf)
    }

    unsafe fn reader(stream: &UnsafeCell<TcpStream>) -> impl AsyncReadRent {
        // SAFETY: Marked: the halves have this, and what `writer` gives: two shared references.
        unsafe { shared_reader(stream) }
    }
}

impl AsyncWriteRent for TcpStream {
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

    unsafe fn writer(stream: &UnsafeCell<TcpStream>) -> impl AsyncWriteRent {
        // SAFETY: Marked: the halves have this, and what `reader` gives: two shared references.
        unsafe { shared_writer(stream) }
    }

    unsafe fn hang_up_at(stream: &UnsafeCell<TcpStream>) {
        // SAFETY: Marked: one more shared reference, beside that of a reader.
        unsafe { shared_writer(stream) }.as_ref().hang_up();
    }
}

impl CancelableAsyncReadRent for TcpStream {
    unsafe fn cancelable_reader(stream: &UnsafeCell<TcpStream>) -> impl CancelableAsyncReadRent {
        // SAFETY: Marked: as in `reader`, this is one of two shared references.
        unsafe { shared_reader(stream) }
    }
}

impl CancelableAsyncWriteRent for TcpStream {
    unsafe fn cancelable_writer(stream: &UnsafeCell<TcpStream>) -> impl CancelableAsyncWriteRent {
        // SAFETY: Marked: as in `writer`, this is one of two shared references.
        unsafe { shared_writer(stream) }
    }
}

/// The half of a connection that is read.
pub type TcpOwnedReadHalf = OwnedReadHalf<TcpStream>;
/// The half of a connection that is written.
pub type TcpOwnedWriteHalf = OwnedWriteHalf<TcpStream>;

/// The addresses of a half are those of the connection.
macro_rules! addresses {
    ($($half:ident),*) => {$(
        impl $half {
            /// See [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().local_addr()
            }

            /// See [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().peer_addr()
            }
        }
    )*};
}

addresses!(TcpOwnedReadHalf, TcpOwnedWriteHalf);

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl IntoRawFd for TcpStream {
    /// The descriptor, which is the caller's to close. While an operation on the connection is in flight the number
    /// must stay open for it, and a duplicate is given instead.
    ///
    /// # Panics
    /// When a duplicate is needed and no descriptor is left, and for a direct connection, which has no number.
    fn into_raw_fd(self) -> RawFd {
        match self.try_into_owned() {
            Ok(fd) => fd.into_raw_fd(),
            Err(shared) => shared.fd.duplicate().expect("a descriptor for a duplicate").into_raw_fd(),
        }
    }
}

impl From<OwnedFd> for TcpStream {
    /// Takes over a connection from anywhere; whether it blocks does not matter.
    fn from(fd: OwnedFd) -> TcpStream {
        TcpStream { fd: Fd::socket(fd) }
    }
}

impl TryFrom<TcpStream> for OwnedFd {
    type Error = TcpStream;

    /// See [`TcpStream::try_into_owned`].
    fn try_from(stream: TcpStream) -> Result<OwnedFd, TcpStream> {
        stream.try_into_owned()
    }
}

impl FromRawFd for TcpStream {
    unsafe fn from_raw_fd(fd: RawFd) -> TcpStream {
        // SAFETY: Fresh descriptor: the caller hands over the only claim to it.
        TcpStream { fd: Fd::socket(unsafe { OwnedFd::from_raw_fd(fd) }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, AsyncWriteRentExt},
        net::TcpListener,
    };

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[crate::test]
    async fn both_ways_and_to_the_end() {
        let (mut a, mut b) = pair().await;
        a.write_all("ping").await.0.unwrap();
        let (n, buf) = b.read(Vec::with_capacity(64)).await;
        assert_eq!((n.unwrap(), &buf[..]), (4, &b"ping"[..]));
        let halves = VecBuf::from(vec![b"po".to_vec(), b"ng".to_vec()]);
        b.write_vectored_all(halves).await.0.unwrap();
        let (n, buf) = a.read_exact(vec![0; 4].into_boxed_slice()).await;
        assert_eq!((n.unwrap(), &buf[..]), (4, &b"pong"[..]));
        a.shutdown().await.unwrap();
        assert_eq!(b.read(buf).await.0.unwrap(), 0);
    }

    #[crate::test]
    async fn the_descriptor_can_be_taken_out() {
        let (mut a, mut b) = pair().await;
        a.write_all("x").await.0.unwrap();
        // SAFETY: Fresh descriptor: `into_raw_fd` gives it away.
        let std = unsafe { std::net::TcpStream::from_raw_fd(b.fd.duplicate().unwrap().into_raw_fd()) };
        let reading = b.read(Vec::with_capacity(1)).await;
        assert_eq!(reading.0.unwrap(), 1);
        let raw = b.into_raw_fd();
        // SAFETY: Fresh descriptor: likewise.
        let mut again = unsafe { TcpStream::from_raw_fd(raw) };
        drop(std);
        again.write_all("y").await.0.unwrap();
        assert_eq!(a.read(Vec::with_capacity(8)).await.1, b"y");
    }

    /// Red when one of them waits, or a look takes something away.
    #[crate::test]
    async fn what_can_be_done_now_is_done_now() {
        let (mut a, mut b) = pair().await;
        let (res, buf) = a.try_read(vec![7; 4]);
        assert_eq!((res.unwrap_err().kind(), buf), (io::ErrorKind::WouldBlock, vec![7; 4]));
        let (res, _) = a.try_readv(VecBuf::from(vec![vec![0; 4]]));
        assert_eq!(res.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(b.try_write("one").0.unwrap(), 3);
        assert_eq!(b.try_writev(VecBuf::from(vec![b"tw".to_vec(), b"o".to_vec()])).0.unwrap(), 3);
        a.readable(false).await.unwrap();
        assert_eq!(a.peek(vec![0; 3]).await.1, b"one");
        assert_eq!(a.try_read(Vec::with_capacity(3)).1, b"one");
        let (n, bufs) = a.try_readv(VecBuf::from(vec![vec![0; 2], vec![0; 8]]));
        assert_eq!((n.unwrap(), &Vec::from(bufs)[0][..]), (3, &b"tw"[..]));
        let mut sent = 0;
        let full = loop {
            match b.try_write(vec![1; 1 << 20]) {
                (Ok(n), _) => sent += n,
                (Err(e), _) => break e,
            }
        };
        assert!(full.kind() == io::ErrorKind::WouldBlock && sent > 0);
        // What was done by hand does not make the driver believe that there is nothing, or that there is no room.
        let (n, _) = a.read_exact(Vec::with_capacity(sent)).await;
        assert_eq!(n.unwrap(), sent);
        b.write_all("on").await.0.unwrap();
        assert_eq!(a.read(Vec::with_capacity(8)).await.1, b"on");
    }

    /// Red when a connection that std gets does not block, or one that is in use is given away.
    #[crate::test]
    async fn a_connection_goes_to_std_and_comes_back() {
        let (a, mut b) = pair().await;
        let mut reading = Box::pin(op::recv(a.fd(), vec![0; 8]));
        crate::testing::poll_once(&mut reading).await;
        let a = a.into_std().expect_err("a read is in flight");
        b.write_all("late").await.0.unwrap();
        assert_eq!(reading.await.0.unwrap(), 4);
        let mut a = a.into_std().unwrap();
        assert!(!unix::is_nonblocking(a.as_raw_fd()));
        std::io::Write::write_all(&mut a, b"std").unwrap();
        assert_eq!(b.read(vec![0; 3]).await.1, b"std");
        let mut a = TcpStream::from(OwnedFd::from(a));
        a.write_all("again").await.0.unwrap();
        assert_eq!(b.read(Vec::with_capacity(8)).await.1, b"again");
        OwnedFd::try_from(a).unwrap();
        assert_eq!(b.read(Vec::with_capacity(8)).await.0.unwrap(), 0);
    }
}
