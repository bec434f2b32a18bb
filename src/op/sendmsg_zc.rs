//! `sendmsg(2)`: `IORING_OP_SENDMSG_ZC`, since Linux 6.1. Sends several buffers from where they are.

use crate::{
    buf::{IoVecBuf, parts},
    driver::Fd,
    entry::{BufIndex, Cqe, Interest, Sqe, Target, Twin},
    op::{MAX_IOVECS, Op, Submit, Writev, ZeroCopy, ZeroCopyOp, writev, zero_copy::zero_copy},
    sys::{self, unix::ret},
};
use std::{fmt, mem::MaybeUninit, os::fd::AsRawFd};

impl Sqe {
    /// Sends the message of the header at `header` without a copy of its bytes; `flags` are `MSG_*`. The header, the
    /// address and the array of buffers are read when this is submitted; control data is lent until the completion, and
    /// the bytes until the notification: see [`send_zc`](Sqe::send_zc).
    ///
    /// *Result*: as of that. *Since* Linux 6.1. *Cancel*: as of that. No buffer select. *Twin*: `sendmsg(2)`.
    #[must_use]
    pub fn sendmsg_zc(fd: impl Target, header: *const libc::msghdr, flags: i32) -> Sqe {
        let (addr, op_flags) = (header as u64, (flags | libc::MSG_NOSIGNAL) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_SENDMSG_ZC as u8, addr, len: 1, op_flags, ..Sqe::default() })
    }

    /// The same from memory that the ring knows as its registered buffer `index`: all parts have to lie in it.
    ///
    /// *Result*: as of [`send_zc`](Sqe::send_zc); `EFAULT` for what lies elsewhere, `EINVAL` before. *Since* Linux
    /// 6.15. *Cancel*: as of that. *Twin*: none.
    #[must_use]
    pub fn sendmsg_zc_fixed(fd: impl Target, header: *const libc::msghdr, flags: i32, index: BufIndex) -> Sqe {
        Sqe::sendmsg_zc(fd, header, flags).by_index(index)
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (header, flags) = (sqe.addr as *const libc::msghdr, sqe.op_flags as i32 & !libc::MSG_WAITALL);
    // SAFETY: Lent: the header, its array and their bytes stay until the final completion, which this call makes.
    ret(unsafe { libc::sendmsg(sqe.fd, header, flags | libc::MSG_DONTWAIT) })
}

/// A vectored zero-copy send, as an operation.
pub struct SendMsgZc<B> {
    fd: Fd,
    buf: B,
    flags: i32,
    header: Box<libc::msghdr>,
}

// SAFETY: Lent: `B: IoVecBuf` keeps its array and what that names in place and unchanged while it is moved, and the
// header lies in a box of its own.
unsafe impl<B: IoVecBuf> Op for SendMsgZc<B> {
    type Output = (Cqe, B);

    const LENDS: bool = true;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let count = self.buf.read_iovec_len().min(MAX_IOVECS);
        self.header.msg_iov = self.buf.read_iovec_ptr().cast_mut();
        self.header.msg_iovlen = count as _;
        Sqe::sendmsg_zc(self.fd.as_raw_fd(), &raw const *self.header, self.flags)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe, self.buf)
    }
}

impl<B: IoVecBuf> ZeroCopyOp for SendMsgZc<B> {
    type Buf = B;
    type Plain = Writev<B>;

    fn new(fd: &Fd, buf: B, flags: i32) -> SendMsgZc<B> {
        // SAFETY: Plain bytes: a header of zeros names nothing: no address, no buffers, no control messages.
        let header = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
        SendMsgZc { fd: fd.clone(), buf, flags, header: Box::new(header) }
    }

    fn plain(fd: &Fd, buf: B) -> Submit<Writev<B>> {
        writev(fd, buf)
    }

    fn len(buf: &B) -> usize {
        parts(buf).map(<[u8]>::len).fold(0, usize::saturating_add)
    }
}

impl<B> fmt::Debug for SendMsgZc<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendMsgZc").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// Sends several buffers, one after the other, without copying them, if they are large enough together to be worth it.
/// Gives the number of bytes that the socket took, which may be fewer than there are, and the buffers when the kernel
/// is done with them. Buffers beyond the 1,024th are left for the next call.
///
/// # Errors
/// Those of `sendmsg(2)`, with the buffers: `EPIPE` when the connection is shut down.
///
/// # Cancellation
/// **Lossy**: bytes may have been sent, and nobody learns how many.
pub fn send_vectored_zc<B: IoVecBuf>(fd: &Fd, buf: B) -> ZeroCopy<SendMsgZc<B>> {
    zero_copy(fd, buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buf::VecBuf, testing::tcp_pair};
    use std::io::Read;

    #[crate::test]
    async fn several_buffers_go_in_their_order() {
        let (a, mut b) = tcp_pair();
        let buf = VecBuf::from(vec![b"hello ".to_vec(), Vec::new(), b"world".to_vec()]);
        let (sent, lent) = send_vectored_zc(&a, buf).from_bytes(0).await;
        assert_eq!(sent.unwrap(), 11);
        let mut all = [0; 11];
        b.read_exact(&mut all).unwrap();
        assert_eq!((&all, Vec::from(lent.await).len()), (b"hello world", 3));
    }

    #[crate::test]
    async fn few_bytes_are_sent_the_ordinary_way() {
        let (a, mut b) = tcp_pair();
        let (sent, lent) = send_vectored_zc(&a, VecBuf::from(vec![b"few".to_vec()])).await;
        assert_eq!((sent.unwrap(), lent.is_lent()), (3, false));
        b.read_exact(&mut [0; 3]).unwrap();
        let counters = crate::metrics().driver;
        assert_eq!(counters.sqes_of("SENDMSG_ZC"), 0);
    }
}
