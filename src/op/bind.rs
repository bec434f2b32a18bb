//! `bind(2)`: `IORING_OP_BIND`, since Linux 6.11.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, sockaddr::SockAddr, unix::ret},
};
use std::{io, net::SocketAddr, os::fd::AsRawFd};

impl Sqe {
    /// Gives a socket the address of `len` bytes at `addr`, which is read when this is submitted.
    ///
    /// *Result*: 0. *Since* Linux 6.11. *Cancel*: nothing to cancel. *Twin*: `bind(2)`.
    #[must_use]
    pub fn bind(fd: impl Target, addr: *const libc::sockaddr, len: libc::socklen_t) -> Sqe {
        let (addr, off) = (addr as u64, u64::from(len));
        fd.aim(Sqe { opcode: sys::IORING_OP_BIND as u8, addr, off, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::here(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (addr, len) = (sqe.addr as *const libc::sockaddr, sqe.off as libc::socklen_t);
    // SAFETY: Lent: the address stays until completion.
    ret(unsafe { libc::bind(sqe.fd, addr, len) } as isize)
}

/// A bind, as an operation.
#[derive(Debug)]
pub struct Bind {
    fd: Fd,
    addr: Box<SockAddr>,
}

// SAFETY: Lent: the one thing named is the boxed address, and nobody changes it before `finish`.
unsafe impl Op for Bind {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::bind(self.fd.as_raw_fd(), self.addr.as_ptr(), self.addr.len())
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Gives a socket its own address.
///
/// # Errors
/// Those of `bind(2)`: `EADDRINUSE` when somebody has it, `EADDRNOTAVAIL` when it is not this machine's, `EACCES` for a
/// port below 1024 without the right to it.
///
/// # Cancellation
/// **Detached**: the socket may have the address all the same.
pub fn bind(fd: &Fd, addr: SocketAddr) -> Submit<Bind> {
    submit(Bind { fd: fd.clone(), addr: Box::new(addr.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::socket,
        sys::unix::{End, socket_addr},
    };

    #[crate::test]
    async fn an_address_is_given_once() {
        let fd = Fd::new(socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        bind(&fd, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = socket_addr(fd.as_raw_fd(), End::Local).unwrap().to_std().unwrap();
        assert_ne!(addr.port(), 0);
        let other = Fd::new(socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        assert_eq!(bind(&other, addr).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let foreign = bind(&other, "192.0.2.1:0".parse().unwrap()).await.unwrap_err();
        assert_eq!(foreign.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
