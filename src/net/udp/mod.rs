//! A UDP socket.

mod ancillary;
mod errors;
mod many;
mod options;

pub use crate::op::Datagram;
pub use ancillary::{CONTROL_ROOM, LocalAddr};
pub use errors::SendError;
pub use many::Datagrams;

use super::{Spare, domain, first};
use crate::{
    buf::{BufResult, Envelope, IoBuf, IoBufMut},
    driver::Fd,
    entry::Interest,
    io::{CancelHandle, EarlyEnd},
    op,
    sys::unix::{self, End},
};
use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
};

/// A UDP socket. Dropping it closes the socket, once the operations on it have ended.
///
/// Sending and receiving take `&self`: as many of both as one likes may be on their way at once. Which of two receives
/// gets the next datagram is open, and so is the order in which two sends leave.
///
/// ```
/// use annulus::net::udp::UdpSocket;
///
/// annulus::run(async {
///     let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     here.send_to("ping", there.local_addr()?).await.0?;
///     let (res, buf) = there.recv_from(Vec::with_capacity(1500)).await;
///     assert_eq!((res?, &buf[..]), ((4, here.local_addr()?), &b"ping"[..]));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    fd: Fd,
    spare: Spare,
}

impl UdpSocket {
    /// A socket at `addr`; of several addresses, at the first that can be had.
    ///
    /// A name is looked up on this thread, which waits: this is no `async fn`.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` and whatever else `socket(2)` and `bind(2)` say.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        first(addr.to_socket_addrs()?, |addr| {
            let socket = unix::socket(domain(addr), libc::SOCK_DGRAM)?;
            unix::bind(socket.as_raw_fd(), &addr.into())?;
            Ok(UdpSocket::from(socket))
        })
    }

    /// Takes over a socket of `std`; whether it blocks does not matter.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        Ok(UdpSocket::from(OwnedFd::from(socket)))
    }

    /// The socket as `std` has it. It blocks, unless it was made not to elsewhere.
    ///
    /// # Errors
    /// Gives the socket back while operations on it are in flight.
    pub fn into_std(self) -> Result<std::net::UdpSocket, UdpSocket> {
        self.try_into_owned().map(From::from)
    }

    /// The socket's descriptor, for operations of [`op`].
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// The descriptor itself.
    ///
    /// # Errors
    /// Gives the socket back while operations on it are in flight.
    pub fn try_into_owned(self) -> Result<OwnedFd, UdpSocket> {
        let UdpSocket { fd, spare } = self;
        fd.try_into_owned().map_err(|fd| UdpSocket { fd, spare })
    }

    /// Sends to `addr`, and receives from there alone, from now on.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENETUNREACH` without a way to it, `EAFNOSUPPORT` for an address of the other family.
    ///
    /// # Cancellation
    /// **Detached**: the socket may be connected all the same.
    pub async fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        op::connect(&self.fd, addr).await
    }

    /// Sends `buf` as one datagram to whom the socket is connected to. Gives the number of bytes.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer: `EDESTADDRREQ` for a socket that is not connected, `EMSGSIZE` for a
    /// datagram that is too long, `ECONNREFUSED` when an earlier one met nobody.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub fn send<T: IoBuf>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> + use<T> {
        op::send(&self.fd, buf)
    }

    /// Receives a datagram from whom the socket is connected to, or from anybody. Gives the number of bytes; what does
    /// not fit into the buffer is lost.
    ///
    /// # Errors
    /// Those of `recv(2)`, with the buffer: `ECONNREFUSED` when a datagram that was sent met nobody.
    ///
    /// # Cancellation
    /// **Lossy**: a datagram that was received is dropped.
    pub fn recv<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> + use<T> {
        op::recv(&self.fd, buf)
    }

    /// Sends `buf` as one datagram to `addr`. Gives the number of bytes.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with the buffer: `EMSGSIZE` for a datagram that is too long, `EAFNOSUPPORT` for an
    /// address of the other family.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub async fn send_to<T: IoBuf>(&self, buf: T, addr: SocketAddr) -> BufResult<usize, T> {
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
        self.receive(buf, 0).await
    }

    /// [`send`](UdpSocket::send), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`send`](UdpSocket::send); `ECANCELED` when it was cancelled before there was room.
    ///
    /// # Cancellation
    /// **Lossy**: as [`send`](UdpSocket::send), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_send<T: IoBuf>(&self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        self.send(buf).cancelable(c).await
    }

    /// [`recv`](UdpSocket::recv), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`recv`](UdpSocket::recv); `ECANCELED` when it was cancelled before a datagram came.
    ///
    /// # Cancellation
    /// **Lossy**: as [`recv`](UdpSocket::recv), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_recv<T: IoBufMut>(&self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        self.recv(buf).cancelable(c).await
    }

    /// [`send_to`](UdpSocket::send_to), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`send_to`](UdpSocket::send_to); `ECANCELED` when it was cancelled before there was room.
    ///
    /// # Cancellation
    /// **Lossy**: as [`send_to`](UdpSocket::send_to), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_send_to<T: IoBuf>(&self, buf: T, addr: SocketAddr, c: CancelHandle) -> BufResult<usize, T> {
        self.send_to(buf, addr).cancelable(c).await
    }

    /// [`recv_from`](UdpSocket::recv_from), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`recv_from`](UdpSocket::recv_from); `ECANCELED` when it was cancelled before a datagram came.
    ///
    /// # Cancellation
    /// **Lossy**: as [`recv_from`](UdpSocket::recv_from), if it is dropped. By `c`, nothing is lost.
    pub async fn cancelable_recv_from<T: IoBufMut>(
        &self,
        buf: T,
        c: CancelHandle,
    ) -> BufResult<(usize, SocketAddr), T> {
        self.recv_from(buf).cancelable(c).await
    }

    /// As [`UdpSocket::recv_from`], and leaves the datagram for the next receive.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Clean**: the datagram stays where it is.
    pub async fn peek_from<T: IoBufMut>(&self, buf: T) -> BufResult<(usize, SocketAddr), T> {
        self.receive(buf, libc::MSG_PEEK).await
    }

    async fn receive<T: IoBufMut>(&self, buf: T, flags: i32) -> BufResult<(usize, SocketAddr), T> {
        let (res, (buf, envelope)) = op::recvmsg(&self.fd, buf, self.spare.take(), flags).await;
        let res = res.and_then(|n| Ok((n, envelope.addr().to_std()?)));
        self.spare.put(envelope);
        (res, buf)
    }

    /// Sends `buf` as a datagram, with what is in `envelope`: where to, and control data.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with buffer and envelope.
    ///
    /// # Cancellation
    /// **Lossy**: the datagram may have been sent.
    pub fn send_msg<T: IoBuf>(
        &self,
        buf: T,
        envelope: Envelope,
    ) -> impl Future<Output = BufResult<usize, (T, Envelope)>> + use<T> {
        op::sendmsg(&self.fd, buf, envelope)
    }

    /// Receives a datagram, and into `envelope` who it is from, whether it was cut, and control data as far as there is
    /// [room](Envelope::set_room).
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with buffer and envelope.
    ///
    /// # Cancellation
    /// **Lossy**: a datagram that was received is dropped.
    pub fn recv_msg<T: IoBufMut>(
        &self,
        buf: T,
        envelope: Envelope,
    ) -> impl Future<Output = BufResult<usize, (T, Envelope)>> + use<T> {
        op::recvmsg(&self.fd, buf, envelope, 0)
    }

    /// The address of this socket.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Local)?.to_std()
    }

    /// The address that this socket is connected to.
    ///
    /// # Errors
    /// `NotConnected` when it is to none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Peer)?.to_std()
    }

    /// Waits until there is something to receive. `relaxed` is there for monoio's programs: the answer is always a true
    /// one.
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

    /// Waits until there is room to send. `relaxed` is there for monoio's programs.
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
}

