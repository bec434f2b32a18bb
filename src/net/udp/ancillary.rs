//! What goes and comes with datagrams: at which address of this machine, and in segments of which size.

use super::UdpSocket;
use crate::{buf::Envelope, op::Datagram, sys::datagrams};
use std::{io, net::IpAddr, os::fd::AsRawFd};

/// An address of this machine, and the interface that it was met at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddr {
    /// The address that a datagram was sent to.
    pub ip: IpAddr,
    /// The number of the interface that it came in by; 0 leaves the choice to the system.
    pub interface: u32,
}

/// Room for all control data that the methods of [`UdpSocket`] can switch on.
pub const CONTROL_ROOM: usize = 128;

/// Datagrams.
impl Envelope {
    /// Lets the bytes be sent as many datagrams of `size` bytes each, of which the last may be shorter (`UDP_SEGMENT`,
    /// generic segmentation offload): one system call and one way through the kernel for all of them. At most 64, and
    /// 65,507 bytes together.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot do that.
    pub fn set_segment_size(&mut self, size: u16) -> io::Result<()> {
        let (level, kind) = datagrams::segment()?;
        self.push(level, kind, &size.to_ne_bytes())
    }

    /// The size of the datagrams, if several came as one ([`UdpSocket::set_gro`]); the last may be shorter.
    #[must_use]
    pub fn segment_size(&self) -> Option<usize> {
        datagrams::segment_size(self.control_bytes())
    }

    /// Lets the datagram be sent from this address (`IP_PKTINFO`, `IPV6_PKTINFO`), by this interface.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot be told.
    pub fn set_local(&mut self, local: LocalAddr) -> io::Result<()> {
        let (level, kind, data) = datagrams::source(local.ip, local.interface)?;
        self.push(level, kind, &data)
    }

    /// The address that the datagram was sent to, if the socket tells ([`UdpSocket::set_recv_local`]).
    #[must_use]
    pub fn local(&self) -> Option<LocalAddr> {
        local(self.control_bytes())
    }
}

/// Datagrams.
impl Datagram {
    /// As [`Envelope::segment_size`].
    #[must_use]
    pub fn segment_size(&self) -> Option<usize> {
        datagrams::segment_size(self.control_bytes())
    }

    /// As [`Envelope::local`].
    #[must_use]
    pub fn local(&self) -> Option<LocalAddr> {
        local(self.control_bytes())
    }
}

fn local(control: &[u8]) -> Option<LocalAddr> {
    datagrams::local(control).map(|(ip, interface)| LocalAddr { ip, interface })
}

/// What comes with datagrams.
impl UdpSocket {
    /// Lets datagrams come with the address that they were sent to: see [`Envelope::local`].
    ///
    /// # Errors
    /// `Unsupported` where the system cannot tell.
    pub fn set_recv_local(&self, on: bool) -> io::Result<()> {
        datagrams::set_recv_local(self.as_raw_fd(), self.local_addr()?.is_ipv4(), on)
    }

    /// Lets several datagrams of one size from one sender come as one (`UDP_GRO`, generic receive offload), with their
    /// size beside them: see [`Envelope::segment_size`]. Buffers ought to have room for 65,535 bytes then.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot do that.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        datagrams::set_gro(self.as_raw_fd(), on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pool::RecvPool, time::timeout};
    use std::{io::Write, time::Duration};

    const SOON: Duration = Duration::from_secs(5);

