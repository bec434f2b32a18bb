//! A socket of any family, type and protocol.

use super::Spare;
use crate::{
    buf::{BufResult, Envelope, IoBuf, IoBufMut},
    driver::{Driver, Fd},
    op::{self, Accept},
    sys::{
        self,
        sockaddr::SockAddr,
        unix::{self, End},
    },
};
use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// A socket of any family, type and protocol, with addresses as the system has them: for vsock, raw sockets and
/// whatever else has no type of its own here.
///
/// ```
/// use annulus::net::{SockAddr, Socket};
///
/// annulus::run(async {
///     let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
///     let listener = Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)?;
///     listener.bind(&any.into())?;
///     listener.listen(16)?;
///
///     let client = Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)?;
///     client.connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer.to_std()?, client.local_addr()?.to_std()?);
///
///     client.send("ping").await.0?;
///     assert_eq!(server.recv(Vec::with_capacity(16)).await.1, b"ping");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Socket {
    fd: Fd,
    spare: Spare,
}

impl Socket {
    /// A socket; the arguments are the `AF_*`, `SOCK_*` and `IPPROTO_*` of `socket(2)`. Children do not inherit it.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EPERM` for a raw socket without the right to it.
    pub fn new(domain: i32, kind: i32, protocol: i32) -> io::Result<Socket> {
        match unix::new_socket(domain, kind | unix::SOCK_CLOEXEC, protocol) {
            // SAFETY: Fresh descriptor: the socket was made for this value.
            fd @ 0.. => Socket::from_owned(unsafe { OwnedFd::from_raw_fd(fd) }),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }

    /// Takes a socket over. On the poll driver it becomes non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_owned(fd: OwnedFd) -> io::Result<Socket> {
        let on_ring = |opcode| Driver::current().is_some_and(|driver| driver.on_ring(opcode as u8));
        if !(on_ring(sys::IORING_OP_ACCEPT) && on_ring(sys::IORING_OP_CONNECT)) {
            // Those twins must not block.
            unix::set_nonblocking(fd.as_raw_fd(), true)?;
        }
        Ok(Socket { fd: Fd::socket(fd), spare: Spare::default() })
    }

    /// The socket's descriptor, for operations of [`op`](crate::op).
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// The descriptor itself.
    ///
    /// # Errors
    /// Gives the socket back while operations on it are in flight.
    pub fn try_into_owned(self) -> Result<OwnedFd, Socket> {
        let Socket { fd, spare } = self;
        fd.try_into_owned().map_err(|fd| Socket { fd, spare })
    }

