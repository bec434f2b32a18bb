//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.6. Many times: as a multishot since 6.0.

use crate::{
    driver::{Fd, NO_LIMIT},
    entry::{After, BufGroup, Cqe, Flag, Multishot, RecvSendFlags, Sqe, Target, Twin},
    op::{Multi, MultiOp, Op, multi, recv},
    pool::{PoolBuf, RecvPool},
};
use std::{io, os::fd::AsRawFd, ptr};

impl Sqe {
    /// Receives without end, each time into a buffer of `group`; `flags` are `MSG_*`, but not `MSG_WAITALL` (`EINVAL`)
    /// nor `MSG_TRUNC`, whose count is not of the bytes in the buffer.
    ///
    /// `most` is how many bytes one completion may bring, 0 for all of its buffer; another number is `EINVAL` on
    /// Linux 6.12 and older. With [`RecvSendFlags::BUNDLE`] a completion goes over as many buffers as there are bytes
    /// for, beginning with the one it names and in the order in which they were offered.
    ///
    /// *Result*: the number of bytes of each completion. It goes on as long as they have
    /// [`CqeFlags::MORE`](crate::entry::CqeFlags::MORE). The last one is 0 at the end of the stream, `ENOBUFS` when no
    /// buffer is on offer (what was sent waits in the socket), or another error; or one with bytes, when the
    /// [budget](Sqe::recv_budget), a bundle's group or the completion queue is at its end. *Since* Linux 6.0. *Cancel*:
    /// while it waits. Multishot, and only with a group. *Twin*: `recv(2)`, one by one.
    #[must_use]
    pub fn recv_multi(fd: impl Target, group: BufGroup, most: u32, flags: i32) -> Sqe {
        let sqe = Sqe::recv(fd, ptr::null_mut(), most, flags).buffer_select(group);
        sqe.recv_send_flags(RecvSendFlags::MULTISHOT)
    }

    /// For a receive without end: ends it with the completion by which it has received so many bytes in all, or more:
    /// a buffer is filled as far as it may be. That one has no [`CqeFlags::MORE`](crate::entry::CqeFlags::MORE). Since
    /// Linux 6.17; `EINVAL` before.
    #[must_use]
    pub const fn recv_budget(mut self, bytes: u32) -> Sqe {
        self.file_index = bytes;
        self
    }
}

static MULTISHOT: Multishot = Multishot {
    flag: Some(Flag { name: "RECV_MULTISHOT", set: |sqe| sqe.recv_send_flags(RecvSendFlags::MULTISHOT) }),
    after,
};

/// The same for a stream that may have a number of buffers only. A plain multishot would take all that there are before
/// anybody could stop it; this one is given a number of bytes (`optlen`, which is where `file_index` is). Kernels that
/// know the number have bundles in which nothing is out of order, so they are asked for as well: see
/// [`design`](crate::design).
static LIMITED: Multishot = Multishot {
    flag: Some(Flag {
        name: "RECVSEND_BUNDLE",
        set: |sqe| Sqe { len: 0, ..sqe }.recv_budget(sqe.len).recv_send_flags(BUNDLES),
    }),
    after,
};

const BUNDLES: RecvSendFlags = RecvSendFlags::MULTISHOT.union(RecvSendFlags::BUNDLE);

fn after(res: i32) -> After {
    if res > 0 { After::More } else { After::End }
}

/// Receives without end, as an operation.
#[derive(Debug)]
pub struct RecvMulti {
    fd: Fd,
    pool: RecvPool,
}

// SAFETY: Lent: the entry names no memory but the buffers of a pool, which `pool` keeps.
unsafe impl Op for RecvMulti {
    type Output = Option<io::Result<PoolBuf>>;

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

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        match cqe.res {
            end if end == -libc::ECANCELED => None,
            0 => {
                // A kernel may have chosen a buffer for nothing.
                drop(self.pool.filled(cqe));
                None
            }
            _ => Some(self.each(cqe)),
        }
    }
}

// SAFETY: Lent: the buffers lie in maps of their own, and `each` touches none but the one that was given back.
unsafe impl MultiOp for RecvMulti {
    type Item = io::Result<PoolBuf>;

    fn multishot(&self) -> &'static Multishot {
        if self.pool.limit() == NO_LIMIT { &MULTISHOT } else { &LIMITED }
    }

    fn each(&mut self, cqe: Cqe) -> Self::Item {
        let filled = self.pool.filled(cqe);
        cqe.result()?;
        filled.ok_or_else(|| io::Error::other("annulus: the kernel received into no buffer"))
    }
}

