//! `socket(2)`: `IORING_OP_SOCKET`, since Linux 5.19.

use crate::{
    driver::Driver,
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix},
};
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

impl Sqe {
    /// Makes a socket; the arguments are those of `socket(2)`. Close-on-exec is added.
    ///
    /// *Result*: the descriptor. *Since* Linux 5.19. *Cancel*: nothing to cancel. For a fixed file there is
    /// [`socket_direct`](Sqe::socket_direct). *Twin*: `socket(2)`.
    #[must_use]
    pub fn socket(domain: i32, kind: i32, protocol: i32) -> Sqe {
        let off = (kind | unix::SOCK_CLOEXEC) as u64;
        Sqe { opcode: sys::IORING_OP_SOCKET as u8, fd: domain, off, len: protocol as u32, ..Sqe::default() }
    }
}

pub(super) static TWIN: Twin = Twin::here(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    unix::new_socket(sqe.fd, sqe.off as i32, sqe.len as i32)
}

/// The making of a socket, as an operation.
#[derive(Debug)]
pub struct Socket {
    domain: i32,
    kind: i32,
    protocol: i32,
}

// SAFETY: Lent: three numbers, and neither memory nor a descriptor.
unsafe impl Op for Socket {
    type Output = io::Result<OwnedFd>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        spelled(self.domain, self.kind, self.protocol)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        // SAFETY: Fresh descriptor: the kernel just made it and nobody else has it.
        cqe.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }
}

/// The entry, as the thread's driver needs the socket.
pub(super) fn spelled(domain: i32, kind: i32, protocol: i32) -> Sqe {
    let by_twin = |opcode| Driver::current().is_some_and(|driver| !driver.on_ring(opcode as u8));
    // Those twins must not block.
    let never_blocks = by_twin(sys::IORING_OP_ACCEPT) || by_twin(sys::IORING_OP_CONNECT);
    Sqe::socket(domain, if never_blocks { kind | unix::SOCK_NONBLOCK } else { kind }, protocol)
}

/// Makes a socket that children do not inherit; the arguments are the `AF_*`, `SOCK_*` and `IPPROTO_*` of `socket(2)`.
/// Where [`accept`](crate::op::accept()) and [`connect`](crate::op::connect()) are the work of twins, as on the poll
/// driver, it is non-blocking as well.
///
/// # Errors
/// Those of `socket(2)`: `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EMFILE`.
///
/// # Cancellation
/// **Clean**: a socket that was made is closed.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Submit<Socket> {
    submit(Socket { domain, kind, protocol })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn makes_a_socket_or_says_why_not() {
        socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        let error = socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT));
    }
}
