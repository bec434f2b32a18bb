//! The options of a UDP socket.

use super::UdpSocket;
use crate::{net::set, sys::unix};
use socket2::SockRef;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

impl UdpSocket {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    /// Lets the address be bound by others as well (`SO_REUSEADDR`); after the bind it changes nothing for this socket.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_reuse_address(&self, on: bool) -> io::Result<()> {
        self.socket().set_reuse_address(on)
    }

    /// Lets the address be shared with sockets that want to share it (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_reuse_port(&self, on: bool) -> io::Result<()> {
        set(&self.fd, libc::SOL_SOCKET, unix::SO_REUSEPORT, on.into())
    }

    /// Whether datagrams may be sent to everybody (`SO_BROADCAST`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket().broadcast()
    }

    /// Lets datagrams be sent to everybody (`SO_BROADCAST`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket().set_broadcast(on)
    }

    /// How many routers a datagram may pass (`IP_TTL`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl_v4()
    }

    /// Lets a datagram pass so many routers (`IP_TTL`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl_v4(ttl)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface that has the address `interface`
    /// ([`UNSPECIFIED`](Ipv4Addr::UNSPECIFIED): the system's choice).
    ///
    /// # Errors
    /// `EINVAL` for what is no group, `ENODEV` when no interface has the address, `EADDRINUSE` for one that was joined.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket().join_multicast_v4(&multiaddr, &interface)
    }

    /// Receives no more of what is sent to the group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for a group that was not joined.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket().leave_multicast_v4(&multiaddr, &interface)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface with the number `interface` (0: the system's
    /// choice).
    ///
    /// # Errors
    /// As for [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().join_multicast_v6(multiaddr, interface)
    }

    /// Receives no more of what is sent to the group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for a group that was not joined.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().leave_multicast_v6(multiaddr, interface)
    }

    /// Whether what is sent to a group comes back to this machine (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v4()
    }

    /// Lets what is sent to a group come back to this machine (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v4(on)
    }

    /// The same for IPv6 (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v6()
    }

    /// The same for IPv6 (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v6(on)
    }

    /// How many routers a datagram to a group may pass (`IP_MULTICAST_TTL`); 1 by default, which is none.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket().multicast_ttl_v4()
    }

    /// Lets a datagram to a group pass so many routers (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_multicast_ttl_v4(ttl)
    }

    /// The bytes that may wait to be received (`SO_RCVBUF`), as the system counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.socket().recv_buffer_size()
    }

    /// Lets so many bytes wait to be received (`SO_RCVBUF`); the system has its own least and most.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket().set_recv_buffer_size(bytes)
    }

    /// The bytes that may wait to be sent (`SO_SNDBUF`), as the system counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.socket().send_buffer_size()
    }

    /// Lets so many bytes wait to be sent (`SO_SNDBUF`); the system has its own least and most.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.socket().set_send_buffer_size(bytes)
    }

    /// The error that waits on the socket, which is taken away (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::timeout;
    use std::{io::Write, time::Duration};

    #[crate::test]
    async fn options_are_kept() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for on in [true, false] {
            socket.set_broadcast(on).unwrap();
            socket.set_multicast_loop_v4(on).unwrap();
            assert_eq!((socket.broadcast().unwrap(), socket.multicast_loop_v4().unwrap()), (on, on));
        }
        socket.set_ttl(7).unwrap();
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (7, 3));
        socket.set_recv_buffer_size(100_000).unwrap();
        socket.set_send_buffer_size(100_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 100_000 && socket.send_buffer_size().unwrap() >= 100_000);
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        assert!(socket.take_error().unwrap().is_none());
        assert!(socket.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED).is_err(), "it is no group");
    }

    /// Red when a group is not left.
    #[crate::test]
    async fn a_group_is_joined_and_left() {
        let (group, all) = (Ipv4Addr::new(239, 255, 77, 1), Ipv4Addr::LOCALHOST);
        let receiver = UdpSocket::bind("0.0.0.0:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Err(e) = receiver.join_multicast_v4(group, all) {
            let _ = writeln!(io::stderr(), "SKIP a_group_is_joined_and_left: {e}");
            return;
        }
        let to = (group, receiver.local_addr().unwrap().port()).into();
        if let Err(e) = sender.send_to("hear", to).await.0 {
            let _ = writeln!(io::stderr(), "SKIP a_group_is_joined_and_left: {e}");
            return;
        }
        let soon = Duration::from_secs(5);
        let (res, buf) = timeout(soon, receiver.recv_from(Vec::with_capacity(8))).await.expect("it was joined");
        assert_eq!((res.unwrap().0, &buf[..]), (4, &b"hear"[..]));
        receiver.leave_multicast_v4(group, all).unwrap();
        assert!(receiver.leave_multicast_v4(group, all).is_err(), "it was left");
    }
}
