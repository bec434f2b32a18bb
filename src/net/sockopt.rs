//! The options of a TCP connection.

use super::{Device, TcpStream};
use crate::sys::unix;
use socket2::SockRef;
use std::{io, net::IpAddr, time::Duration};

/// Options. Those that a system lacks answer `Unsupported`, or what the kernel says (`ENOPROTOOPT`). For any that has
/// no method here there is the crate `socket2`: `socket2::SockRef::from(&stream)`. Those of a direct connection answer
/// `Unsupported`; [`op::setsockopt`](crate::op::setsockopt()) sets them.
impl TcpStream {
    fn socket(&self) -> io::Result<SockRef<'_>> {
        self.fd().numbered()?;
        Ok(SockRef::from(self))
    }

    /// Whether the packets are those of IPv4, be it behind an address of IPv6.
    fn is_v4(&self) -> io::Result<bool> {
        Ok(match self.local_addr()?.ip() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
        })
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket()?.tcp_nodelay()
    }

    /// Sends small writes at once, or else waits a moment for more (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_tcp_nodelay(on)
    }

    /// Whether the kernel looks after the connection while it is silent (`SO_KEEPALIVE`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket()?.keepalive()
    }

    /// Lets the kernel look after the connection while it is silent, or not (`SO_KEEPALIVE`), by the system's times or
    /// those that were set before.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_keepalive(on)
    }

    /// Lets the kernel look after the connection while it is silent: after `time`, then every `interval`, and `retries`
    /// questions may go without an answer (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`; whole seconds). `None`
    /// leaves the system's.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EINVAL` for what is less than a second. `Unsupported` on OpenBSD, unless all are
    /// `None`.
    pub fn set_tcp_keepalive(
        &self,
        time: Option<Duration>,
        interval: Option<Duration>,
        retries: Option<u32>,
    ) -> io::Result<()> {
        unix::keep_alive(&self.socket()?, time, interval, retries)
    }

    /// How the kernel looks after the connection while it is silent, if it does ([`keepalive`](TcpStream::keepalive)):
    /// after what time, how often then, and how many questions may go without an answer.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`; `Unsupported` on OpenBSD.
    pub fn tcp_keepalive(&self) -> io::Result<(Duration, Duration, u32)> {
        unix::keeping_alive(&self.socket()?)
    }

    /// What becomes of data that was not delivered yet when the connection is closed; see
    /// [`set_linger`](TcpStream::set_linger).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket()?.linger()
    }

    /// What becomes of data that was not delivered yet when the connection is closed (`SO_LINGER`, whole seconds).
    /// `None`: the kernel goes on with it, and closing does not wait, as is the default. Zero: it is thrown away, and
    /// the peer is told by a reset. A time: closing waits so long, and so does the thread that it happens on.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket()?.set_linger(linger)
    }

    /// How many routers a packet may pass (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn ttl(&self) -> io::Result<u32> {
        if self.is_v4()? { self.socket()?.ttl_v4() } else { self.socket()?.unicast_hops_v6() }
    }

    /// Sets how many routers a packet may pass (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EINVAL` for more than 255.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        if self.is_v4()? { self.socket()?.set_ttl_v4(hops) } else { self.socket()?.set_unicast_hops_v6(hops) }
    }

    /// The class of service that packets ask for (`IP_TOS`, `IPV6_TCLASS`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn tos(&self) -> io::Result<u32> {
        if self.is_v4()? { self.socket()?.tos_v4() } else { self.socket()?.tclass_v6() }
    }

    /// Asks for a class of service (`IP_TOS`, `IPV6_TCLASS`): the eight bits as they stand in the packet. The lowest
    /// two are TCP's own.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_tos(&self, class: u32) -> io::Result<()> {
        if self.is_v4()? { self.socket()?.set_tos_v4(class) } else { self.socket()?.set_tclass_v6(class) }
    }

    /// The mark of the packets (`SO_MARK`).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn mark(&self) -> io::Result<u32> {
        unix::mark(&self.socket()?)
    }

    /// Marks the packets, for rules of routing and filtering (`SO_MARK`).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux; `PermissionDenied` without `CAP_NET_ADMIN` or, since Linux 5.17,
    /// `CAP_NET_RAW`.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        unix::set_mark(&self.socket()?, mark)
    }

    /// The interface that the connection is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn device(&self) -> io::Result<Option<Device>> {
        unix::device(&self.socket()?)?.map(Device::new).transpose()
    }

    /// Lets packets come and go by this interface only (`SO_BINDTODEVICE`). Mostly it is wanted before the connection
    /// is made: [`TcpConnectOpts::device`](struct@super::TcpConnectOpts).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux; `ENODEV` when there is no such interface; `PermissionDenied` without
    /// `CAP_NET_RAW`, if the socket is bound to one already.
    pub fn bind_device(&self, device: Option<Device>) -> io::Result<()> {
        unix::bind_device(&self.socket()?, device.as_ref().map(Device::as_bytes))
    }

    /// How long data may be on its way without an answer, before the connection is given up (`TCP_USER_TIMEOUT`);
    /// `None` for the system's time.
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(unix::user_timeout(&self.socket()?)?.filter(|limit| !limit.is_zero()))
    }

    /// Sets how long data may be on its way without an answer, before the connection is given up with `TimedOut`
    /// (`TCP_USER_TIMEOUT`, whole milliseconds).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn set_user_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        unix::set_user_timeout(&self.socket()?, limit)
    }

    /// The algorithm that the rate goes by (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux and FreeBSD.
    pub fn congestion(&self) -> io::Result<String> {
        let name = unix::congestion(&self.socket()?)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Sets the algorithm that the rate goes by, such as `cubic` or `bbr` (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux and FreeBSD; `NotFound` when the system has no such algorithm;
    /// `PermissionDenied` for one that is not for everybody.
    pub fn set_congestion(&self, name: &str) -> io::Result<()> {
        unix::set_congestion(&self.socket()?, name.as_bytes())
    }

    /// Bytes of the send buffer (`SO_SNDBUF`), as the kernel counts them: Linux counts twice of what was asked for.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.socket()?.send_buffer_size()
    }

    /// Asks for a send buffer of `bytes` (`SO_SNDBUF`); the system has a least and a most, and uses those instead.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket()?.set_send_buffer_size(bytes.min(i32::MAX as usize))
    }

    /// Bytes of the receive buffer (`SO_RCVBUF`), as the kernel counts them: Linux counts twice of what was asked for.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.socket()?.recv_buffer_size()
    }

    /// Asks for a receive buffer of `bytes` (`SO_RCVBUF`); the system has a least and a most, and uses those instead.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket()?.set_recv_buffer_size(bytes.min(i32::MAX as usize))
    }

    /// The error that waits for the next operation, if there is one; it does not meet it any more then (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket()?.take_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TcpListener;

    async fn pair(addr: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(addr).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// What was set is what is asked for; or the system lacks the option, and says so.
    #[track_caller]
    fn kept<T: PartialEq + std::fmt::Debug>(set: io::Result<()>, get: io::Result<T>, wanted: T) {
        match (set, get) {
            (Ok(()), Ok(got)) => assert_eq!(got, wanted),
            (Err(set), Err(got)) => {
                assert_eq!((set.kind(), got.kind()), (io::ErrorKind::Unsupported, io::ErrorKind::Unsupported));
                assert!(got.to_string().contains("on this system"), "{got}");
            }
            (set, got) => panic!("{set:?}, {got:?}"),
        }
    }

    /// Red when a setter and its getter mean different options, or one of them does nothing.
    #[crate::test]
    async fn options_are_kept() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let (a, _b) = pair(addr).await;
            for on in [true, false] {
                kept(a.set_nodelay(on), a.nodelay(), on);
                kept(a.set_keepalive(on), a.keepalive(), on);
            }
            for time in [Some(Duration::from_secs(3)), None] {
                kept(a.set_linger(time), a.linger(), time);
                kept(a.set_user_timeout(time), a.user_timeout(), time);
            }
            kept(a.set_ttl(17), a.ttl(), 17);
            kept(a.set_tos(0x20), a.tos(), 0x20);
            for size in [16 << 10, 64 << 10] {
                a.set_send_buffer_size(size).unwrap();
                a.set_recv_buffer_size(size).unwrap();
                for got in [a.send_buffer_size().unwrap(), a.recv_buffer_size().unwrap()] {
                    assert!(got == size || got == 2 * size, "{got} for {size}");
                }
            }
            a.set_send_buffer_size(usize::MAX).unwrap();
        }
    }

    /// The options of the two families differ, and an address of one may belong to packets of the other.
    #[crate::test]
    async fn options_go_by_the_packets_family() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mapped, peer) = listener.accept().await.unwrap();
        assert!(matches!(peer, std::net::SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some()), "{peer}");
        if let Ok(()) = mapped.set_ttl(9) {
            assert_eq!(SockRef::from(&mapped).ttl_v4().unwrap(), 9);
        }
        let (v6, _other) = pair("[::1]:0").await;
        v6.set_ttl(9).unwrap();
        assert_eq!(SockRef::from(&v6).unicast_hops_v6().unwrap(), 9);
        assert_eq!(v6.set_ttl(300).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[crate::test]
    async fn the_kernel_looks_after_a_connection_as_it_was_told() {
        let (a, _b) = pair("127.0.0.1:0").await;
        a.set_tcp_keepalive(None, None, None).unwrap();
        assert!(a.keepalive().unwrap());
        let (time, interval) = (Duration::from_secs(77), Duration::from_secs(11));
        kept(a.set_tcp_keepalive(Some(time), Some(interval), Some(5)), a.tcp_keepalive(), (time, interval, 5));
    }

    /// What needs a right that not everybody has, or an algorithm that not every kernel has.
    #[crate::test]
    async fn options_of_few_are_kept_or_refused() {
        let (a, _b) = pair("127.0.0.1:0").await;
        match a.set_mark(7) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => assert_eq!(a.mark().unwrap(), 0),
            set => kept(set, a.mark(), 7),
        }
        let lo = Device::new("lo").unwrap();
        kept(a.bind_device(Some(lo)), a.device(), Some(lo));
        let nowhere = a.bind_device(Some(Device::new("no-such-device").unwrap())).unwrap_err();
        assert!([Some(libc::ENODEV), Some(libc::EPERM), None].contains(&nowhere.raw_os_error()), "{nowhere}");
        match a.congestion() {
            Ok(name) => {
                a.set_congestion(&name).unwrap();
                a.set_congestion("reno").unwrap();
                assert_eq!(a.congestion().unwrap(), "reno");
                assert_eq!(a.set_congestion("none-such").unwrap_err().kind(), io::ErrorKind::NotFound);
            }
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Unsupported),
        }
    }

    /// Red when the error is left for the next operation.
    #[crate::test]
    async fn an_error_is_taken_once() {
        let (a, b) = pair("127.0.0.1:0").await;
        assert!(a.take_error().unwrap().is_none());
        b.set_linger(Some(Duration::ZERO)).unwrap();
        drop(b);
        a.readable(false).await.unwrap();
        assert_eq!(a.take_error().unwrap().map(|e| e.kind()), Some(io::ErrorKind::ConnectionReset));
        assert!(a.take_error().unwrap().is_none());
    }
}