/// Receives from a socket, one buffer after the other, by one request where the kernel can (since Linux 6.0).
///
/// Each item is a buffer of `pool` with the bytes that were received, at least one. The stream ends when the peer has
/// shut down, or with an error as its last item. While no buffer is on offer it waits for one to come back, and loses
/// nothing: what the peer sends waits in the socket. It is made for streams: the first empty datagram would end it.
///
/// A stream whose `pool` belong to another runtime than the one that polls it answers `EXDEV`.
pub fn recv_multi(fd: &Fd, pool: &RecvPool) -> Multi<RecvMulti> {
    multi(RecvMulti { fd: fd.clone(), pool: pool.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{settle, socket_pair};
    use std::{io::Write, time::Duration};

    /// Red when a starved stream is not fed, or asks while nothing is on offer, or a buffer is given out twice.
    #[crate::test]
    async fn everything_comes_through_two_buffers() {
        let (a, mut b) = socket_pair();
        let pool = RecvPool::new(2, 1000).unwrap();
        pool.set_stream_limit(2);
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writer = std::thread::spawn(move || b.write_all(&sent).unwrap());
        let mut stream = recv_multi(&a, &pool);
        let (mut got, mut kept) = (Vec::new(), Vec::new());
        let soon = Duration::from_secs(10);
        while let Some(buf) = crate::time::timeout(soon, stream.next()).await.expect("the stream hangs") {
            let buf = buf.unwrap();
            assert!(!buf.is_empty() && buf.len() <= 1000);
            got.extend_from_slice(&buf);
            kept.push(buf);
            if kept.len() == 2 {
                assert_eq!(pool.offered(), 0);
                if got.len() <= 2000 {
                    crate::time::sleep(Duration::from_millis(5)).await;
                }
                kept.clear();
            }
        }
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        kept.clear();
        writer.join().unwrap();
        drop(stream);
        settle().await;
        assert_eq!(pool.offered(), 2, "a buffer is lost");
        assert!(crate::metrics().driver.starved > 0);
    }

    #[crate::test]
    async fn streams_share_a_group() {
        let pool = RecvPool::new(4, 64).unwrap();
        let mut tasks = Vec::new();
        for n in 0..20u8 {
            let (a, mut b) = socket_pair();
            let pool = pool.clone();
            tasks.push(crate::spawn(async move {
                let mut stream = recv_multi(&a, &pool);
                let mut got = Vec::new();
                for _ in 0..50 {
                    b.write_all(&[n; 10]).unwrap();
                    let buf = stream.next().await.unwrap().unwrap();
                    got.extend_from_slice(&buf);
                }
                drop(b);
                while let Some(buf) = stream.next().await {
                    got.extend_from_slice(&buf.unwrap());
                }
                assert_eq!(got, vec![n; 500]);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        settle().await;
        assert_eq!(pool.offered(), 4);
    }

    #[crate::test]
    async fn a_dropped_stream_gives_its_buffers_back() {
        let pool = RecvPool::new(8, 16).unwrap();
        let (a, mut b) = socket_pair();
        let mut stream = recv_multi(&a, &pool);
        b.write_all(&[1; 64]).unwrap();
        let first = stream.next().await.unwrap().unwrap();
        crate::time::sleep(Duration::from_millis(5)).await;
        drop(stream);
        settle().await;
        assert_eq!(pool.offered(), 7, "what nobody took");
        assert_eq!(&first[..], [1; 16]);
        drop(pool);
        assert_eq!(&first[..], [1; 16], "a buffer keeps its group");
    }

    #[crate::test]
    async fn a_cancelled_stream_ends_while_it_starves() {
        let pool = RecvPool::new(1, 16).unwrap();
        let (a, mut b) = socket_pair();
        let mut stream = recv_multi(&a, &pool);
        b.write_all(&[1; 64]).unwrap();
        let first = stream.next().await.unwrap().unwrap();
        assert!(crate::time::timeout(Duration::from_millis(5), stream.next()).await.is_err());
        stream.cancel();
        assert!(crate::time::timeout(Duration::from_secs(5), stream.next()).await.unwrap().is_none());
        drop(first);
        settle().await;
        let (n, _) = crate::op::recv(&a, Vec::with_capacity(100)).await;
        assert_eq!(n.unwrap(), 48, "what was not received is still there");
    }

    #[test]
    fn a_group_serves_its_own_runtime_only() {
        let make = || crate::Builder::new().build().unwrap();
        let (one, two) = (make(), make());
        let pool = one.block_on(async { RecvPool::new(1, 16).unwrap() });
        let (a, mut b) = socket_pair();
        b.write_all(b"x").unwrap();
        let answer = two.block_on(async { recv_multi(&a, &pool).next().await.unwrap() });
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EXDEV));
        drop((one, two));
        drop(pool);
    }
}