    fn pair() -> (UdpSocket, UdpSocket) {
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    fn with_room() -> Envelope {
        let mut envelope = Envelope::new();
        envelope.set_room(CONTROL_ROOM);
        envelope
    }

    /// What the system lacks is said, and ends the test.
    fn has<T>(test: &str, res: io::Result<T>) -> bool {
        res.inspect_err(|e| {
            let _ = writeln!(io::stderr(), "SKIP {test}: {e}");
            assert!(e.kind() == io::ErrorKind::Unsupported || e.raw_os_error() == Some(libc::ENOPROTOOPT), "{e}");
        })
        .is_ok()
    }

    /// Red when the address is the socket's own and not the datagram's, or the answer leaves from another.
    #[crate::test]
    async fn an_answer_leaves_from_the_address_that_was_asked() {
        for (all, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let (Ok(server), asked) = (UdpSocket::bind(all), asked.parse::<IpAddr>().unwrap()) else { continue };
            if !has("an_answer_leaves_from_the_address_that_was_asked", server.set_recv_local(true)) {
                return;
            }
            let any = if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let Ok(client) = UdpSocket::bind(any) else { continue };
            let there = (asked, server.local_addr().unwrap().port()).into();
            client.send_to("who", there).await.0.unwrap();
            let received = timeout(SOON, server.recv_msg(Vec::with_capacity(8), with_room())).await.unwrap();
            let (res, (buf, mut envelope)) = received;
            let local = envelope.local().expect("it is told");
            assert_eq!((res.unwrap(), local.ip, envelope.is_control_truncated()), (3, asked, false));
            assert!(local.interface > 0);
            envelope.set_local(local).unwrap();
            server.send_msg(buf, envelope).await.0.unwrap();
            let (res, _) = timeout(SOON, client.recv_from(Vec::with_capacity(8))).await.unwrap();
            assert_eq!(res.unwrap(), (3, there));
        }
    }

    /// Red when the size is not passed on, or not told.
    #[crate::test]
    async fn many_datagrams_go_as_one_and_come_as_one() {
        let (a, b) = pair();
        let mut envelope = Envelope::new();
        envelope.set_addr(b.local_addr().unwrap());
        if !has("many_datagrams_go_as_one_and_come_as_one", envelope.set_segment_size(100)) {
            return;
        }
        let bytes: Vec<u8> = (0..950u32).map(|n| (n % 251) as u8).collect();
        let (res, (bytes, envelope)) = a.send_msg(bytes, envelope).await;
        if !has("many_datagrams_go_as_one_and_come_as_one", res) {
            return;
        }
        for part in bytes.chunks(100) {
            let (res, buf) = timeout(SOON, b.recv(Vec::with_capacity(1000))).await.unwrap();
            assert!(res.unwrap() == part.len() && buf == part, "each is a datagram");
        }
        b.set_gro(true).unwrap();
        let (res, (bytes, _)) = a.send_msg(bytes, envelope).await;
        assert_eq!(res.unwrap(), 950);
        let (mut got, mut together) = (Vec::new(), 0);
        while got.len() < 950 {
            let received = timeout(SOON, b.recv_msg(Vec::with_capacity(65_535), with_room())).await.unwrap();
            let (res, (buf, envelope)) = received;
            assert_eq!(res.unwrap(), buf.len());
            if buf.len() > 100 {
                assert_eq!(envelope.segment_size(), Some(100));
                together += 1;
            }
            got.extend(buf);
        }
        assert!(got == bytes && together > 0);
        b.set_gro(false).unwrap();
    }

    #[crate::test]
    async fn a_stream_tells_what_comes_along() {
        let (a, b) = pair();
        if !has("a_stream_tells_what_comes_along", b.set_recv_local(true)) {
            return;
        }
        let pool = RecvPool::new(8, 2048).unwrap();
        let mut stream = b.recv_stream(&pool, CONTROL_ROOM).unwrap();
        for n in 0..20u8 {
            a.send_to(vec![n], b.local_addr().unwrap()).await.0.unwrap();
            let came = timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
            assert_eq!((&came[..], came.addr().to_std().unwrap()), (&[n][..], a.local_addr().unwrap()));
            assert_eq!(came.local().unwrap().ip, b.local_addr().unwrap().ip());
            assert_eq!((came.segment_size(), came.is_truncated(), came.is_control_truncated()), (None, false, false));
        }
    }
}
