//! The queue of errors: what became of datagrams that were sent.

use super::{CONTROL_ROOM, UdpSocket};
use crate::{
    buf::{BufResult, Envelope, IoBufMut},
    entry::Interest,
    op,
    sys::datagrams::{self, Trouble},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

/// What a datagram met that was sent.
#[derive(Debug)]
pub struct SendError {
    /// The error, as the next operation on the socket would have it: `ECONNREFUSED`, `EHOSTUNREACH`, `EMSGSIZE`.
    pub error: io::Error,
    /// Where the datagram was to go.
    pub to: Option<SocketAddr>,
    /// How many of its bytes are in the buffer.
    pub len: usize,
    /// Who told: a router or the host that it was for. `None` when it was this machine.
    pub offender: Option<IpAddr>,
    /// The type and the code of the ICMP message, if it was one.
    pub icmp: Option<(u8, u8)>,
    /// The largest datagram that would have passed, if it was too large (`EMSGSIZE`).
    pub mtu: Option<u32>,
}

impl SendError {
    fn new(trouble: Trouble, to: Option<SocketAddr>, len: usize) -> SendError {
        let Trouble { errno, origin, kind, code, info, offender } = trouble;
        // Those of ICMP, for IPv4 and for IPv6.
        let is_icmp = matches!(origin, 2 | 3);
        SendError {
            error: io::Error::from_raw_os_error(errno),
            to,
            len,
            offender: offender.map(|addr| addr.ip()),
            icmp: is_icmp.then_some((kind, code)),
            mtu: (errno == libc::EMSGSIZE).then_some(info),
        }
    }
}

/// Errors of datagrams.
impl UdpSocket {
    /// Keeps what is told of datagrams that were sent (`IP_RECVERR`, `IPV6_RECVERR`), for [`UdpSocket::recv_error`]. A
    /// socket that is not connected hears of its datagrams' errors then, too: as the error of the next operation.
    ///
    /// # Errors
    /// `Unsupported` where there is no queue of errors.
    pub fn set_recv_errors(&self, on: bool) -> io::Result<()> {
        datagrams::set_recv_errors(self.as_raw_fd(), self.local_addr()?.is_ipv4(), on)
    }

    /// Waits for the next error of a datagram that was sent, and receives the beginning of that datagram into `buf`.
    /// Only a socket that [keeps them](UdpSocket::set_recv_errors) has any.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, with the buffer; `Unsupported` where there is no queue of errors.
    ///
    /// # Cancellation
    /// **Lossy**: an error that was received is dropped.
    pub async fn recv_error<T: IoBufMut>(&self, mut buf: T) -> BufResult<SendError, T> {
        let flags = match datagrams::error_queue() {
            Ok(flag) => flag | libc::MSG_DONTWAIT,
            Err(e) => return (Err(e), buf),
        };
        // Whoever waits to receive is not to stand behind whoever waits for an error: so this waits for changes.
        let mut changes = op::poll_multi(&self.fd, Interest::Read);
        let (mut envelope, mut res) = (Envelope::new(), None);
        envelope.set_room(CONTROL_ROOM);
        while res.is_none() {
            let received;
            (received, (buf, envelope)) = op::recvmsg(&self.fd, buf, envelope, flags).await;
            res = match received {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => match changes.next().await {
                    Some(Ok(())) => None,
                    Some(Err(e)) => Some(Err(e)),
                    None => Some(Err(io::Error::other("annulus: nobody tells of changes any more"))),
                },
                received => Some(received.and_then(|n| told(&envelope, n))),
            };
        }
        (res.expect("just seen"), buf)
    }
}

fn told(envelope: &Envelope, n: usize) -> io::Result<SendError> {
    let trouble = datagrams::trouble(envelope.control_bytes());
    let trouble = trouble.ok_or_else(|| io::Error::other("annulus: an error came without saying which"))?;
    Ok(SendError::new(trouble, envelope.addr().to_std().ok(), n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{sleep, timeout};
    use std::{io::Write, time::Duration};

    const SOON: Duration = Duration::from_secs(5);

    /// Red when whoever waits for an error keeps a receive from what is there, or is not woken.
    #[crate::test]
    async fn an_error_tells_which_datagram_met_whom() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Err(e) = socket.set_recv_errors(true) {
            assert_eq!(e.kind(), io::ErrorKind::Unsupported);
            let _ = writeln!(io::stderr(), "SKIP an_error_tells_which_datagram_met_whom: {e}");
            assert_eq!(socket.recv_error(vec![0; 8]).await.0.unwrap_err().kind(), io::ErrorKind::Unsupported);
            return;
        }
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        crate::testing::settle().await;
        let socket = std::rc::Rc::new(socket);
        let waiting = socket.clone();
        let erring = crate::spawn(async move { waiting.recv_error(Vec::with_capacity(64)).await });
        sleep(Duration::from_millis(2)).await;
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to("data", socket.local_addr().unwrap()).await.0.unwrap();
        let (res, _) = timeout(SOON, socket.recv_from(Vec::with_capacity(8))).await.expect("it is kept from the data");
        assert_eq!(res.unwrap().0, 4);
        socket.send_to("lost", nobody).await.0.unwrap();
        let (res, buf) = timeout(SOON, erring).await.expect("nobody tells").unwrap();
        let told = res.unwrap();
        assert_eq!(
            (told.error.kind(), told.to, &buf[..]),
            (io::ErrorKind::ConnectionRefused, Some(nobody), &b"lost"[..])
        );
        assert_eq!((told.offender, told.icmp, told.mtu), (Some(nobody.ip()), Some((3, 3)), None));
        assert_eq!(told.len, 4);
    }
}
