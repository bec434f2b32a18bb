//! `shutdown(2)`: `IORING_OP_SHUTDOWN`, since Linux 5.11.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix::ret},
};
use std::{io, net::Shutdown as How, os::fd::AsRawFd};

impl Sqe {
    /// Ends one direction of a connection or both; `how` is `SHUT_*`. A worker thread does it.
    ///
    /// *Result*: 0; `ENOTCONN` where there is no connection. *Since* Linux 5.11. *Cancel*: before a worker has it.
    /// *Twin*: `shutdown(2)`.
    #[must_use]
    pub fn shutdown(fd: impl Target, how: i32) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_SHUTDOWN as u8, len: how as u32, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::here(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Plain call: `how` is checked by the kernel, and nothing is pointed to.
    ret(unsafe { libc::shutdown(sqe.fd, sqe.len as i32) } as isize)
}

/// A shutdown, as an operation.
#[derive(Debug)]
pub struct Shutdown {
    fd: Fd,
    how: How,
}

// SAFETY: Lent: a number and a descriptor, which `fd` holds open; no memory.
unsafe impl Op for Shutdown {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let how = match self.how {
            How::Read => libc::SHUT_RD,
            How::Write => libc::SHUT_WR,
            How::Both => libc::SHUT_RDWR,
        };
        Sqe::shutdown(self.fd.as_raw_fd(), how)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Ends one direction of a connection, or both: the peer reads to the end, or gets errors when it writes.
///
/// # Errors
/// Those of `shutdown(2)`: `ENOTCONN`.
///
/// # Cancellation
/// **Detached**: the connection may be shut down all the same.
pub fn shutdown(fd: &Fd, how: How) -> Submit<Shutdown> {
    submit(Shutdown { fd: fd.clone(), how })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{recv, send},
        testing::socket_pair,
    };
    use std::io::{Read, Write};

    #[crate::test]
    async fn each_direction_by_itself() {
        let (a, mut b) = socket_pair();
        shutdown(&a, How::Write).await.unwrap();
        assert_eq!(b.read(&mut [0; 4]).unwrap(), 0);
        b.write_all(b"still").unwrap();
        assert_eq!(recv(&a, Vec::with_capacity(9)).await.0.unwrap(), 5);
        assert_eq!(send(&a, "no").await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[crate::test]
    async fn without_a_connection_it_is_an_error() {
        let fd = Fd::new(crate::op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        assert_eq!(shutdown(&fd, How::Both).await.unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
