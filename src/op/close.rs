//! `close(2)`: `IORING_OP_CLOSE`, since Linux 5.6. The twin runs on the pool: a close may write what was held back.

use crate::{
    driver::{CLOSE, Fd, close_never_began},
    entry::{Cqe, FixedFile, Sqe, Twin},
    op::{Op, Submit, submit},
    sys,
};
use std::{
    io,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd},
};

impl Sqe {
    /// Closes a descriptor. Requests that name it go on, with the file that they have.
    ///
    /// *Result*: 0; `EBADF` for a number of no file, and for a ring's. *Since* Linux 5.6. *Cancel*: nothing to cancel,
    /// or of a file that writes back what it holds, before a worker has it. *Twin*: `close(2)`.
    #[must_use]
    pub fn close(fd: RawFd) -> Sqe {
        Sqe { opcode: sys::IORING_OP_CLOSE as u8, fd, ..Sqe::default() }
    }

    /// Takes what stands at `place` in the ring's table out of it. Requests that name it go on, and it is closed when
    /// the last of them has ended.
    ///
    /// *Result*: 0; `EBADF` for a place where nothing stands, `EINVAL` for one outside of the table, `ENXIO` without a
    /// table. *Since* Linux 5.15. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn close_direct(place: FixedFile) -> Sqe {
        Sqe::close(0).direct(place)
    }
}

/// A close, as an operation.
#[derive(Debug)]
pub struct Close {
    fd: OwnedFd,
}

// SAFETY: Lent: the entry names no memory. Close waits: `fd` is the only reference, so nobody names the number.
unsafe impl Op for Close {
    type Output = io::Result<()>;

    /// Or else the number would stay open.
    const GOES_ON: bool = true;

    fn twin(&self) -> &'static Twin {
        &CLOSE
    }

    fn encode(&mut self) -> Sqe {
        Sqe::close(self.fd.as_raw_fd())
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        // Dropping `fd` makes up for a close that has not happened. In all other cases the number is gone, after an
        // error too.
        if !close_never_began(cqe.res) {
            let _ = self.fd.into_raw_fd();
        }
        cqe.result().map(drop)
    }
}

/// Closes a descriptor, and tells what came of it: a file system may only now notice that it could not write.
///
/// # Errors
/// Those of `close(2)`; the descriptor is gone all the same. `WouldBlock` when operations on it are in flight or clones
/// of it are alive: it is closed when the last of them goes. `Unsupported` for a [direct](Fd::is_direct) descriptor,
/// which is always closed so.
///
/// # Cancellation
/// **Detached**: the descriptor is closed all the same.
pub fn close(fd: Fd) -> io::Result<Submit<Close>> {
    let direct = fd.is_direct();
    match fd.try_into_owned() {
        Ok(fd) => Ok(submit(Close { fd })),
        Err(_) if direct => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "nobody can wait for the close of a direct descriptor; it is closed when the last clone of it goes",
        )),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "the descriptor is in use by other operations or clones; it is closed when the last of them goes",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::os::unix::net::UnixStream;

    /// Whether the other end is closed.
    fn is_closed(peer: &mut UnixStream) -> bool {
        peer.set_nonblocking(true).unwrap();
        matches!(std::io::Read::read(peer, &mut [0]), Ok(0))
    }

    #[crate::test]
    async fn a_close_is_done_when_it_says_so() {
        let (fd, mut peer) = testing::socket_pair();
        assert!(!is_closed(&mut peer));
        close(fd).unwrap().await.unwrap();
        assert!(is_closed(&mut peer));
    }

    #[crate::test]
    async fn a_close_that_is_dropped_happens_all_the_same() {
        for polled in [false, true] {
            let (fd, mut peer) = testing::socket_pair();
            let mut closing = close(fd).unwrap();
            if polled {
                testing::poll_once(&mut closing).await;
            }
            drop(closing);
            testing::settle().await;
            assert!(is_closed(&mut peer), "polled: {polled}");
        }
    }

    #[crate::test]
    async fn what_is_in_use_closes_later() {
        let (fd, mut peer) = testing::socket_pair();
        let clone = fd.clone();
        assert_eq!(close(fd).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(!is_closed(&mut peer));
        drop(clone);
        testing::settle().await;
        assert!(is_closed(&mut peer));
    }

    /// Red when it is said to be in use, which somebody would wait for.
    #[crate::test]
    async fn a_direct_one_closes_by_its_last_clone_alone() {
        let fd = crate::op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0).await.unwrap();
        match fd.is_direct() {
            true => assert_eq!(close(fd).unwrap_err().kind(), io::ErrorKind::Unsupported),
            false => close(fd).unwrap().await.unwrap(),
        }
    }
}
