//! `poll(2)`: `IORING_OP_POLL_ADD`, since Linux 5.1. Many times: as a multishot since 5.13.

use crate::{
    driver::Fd,
    entry::{After, Cqe, Flag, Interest, Multishot, Sqe, Target, Twin},
    op::{Multi, MultiOp, Op, multi, poll},
    sys,
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// Completes each time that one of the `POLL*` in `mask` comes to hold for `fd`: of what held before and was not
    /// read, nothing is told again.
    ///
    /// *Result*: of each completion the mask of those that hold. It goes on as long as they have
    /// [`CqeFlags::MORE`](crate::entry::CqeFlags::MORE); a completion queue that is full ends it. `EINVAL` with
    /// [`skip_success`](Sqe::skip_success). *Since* Linux 5.13. *Cancel*: while it waits. Multishot. *Twin*: none but
    /// for an [`Interest`].
    #[must_use]
    pub fn poll_multi(fd: impl Target, mask: u32) -> Sqe {
        Sqe { len: sys::IORING_POLL_ADD_MULTI, ..Sqe::poll_mask(fd, mask) }
    }
}

pub(super) static MULTISHOT: Multishot = Multishot {
    flag: Some(Flag { name: "POLL_ADD_MULTI", set: |sqe| Sqe { len: sqe.len | sys::IORING_POLL_ADD_MULTI, ..sqe } }),
    after: |res| if res >= 0 { After::Change } else { After::End },
};

/// Waits for readiness without end, as an operation.
#[derive(Debug)]
pub struct PollMulti {
    fd: Fd,
    interest: Interest,
}

// SAFETY: Lent: a mask and a descriptor, which `fd` holds open; no memory.
unsafe impl Op for PollMulti {
    type Output = Option<io::Result<()>>;

    fn twin(&self) -> &'static Twin {
        poll::twin(self.interest)
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::poll_add(self.fd.as_raw_fd(), self.interest)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        if cqe.res == -libc::ECANCELED { None } else { Some(cqe.result().map(drop)) }
    }
}

// SAFETY: Lent: the entry names no memory at all.
unsafe impl MultiOp for PollMulti {
    type Item = io::Result<()>;

    fn multishot(&self) -> &'static Multishot {
        &MULTISHOT
    }

    fn each(&mut self, cqe: Cqe) -> Self::Item {
        cqe.result().map(drop)
    }
}

/// Tells each time that a descriptor becomes ready, by one request where the kernel can (since Linux 5.13).
///
/// An item means that something has changed since the last one: there is something to read again, or room to write, or
/// the peer has gone. What was not read may not be told again, so read until there is nothing. Readiness may be told
/// twice, and by one item for several changes. An error is the last item.
pub fn poll_multi(fd: &Fd, interest: Interest) -> Multi<PollMulti> {
    multi(PollMulti { fd: fd.clone(), interest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{settle, socket_pair};
    use std::{
        io::{Read, Write},
        time::Duration,
    };

    /// Red when a stream of edges asks again at once (it never rests), or not at all.
    #[crate::test]
    async fn each_change_is_told_and_no_more() {
        let (a, mut b) = socket_pair();
        let mut ours = std::os::unix::net::UnixStream::from(a.duplicate().unwrap());
        let mut changes = poll_multi(&a, Interest::Read);
        let quiet = async |changes: &mut Multi<PollMulti>| {
            crate::time::timeout(Duration::from_millis(10), changes.next()).await.is_err()
        };
        assert!(quiet(&mut changes).await, "there is nothing to read");
        for _ in 0..50 {
            b.write_all(b"x").unwrap();
            changes.next().await.unwrap().unwrap();
            ours.read_exact(&mut [0]).unwrap();
        }
        let mut told = 0;
        while !quiet(&mut changes).await {
            told += 1;
            assert!(told < 3, "nothing has changed");
        }
        drop(b);
        changes.next().await.unwrap().unwrap();
        drop(changes);
        settle().await;
    }

    /// Red when a stream that waits for a change counts as one that waits for its turn: the receive queues behind it,
    /// and what is there already is announced to nobody.
    #[crate::test]
    async fn what_was_told_can_be_had_by_an_operation() {
        let (a, mut b) = socket_pair();
        let soon = Duration::from_millis(500);
        let (mut reads, mut writes) = (poll_multi(&a, Interest::Read), poll_multi(&a, Interest::Write));
        for _ in 0..10 {
            writes.next().await.unwrap().unwrap();
            crate::time::timeout(soon, crate::op::send(&a, b"y".to_vec())).await.expect("it can be written").0.unwrap();
            b.read_exact(&mut [0]).unwrap();
            b.write_all(b"xx").unwrap();
            reads.next().await.unwrap().unwrap();
            for _ in 0..2 {
                let receiving = crate::op::recv(&a, Vec::with_capacity(1));
                let (n, buf) = crate::time::timeout(soon, receiving).await.expect("it can be read");
                assert_eq!((n.unwrap(), &buf[..]), (1, &b"x"[..]));
            }
        }
    }
}
