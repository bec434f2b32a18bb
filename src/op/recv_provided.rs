//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.6. Into a buffer that is chosen late: from a buffer ring since 5.19.

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, recv, submit},
    pool::{PoolBuf, RecvPool},
};
use std::{io, os::fd::AsRawFd, ptr};

/// A receive into a provided buffer, as an operation.
#[derive(Debug)]
pub struct RecvProvided {
    fd: Fd,
    pool: RecvPool,
}

// SAFETY: Lent: the entry names no memory but the buffers of a pool, which `pool` keeps.
unsafe impl Op for RecvProvided {
    type Output = io::Result<Option<PoolBuf>>;

    fn twin(&self) -> &'static Twin {
        &recv::TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn pool(&self) -> Option<&RecvPool> {
        Some(&self.pool)
    }

    fn encode(&mut self) -> Sqe {
        self.pool.select(Sqe::recv(self.fd.as_raw_fd(), ptr::null_mut(), 0, 0))
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        let filled = self.pool.filled(cqe);
        cqe.result().map(|n| filled.filter(|_| n > 0))
    }
}

/// Receives once, into a buffer of `pool` that is chosen when there is something to receive. Gives the buffer with what
/// was received in it; `None` when the peer has shut down, or for an empty datagram.
///
/// # Errors
/// Those of `recv(2)`; `ENOBUFS` when no buffer is on offer; `EXDEV` when `pool` belongs to another runtime.
///
/// # Cancellation
/// **Lossy**: bytes that were received are lost, and their buffer is on offer again.
pub fn recv_provided(fd: &Fd, pool: &RecvPool) -> Submit<RecvProvided> {
    submit(RecvProvided { fd: fd.clone(), pool: pool.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{poll_once, settle, socket_pair};
    use std::io::Write;

    #[crate::test]
    async fn a_buffer_is_chosen_when_there_is_something() {
        let pool = RecvPool::new(2, 8).unwrap();
        let (a, mut b) = socket_pair();
        let mut receiving = recv_provided(&a, &pool);
        poll_once(&mut receiving).await;
        crate::time::sleep(std::time::Duration::from_millis(2)).await;
        assert_eq!(pool.offered(), 2, "a wait holds no buffer");
        b.write_all(b"0123456789").unwrap();
        let mut first = receiving.await.unwrap().unwrap();
        assert_eq!(&first[..], b"01234567");
        first[0] = b'x';
        let second = recv_provided(&a, &pool).await.unwrap().unwrap();
        assert_eq!((&first[..], &second[..]), (&b"x1234567"[..], &b"89"[..]));
        assert_eq!(recv_provided(&a, &pool).await.unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
        drop((first, second));
        drop(b);
        assert!(recv_provided(&a, &pool).await.unwrap().is_none());
        assert_eq!(pool.offered(), 2);
    }

    #[crate::test]
    async fn an_abandoned_receive_gives_its_buffer_back() {
        let pool = RecvPool::new(1, 8).unwrap();
        let (a, mut b) = socket_pair();
        for _ in 0..10 {
            let mut receiving = recv_provided(&a, &pool);
            poll_once(&mut receiving).await;
            b.write_all(b"x").unwrap();
            drop(receiving);
            settle().await;
            assert_eq!(pool.offered(), 1);
        }
    }
}
