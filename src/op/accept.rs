//! `accept4(2)`: `IORING_OP_ACCEPT`, since Linux 5.5. The twin needs a listener that does not block.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, sockaddr::SockAddr, unix},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

impl Sqe {
    /// Accepts a connection; `flags` are `SOCK_*`, and close-on-exec is added. The kernel writes the peer's address to
    /// `addr` and its length to `len`, where it finds how much room there is, unless both are null: both are lent until
    /// the completion. Takes [`AcceptFlags`](crate::entry::AcceptFlags).
    ///
    /// *Result*: the descriptor; [`CqeFlags::SOCK_NONEMPTY`](crate::entry::CqeFlags::SOCK_NONEMPTY) says that more
    /// wait. A listener that does not block makes no difference. *Since* Linux 5.5. *Cancel*: while it waits. For a
    /// fixed file there is [`accept_direct`](Sqe::accept_direct). *Twin*: `accept4(2)`.
    #[must_use]
    pub fn accept(fd: impl Target, addr: *mut libc::sockaddr, len: *mut libc::socklen_t, flags: i32) -> Sqe {
        let (op_flags, off) = ((flags | unix::SOCK_CLOEXEC) as u32, len as u64);
        fd.aim(Sqe { opcode: sys::IORING_OP_ACCEPT as u8, addr: addr as u64, off, op_flags, ..Sqe::default() })
    }
}

pub(super) static TWIN: Twin = Twin::ready(Interest::Read, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (addr, len) = (sqe.addr as *mut libc::sockaddr, sqe.off as *mut libc::socklen_t);
    // SAFETY: Lent: the room for the address and its length stays until completion.
    unsafe { unix::accept_cloexec(sqe.fd, addr, len, sqe.op_flags as i32) }
}

/// An accept, as an operation.
#[derive(Debug)]
pub struct Accept {
    fd: Fd,
    addr: Box<SockAddr>,
}

impl Accept {
    pub(super) fn new(fd: &Fd) -> Accept {
        Accept { fd: fd.clone(), addr: Box::new(SockAddr::room()) }
    }

    /// Whose connection it was.
    pub(super) fn into_peer(self) -> Peer {
        Peer(self.addr)
    }

    /// As [`accept`], with room for the address that is used again: the output gives it back.
    pub(crate) fn with_room(fd: &Fd, mut addr: Box<SockAddr>) -> Submit<Accept> {
        *addr = SockAddr::room();
        submit(Accept { fd: fd.clone(), addr })
    }
}

// SAFETY: Lent: the address lies in a box of its own, which stays where it is while the operation is moved.
unsafe impl Op for Accept {
    type Output = (io::Result<OwnedFd>, Peer);

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let (addr, len) = self.addr.room_ptrs();
        Sqe::accept(self.fd.as_raw_fd(), addr, len, 0)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        // SAFETY: Fresh descriptor: an accept that succeeds gives one that nobody else has.
        let fd = cqe.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
        (fd, self.into_peer())
    }
}

/// The address of whoever connected.
#[derive(Debug)]
pub struct Peer(Box<SockAddr>);

impl Peer {
    /// The address, for a connection over IP.
    ///
    /// # Errors
    /// `InvalidInput` for another family, and when nothing was accepted.
    pub fn ip(&self) -> io::Result<SocketAddr> {
        self.0.to_std()
    }

    /// The room, to be used again.
    pub(crate) fn into_room(self) -> Box<SockAddr> {
        self.0
    }
}

/// Accepts one connection from a listening socket. Gives the connection, and the peer's address.
///
/// Where a twin does the work (on the poll driver, and on a ring without the opcode) the listener has to be
/// non-blocking, or else this blocks the thread. A [`TcpListener`](crate::net::TcpListener) sees to that; so does
/// [`socket`](crate::op::socket()) where a twin makes it.
///
/// # Errors
/// Those of `accept4(2)`: `EINVAL` for a socket that does not listen, `EMFILE` when no descriptor is left.
///
/// # Cancellation
/// **Lossy**: a connection that was accepted is closed.
pub fn accept(fd: &Fd) -> Submit<Accept> {
    submit(Accept::new(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listener;
    use std::{io::Read, net::TcpStream, time::Duration};

    #[crate::test]
    async fn accepts_now_and_later() {
        let (listener, addr) = listener();
        let early = TcpStream::connect(addr).unwrap();
        let (fd, peer) = accept(&listener).await;
        assert_eq!(peer.ip().unwrap(), early.local_addr().unwrap());
        let client = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            TcpStream::connect(addr).unwrap()
        });
        let (second, _) = accept(&listener).await;
        // SAFETY: Plain call: no memory is named.
        let flags = unsafe { libc::fcntl(second.as_ref().unwrap().as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC, "children must not inherit it");
        drop((fd, second, client.join().unwrap()));
    }

    #[crate::test]
    async fn a_socket_that_does_not_listen_is_an_error() {
        let socket = crate::op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        let (res, _) = accept(&Fd::new(socket)).await;
        assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    /// A connection that arrives for an accept nobody waits for any more is closed, not leaked.
    #[crate::test]
    async fn an_abandoned_accept_leaks_nothing() {
        let (listener, addr) = listener();
        let mut accepting = accept(&listener);
        crate::testing::poll_once(&mut accepting).await;
        let mut client = TcpStream::connect(addr).unwrap();
        drop(accepting);
        crate::testing::settle().await;
        drop(listener);
        crate::testing::settle().await;
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        match client.read(&mut [0]) {
            Ok(0) => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("the connection lives on: {other:?}"),
        }
    }
}
