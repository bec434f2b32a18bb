//! `connect(2)`: `IORING_OP_CONNECT`, since Linux 5.5. The twin's second call asks what came of the first.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Twin},
    op::{Op, Submit, submit},
    sys::{
        self,
        sockaddr::SockAddr,
        unix::{self, ret},
    },
};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
};

impl Sqe {
    /// Connects to the address of `len` bytes at `addr`.
    #[must_use]
    pub fn connect(fd: RawFd, addr: *const libc::sockaddr, len: libc::socklen_t) -> Sqe {
        let (addr, off) = (addr as u64, u64::from(len));
        Sqe { opcode: sys::IORING_OP_CONNECT as u8, fd, addr, off, ..Sqe::default() }
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

unsafe fn call(sqe: &Sqe, attempt: u32) -> i32 {
    let again = attempt > 0;
    match if again { unix::socket_error(sqe.fd) } else { 0 } {
        0 => {}
        failed => return failed,
    }
    let (addr, len) = (sqe.addr as *const libc::sockaddr, sqe.off as libc::socklen_t);
    // SAFETY: Lent: the address stays until completion.
    match -ret(unsafe { libc::connect(sqe.fd, addr, len) } as isize) {
        // An interrupted connect goes on by itself, just as one that was started.
        libc::EINPROGRESS | libc::EALREADY | libc::EINTR => -libc::EAGAIN,
        libc::EISCONN if again => 0,
        error => -error,
    }
}

/// A connect, as an operation.
#[derive(Debug)]
pub struct Connect {
    fd: Fd,
    addr: Box<SockAddr>,
}

// SAFETY: Lent: the kernel only reads the address, and the box that has it does not move with the operation.
unsafe impl Op for Connect {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::connect(self.fd.as_raw_fd(), self.addr.as_ptr(), self.addr.len())
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Connects a socket to `addr`.
///
/// Where a twin does the work (on the poll driver, and on a ring without the opcode) the socket has to be non-blocking,
/// or else this blocks the thread; [`socket`](crate::op::socket()) makes such a one where a twin makes it.
///
/// # Errors
/// Those of `connect(2)`: `ECONNREFUSED` when nobody listens there, `ENETUNREACH` without a way to it.
///
/// # Cancellation
/// **Lossy**: the connection may have been made, and the socket is good for nothing but closing.
pub fn connect(fd: &Fd, addr: SocketAddr) -> Submit<Connect> {
    submit(Connect { fd: fd.clone(), addr: Box::new(addr.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::socket;
    use std::net::TcpListener;

    async fn stream() -> Fd {
        Fd::new(socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap())
    }

    #[crate::test]
    async fn reaches_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = stream().await;
        connect(&fd, listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, unix::socket_addr(fd.as_raw_fd(), unix::End::Local).unwrap().to_std().unwrap());
        let again = connect(&fd, listener.local_addr().unwrap()).await;
        assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EISCONN));
    }

    #[crate::test]
    async fn nobody_there_is_an_error() {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = connect(&stream().await, addr).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
