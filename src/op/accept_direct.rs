//! `accept4(2)`: `IORING_OP_ACCEPT`, since Linux 5.5. Into the ring's table.

use crate::{
    driver::{Fd, Opening},
    entry::{Cqe, Sqe, Target, Twin},
    op::{
        Op, Peer, Submit,
        accept::{self, Accept},
        submit,
    },
    sys::{
        self,
        unix::{self, Kind},
    },
};
use std::io;

impl Sqe {
    /// As [`accept`](Sqe::accept), but what is accepted goes to a free place of the ring's table, or to the one that
    /// [`direct`](Sqe::direct) says.
    ///
    /// *Result*: the place, or 0 for one that was said; `ENFILE` when none is free, and the connection is closed.
    /// *Since* Linux 5.19, to a place that is said 5.15. *Cancel*: while it waits. *Twin*: none.
    #[must_use]
    pub fn accept_direct(fd: impl Target, addr: *mut libc::sockaddr, len: *mut libc::socklen_t, flags: i32) -> Sqe {
        let plain = Sqe::accept(fd, addr, len, flags);
        // There is nothing to inherit, and to say so is refused.
        Sqe { op_flags: plain.op_flags & !(unix::SOCK_CLOEXEC as u32), ..plain }.direct_any()
    }
}

/// An accept into the ring's table, as an operation.
#[derive(Debug)]
pub struct AcceptDirect {
    accept: Accept,
    opening: Opening,
}

// SAFETY: Lent: that of `Accept`, whose memory this names.
unsafe impl Op for AcceptDirect {
    type Output = (io::Result<Fd>, Peer);

    fn twin(&self) -> &'static Twin {
        self.opening.twin(&accept::TWIN)
    }

    fn fd(&self) -> Option<&Fd> {
        self.accept.fd()
    }

    fn encode(&mut self) -> Sqe {
        self.opening = Opening::decide(sys::IORING_OP_ACCEPT as u8);
        let plain = self.accept.encode();
        self.opening.spell(plain, Sqe::accept_direct(plain.fd, plain.addr as *mut _, plain.off as *mut _, 0))
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|res| self.opening.opened(res, Some(Kind::Socket))), self.accept.into_peer())
    }
}

/// As [`accept`](crate::op::accept()), but the connection is a [direct](Fd::is_direct) descriptor where the ring can
/// have such (since Linux 6.8); elsewhere, and on the poll driver, an ordinary one.
///
/// # Errors
/// Those of `accept4(2)`; `ENFILE` when the ring's table is [full](crate::Builder::direct_descriptors), and then the
/// connection is closed.
///
/// # Cancellation
/// **Lossy**: a connection that was accepted is closed.
pub fn accept_direct(fd: &Fd) -> Submit<AcceptDirect> {
    submit(AcceptDirect { accept: Accept::new(fd), opening: Opening::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{op, testing::listener};
    use std::io::{Read, Write};

    #[crate::test]
    async fn accepts_whoever_comes() {
        let (listener, addr) = listener();
        let mut client = std::net::TcpStream::connect(addr).unwrap();
        let (server, peer) = accept_direct(&listener).await;
        let server = server.unwrap();
        assert_eq!(peer.ip().unwrap(), client.local_addr().unwrap());
        client.write_all(b"ping").unwrap();
        assert_eq!(op::recv(&server, Vec::with_capacity(8)).await.1, b"ping");
        op::send(&server, "pong").await.0.unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    }

    #[crate::test]
    async fn a_socket_that_does_not_listen_is_an_error() {
        let socket = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        let (res, _) = accept_direct(&socket).await;
        assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
