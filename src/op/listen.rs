//! `listen(2)`: `IORING_OP_LISTEN`, since Linux 6.11.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix::ret},
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// Lets a socket take connections; `backlog` of them wait to be accepted.
    ///
    /// *Result*: 0. *Since* Linux 6.11. *Cancel*: nothing to cancel. *Twin*: `listen(2)`.
    #[must_use]
    pub fn listen(fd: impl Target, backlog: u32) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_LISTEN as u8, len: backlog, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::here(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Plain call: the backlog is a number, cut to what the kernel allows.
    ret(unsafe { libc::listen(sqe.fd, sqe.len as i32) } as isize)
}

/// A listen, as an operation.
#[derive(Debug)]
pub struct Listen {
    fd: Fd,
    backlog: u32,
}

// SAFETY: Lent: a backlog and a descriptor, which `fd` holds open; no memory.
unsafe impl Op for Listen {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::listen(self.fd.as_raw_fd(), self.backlog)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Lets a bound socket take connections. `backlog` connections wait to be accepted; the kernel may cut the number
/// (`net.core.somaxconn`).
///
/// # Errors
/// Those of `listen(2)`: `EOPNOTSUPP` for a socket that knows no connections, `EADDRINUSE`.
///
/// # Cancellation
/// **Detached**: the socket may listen all the same.
pub fn listen(fd: &Fd, backlog: u32) -> Submit<Listen> {
    submit(Listen { fd: fd.clone(), backlog: backlog.min(i32::MAX as u32) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{bind, socket},
        sys::unix::{End, socket_addr},
    };

    #[crate::test]
    async fn a_listener_takes_connections() {
        let fd = Fd::new(socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        bind(&fd, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = socket_addr(fd.as_raw_fd(), End::Local).unwrap().to_std().unwrap();
        std::net::TcpStream::connect(addr).unwrap_err();
        listen(&fd, 4).await.unwrap();
        std::net::TcpStream::connect(addr).unwrap();
    }

    #[crate::test]
    async fn a_datagram_socket_cannot() {
        let fd = Fd::new(socket(libc::AF_INET, libc::SOCK_DGRAM, 0).await.unwrap());
        assert_eq!(listen(&fd, 4).await.unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}
