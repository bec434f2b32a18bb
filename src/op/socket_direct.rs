//! `socket(2)`: `IORING_OP_SOCKET`, since Linux 5.19. Into the ring's table.

use crate::{
    driver::{Fd, Opening},
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, socket, submit},
    sys::{
        self,
        unix::{self, Kind},
    },
};
use std::io;

impl Sqe {
    /// As [`socket`](Sqe::socket), but the socket goes to a free place of the ring's table, or to the one that
    /// [`direct`](Sqe::direct) says.
    ///
    /// *Result*: the place, or 0 for one that was said; `ENFILE` when none is free. *Since* Linux 5.19. *Cancel*:
    /// nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn socket_direct(domain: i32, kind: i32, protocol: i32) -> Sqe {
        let plain = Sqe::socket(domain, kind, protocol);
        // There is nothing to inherit, and to say so is refused.
        Sqe { off: plain.off & !(unix::SOCK_CLOEXEC as u64), ..plain }.direct_any()
    }
}

/// The making of a direct socket, as an operation.
#[derive(Debug)]
pub struct SocketDirect {
    domain: i32,
    kind: i32,
    protocol: i32,
    opening: Opening,
}

// SAFETY: Lent: three numbers, and neither memory nor a descriptor.
unsafe impl Op for SocketDirect {
    type Output = io::Result<Fd>;

    fn twin(&self) -> &'static Twin {
        self.opening.twin(&socket::TWIN)
    }

    fn encode(&mut self) -> Sqe {
        self.opening = Opening::decide(sys::IORING_OP_SOCKET as u8);
        let plain = socket::spelled(self.domain, self.kind, self.protocol);
        self.opening.spell(plain, Sqe::socket_direct(self.domain, self.kind, self.protocol))
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result().map(|res| self.opening.opened(res, Some(Kind::Socket)))
    }
}

/// As [`socket`](crate::op::socket()), but the socket is a [direct](Fd::is_direct) descriptor where the ring can have
/// such (since Linux 6.8); elsewhere, and on the poll driver, an ordinary one.
///
/// # Errors
/// Those of `socket(2)`; `ENFILE` when the ring's table is [full](crate::Builder::direct_descriptors).
///
/// # Cancellation
/// **Clean**: a socket that was made is closed.
pub fn socket_direct(domain: i32, kind: i32, protocol: i32) -> Submit<SocketDirect> {
    submit(SocketDirect { domain, kind, protocol, opening: Opening::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn makes_a_socket_or_says_why_not() {
        let sockets = [libc::AF_INET, libc::AF_UNIX].map(|family| socket_direct(family, libc::SOCK_STREAM, 0));
        for socket in sockets {
            socket.await.unwrap();
        }
        let error = socket_direct(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT));
    }
}