    /// Gives the socket its address.
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        unix::bind(self.fd.as_raw_fd(), addr)
    }

    /// Lets the socket take connections, of which so many may wait.
    ///
    /// # Errors
    /// Those of `listen(2)`.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        unix::listen(self.fd.as_raw_fd(), backlog)
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    ///
    /// # Cancellation
    /// **Lossy**: the connection may have been made, and the socket is good for nothing but closing.
    pub async fn connect(&self, addr: SockAddr) -> io::Result<()> {
        op::connect_to(&self.fd, addr).await
    }

    /// Takes the next connection, and tells who it is from.
    ///
    /// # Errors
    /// Those of `accept4(2)`.
    ///
    /// # Cancellation
    /// **Lossy**: a connection that was accepted is closed.
    pub async fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        let (fd, peer) = Accept::with_room(&self.fd, Box::new(SockAddr::room())).await;
        let addr = *peer.into_room();
        Ok((Socket::from_owned(fd?)?, addr))
    }

    /// Sends `buf`. Gives the number of bytes, which may be fewer on a stream.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: it may have been sent.
    pub async fn send<T: IoBuf>(&self, buf: T) -> BufResult<usize, T> {
        op::send(&self.fd, buf).await
    }

    /// Receives into `buf`. Gives the number of bytes; what does not fit of a message is lost.
    ///
    /// # Errors
    /// Those of `recv(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: what was received goes down with the buffer.
    pub async fn recv<T: IoBufMut>(&self, buf: T) -> BufResult<usize, T> {
        op::recv(&self.fd, buf).await
    }

    /// Sends `buf` to `addr`.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: it may have been sent.
    pub async fn send_to<T: IoBuf>(&self, buf: T, addr: SockAddr) -> BufResult<usize, T> {
        let mut envelope = self.spare.take();
        envelope.set_addr(addr);
        let (res, (buf, envelope)) = op::sendmsg(&self.fd, buf, envelope).await;
        self.spare.put(envelope);
        (res, buf)
    }

    /// Receives a message, and tells who it is from.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: what was received goes down with the buffer.
    pub async fn recv_from<T: IoBufMut>(&self, buf: T) -> BufResult<(usize, SockAddr), T> {
        let (res, (buf, envelope)) = op::recvmsg(&self.fd, buf, self.spare.take(), 0).await;
        let res = res.map(|n| (n, *envelope.addr()));
        self.spare.put(envelope);
        (res, buf)
    }

    /// Sends `buf` with what is in `envelope`.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with buffer and envelope.
    ///
    /// # Cancellation
    /// **Lossy**: it may have been sent.
    pub async fn send_msg<T: IoBuf>(&self, buf: T, envelope: Envelope) -> BufResult<usize, (T, Envelope)> {
        op::sendmsg(&self.fd, buf, envelope).await
    }

    /// Receives into `buf`, and what comes along into `envelope`.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with buffer and envelope.
    ///
    /// # Cancellation
    /// **Lossy**: what was received is lost; descriptors are closed.
    pub async fn recv_msg<T: IoBufMut>(&self, buf: T, envelope: Envelope) -> BufResult<usize, (T, Envelope)> {
        op::recvmsg(&self.fd, buf, envelope, 0).await
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

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SockAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Local)
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// `NotConnected` when there is none.
    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        unix::socket_addr(self.fd.as_raw_fd(), End::Peer)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::timeout;
    use std::{io::Write, net::SocketAddr, time::Duration};

    const SOON: Duration = Duration::from_secs(5);

    fn skip(test: &str, why: &io::Error) {
        let _ = writeln!(io::stderr(), "SKIP {test}: {why}");
    }

    #[crate::test]
    async fn messages_go_to_addresses_as_the_system_has_them() {
        let any: SockAddr = "127.0.0.1:0".parse::<SocketAddr>().unwrap().into();
        let [a, b] = [0; 2].map(|_| Socket::new(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap());
        a.bind(&any).unwrap();
        b.bind(&any).unwrap();
        a.send_to("to whom", b.local_addr().unwrap()).await.0.unwrap();
        let (res, buf) = b.recv_from(Vec::with_capacity(16)).await;
        let (n, from) = res.unwrap();
        assert_eq!((n, &buf[..], from.as_bytes()), (7, &b"to whom"[..], a.local_addr().unwrap().as_bytes()));
        assert_eq!(a.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
        let none = Socket::new(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP).unwrap_err();
        assert_eq!(none.raw_os_error(), Some(libc::EPROTONOSUPPORT));
    }

    /// The machine itself, as hypervisors count.
    const LOCAL: u32 = 1;

    #[crate::test]
    async fn a_machine_talks_to_itself_by_vsock() {
        const NAME: &str = "a_machine_talks_to_itself_by_vsock";
        let any = match SockAddr::vsock(LOCAL, u32::MAX) {
            Ok(any) => any,
            Err(e) => return skip(NAME, &e),
        };
        let made = || Socket::new(any.family(), libc::SOCK_STREAM, 0);
        let (listener, client) = match made().and_then(|listener| Ok((listener, made()?))) {
            Ok(both) => both,
            Err(e) => return skip(NAME, &e),
        };
        if let Err(e) = listener.bind(&any).and_then(|()| listener.listen(4)) {
            return skip(NAME, &e);
        }
        let (cid, port) = listener.local_addr().unwrap().as_vsock().unwrap();
        assert_eq!(cid, LOCAL);
        match timeout(SOON, client.connect(SockAddr::vsock(cid, port).unwrap())).await.expect("it hangs") {
            Ok(()) => {}
            Err(e) => return skip(NAME, &e),
        }
        let (server, peer) = timeout(SOON, listener.accept()).await.expect("it hangs").unwrap();
        assert_eq!(peer.as_vsock(), client.local_addr().unwrap().as_vsock());
        client.send("between machines").await.0.unwrap();
        let (_, buf) = timeout(SOON, server.recv(Vec::with_capacity(32))).await.expect("it hangs");
        assert_eq!(buf, b"between machines");
        client.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(timeout(SOON, server.recv(Vec::with_capacity(32))).await.expect("it hangs").0.unwrap(), 0);
    }

    /// The sum that IP and ICMP protect their headers with.
    fn checksum(bytes: &[u8]) -> [u8; 2] {
        let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
    }

    #[crate::test]
    async fn an_echo_request_is_answered() {
        let socket = match Socket::new(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP) {
            Ok(socket) => socket,
            Err(e) => return skip("an_echo_request_is_answered", &e),
        };
        let mut request = *b"\x08\0\0\0nn\0\x01ping";
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum);
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        if let Err(e) = socket.send_to(request.to_vec(), here.into()).await.0 {
            return skip("an_echo_request_is_answered", &e);
        }
        for _ in 0..50 {
            let received = timeout(SOON, socket.recv_from(Vec::with_capacity(128))).await;
            let (res, packet) = received.expect("nobody answers");
            assert_eq!(res.unwrap().1.to_std().unwrap().ip(), here.ip());
            // Behind the header of IP, which a raw socket sees: an answer, and not our own question.
            if packet.get(20) == Some(&0) && packet.ends_with(b"ping") {
                return;
            }
        }
        panic!("everything but an answer");
    }
}