impl From<OwnedFd> for UdpSocket {
    /// Takes a descriptor over, which ought to be a UDP socket's.
    fn from(fd: OwnedFd) -> UdpSocket {
        UdpSocket { fd: Fd::socket(fd), spare: Spare::default() }
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl IntoRawFd for UdpSocket {
    /// The descriptor, which is the caller's to close. While an operation on the socket is in flight the number must
    /// stay open for it, and a duplicate is given instead.
    ///
    /// # Panics
    /// When a duplicate is needed and no descriptor is left.
    fn into_raw_fd(self) -> RawFd {
        match self.try_into_owned() {
            Ok(fd) => fd.into_raw_fd(),
            Err(shared) => shared.fd.duplicate().expect("a descriptor for a duplicate").into_raw_fd(),
        }
    }
}

impl FromRawFd for UdpSocket {
    unsafe fn from_raw_fd(fd: RawFd) -> UdpSocket {
        // SAFETY: Fresh descriptor: whoever calls this gives the number away.
        UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Both families, where the machine has both.
    fn pairs() -> Vec<(UdpSocket, UdpSocket)> {
        let bound = |addr| Some((UdpSocket::bind(addr).ok()?, UdpSocket::bind(addr).ok()?));
        let pairs: Vec<_> = ["127.0.0.1:0", "[::1]:0"].into_iter().filter_map(bound).collect();
        assert!(!pairs.is_empty());
        pairs
    }

    #[crate::test]
    async fn datagrams_keep_their_bounds_and_their_sender() {
        for (a, b) in pairs() {
            let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            for text in ["one", "", "three"] {
                assert_eq!(a.send_to(text, to).await.0.unwrap(), text.len());
            }
            let mut buf = Vec::with_capacity(64);
            let mut res;
            (res, buf) = b.peek_from(buf).await;
            assert_eq!((res.unwrap(), &buf[..]), ((3, from), &b"one"[..]));
            for text in ["one", "", "three"] {
                buf.clear();
                (res, buf) = b.recv_from(buf).await;
                assert_eq!((res.unwrap(), &buf[..]), ((text.len(), from), text.as_bytes()));
            }
        }
    }

    #[crate::test]
    async fn a_datagram_is_waited_for_and_cut_to_the_buffer() {
        let (a, b) = pairs().remove(0);
        let to = b.local_addr().unwrap();
        let receiving = crate::spawn(async move { b.recv_from(Vec::with_capacity(4)).await });
        crate::time::sleep(Duration::from_millis(5)).await;
        a.send_to("longer than four", to).await.0.unwrap();
        let (res, buf) = receiving.await.unwrap();
        assert_eq!((res.unwrap(), &buf[..]), ((4, a.local_addr().unwrap()), &b"long"[..]));
    }

    #[crate::test]
    async fn a_connected_socket_has_one_peer_and_hears_of_its_end() {
        for (a, b) in pairs() {
            assert_eq!(a.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
            a.connect(b.local_addr().unwrap()).await.unwrap();
            assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
            a.writable(true).await.unwrap();
            a.send("hi").await.0.unwrap();
            b.readable(true).await.unwrap();
            let (res, buf) = b.recv(Vec::with_capacity(8)).await;
            assert_eq!((res.unwrap(), &buf[..]), (2, &b"hi"[..]));
            drop(b);
            crate::testing::settle().await;
            a.send("nobody").await.0.unwrap();
            let (res, _) = a.recv(Vec::with_capacity(8)).await;
            assert_eq!(res.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[crate::test]
    async fn errors_give_the_buffer_back() {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (res, buf) = a.send_to(vec![0; 70_000], a.local_addr().unwrap()).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf.len()), (Some(libc::EMSGSIZE), 70_000));
        let (res, buf) = a.send_to("six", "[::1]:9".parse().unwrap()).await;
        assert!(res.is_err() && buf == "six");
        assert!(UdpSocket::bind(&[][..] as &[SocketAddr]).is_err());
        let taken = UdpSocket::bind(a.local_addr().unwrap()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }

    /// Red when a dropped receive takes a datagram although nothing had come, or keeps the socket for good.
    #[crate::test]
    async fn a_dropped_receive_leaves_the_socket_as_it_was() {
        let (a, b) = pairs().remove(0);
        for n in 0..20u8 {
            let mut receiving = Box::pin(b.recv_from(Vec::with_capacity(4)));
            crate::testing::poll_once(&mut receiving).await;
            drop(receiving);
            crate::testing::settle().await;
            a.send_to(vec![n], b.local_addr().unwrap()).await.0.unwrap();
            assert_eq!(b.recv(Vec::with_capacity(4)).await.1, [n]);
        }
        let std = b.into_std().expect("nothing is in flight");
        let again = UdpSocket::from_std(std).unwrap();
        let raw = again.into_raw_fd();
        // SAFETY: Fresh descriptor: `into_raw_fd` gives it away.
        let again = unsafe { UdpSocket::from_raw_fd(raw) };
        a.send_to("x", again.local_addr().unwrap()).await.0.unwrap();
        assert_eq!(again.recv(Vec::with_capacity(4)).await.1, b"x");
    }

    /// Red when one waits on after it was cancelled, or loses its buffer, or does what it was not cancelled for.
    #[crate::test]
    async fn what_is_cancelled_gives_its_buffer_back() {
        let (a, b) = pairs().remove(0);
        let canceller = crate::io::Canceller::new();
        let both =
            (b.cancelable_recv(vec![7; 4], canceller.handle()), a.cancelable_recv_from(vec![8; 4], canceller.handle()));
        let both = crate::time::timeout(std::time::Duration::from_secs(5), async { crate::join!(both.0, both.1) });
        let (both, canceller) = crate::join!(both, async { canceller.cancel() });
        let ((one, kept), (two, kept_too)) = both.expect("one waits on");
        let code = |error: io::Error| error.raw_os_error();
        assert_eq!((code(one.unwrap_err()), kept), (Some(libc::ECANCELED), vec![7; 4]));
        assert_eq!((code(two.unwrap_err()), kept_too), (Some(libc::ECANCELED), vec![8; 4]));

        let to = b.local_addr().unwrap();
        assert_eq!(a.cancelable_send_to("abc", to, canceller.handle()).await.0.unwrap(), 3);
        let (res, buf) = b.cancelable_recv_from(Vec::with_capacity(8), canceller.handle()).await;
        assert_eq!((res.unwrap(), &buf[..]), ((3, a.local_addr().unwrap()), &b"abc"[..]));
        a.connect(to).await.unwrap();
        assert_eq!(a.cancelable_send("de", canceller.handle()).await.0.unwrap(), 2);
        assert_eq!(b.cancelable_recv(Vec::with_capacity(8), canceller.handle()).await.1, b"de");
    }
}
