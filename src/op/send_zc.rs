//! `send(2)`: `IORING_OP_SEND_ZC`, since Linux 6.0. Sends bytes from where they are.

use crate::{
    buf::{Fixed, IoBuf},
    driver::Fd,
    entry::{BufIndex, Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Send, Submit, ZeroCopy, ZeroCopyOp, clamp, send, zero_copy::zero_copy},
    sys::{self, unix::ret},
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Sends up to `len` bytes from `buf` without a copy; `flags` are `MSG_*`. Takes
    /// [`RecvSendFlags`](crate::entry::RecvSendFlags), and a [destination](Sqe::to).
    ///
    /// `buf` is lent until the *notification*: a completion with [`MORE`](crate::entry::CqeFlags::MORE), which an error
    /// may have as well, is followed by one with [`NOTIF`](crate::entry::CqeFlags::NOTIF), when the peer has the bytes
    /// or the socket is gone.
    ///
    /// *Result*: as of [`send`](Sqe::send); `EOPNOTSUPP` for sockets that cannot, as those of Unix, `EINVAL` with
    /// [`skip_success`](Sqe::skip_success), `ENOMEM` when too much is pinned. *Since* Linux 6.0. *Cancel*: while it
    /// waits; with `MSG_WAITALL` it gives the bytes so far; not of the notification. No buffer select. *Twin*:
    /// `send(2)`.
    #[must_use]
    pub fn send_zc(fd: impl Target, buf: *const u8, len: u32, flags: i32) -> Sqe {
        let (addr, op_flags) = (buf as u64, (flags | libc::MSG_NOSIGNAL) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_SEND_ZC as u8, addr, len, op_flags, ..Sqe::default() })
    }

    /// The same from memory that the ring knows as its registered buffer `index`: all of `buf` has to lie in it.
    ///
    /// *Result*: as of [`send_zc`](Sqe::send_zc); `EFAULT` for what lies elsewhere. *Since* Linux 6.0. *Cancel*: as of
    /// that. *Twin*: `send(2)`.
    #[must_use]
    pub fn send_zc_fixed(fd: impl Target, buf: *const u8, len: u32, flags: i32, index: BufIndex) -> Sqe {
        Sqe::send_zc(fd, buf, len, flags).by_index(index)
    }

    /// For zero-copy sends: the notification carries `user_data` instead of the entry's. Since Linux 7.2; `EINVAL`
    /// before.
    #[must_use]
    pub const fn notify(mut self, user_data: u64) -> Sqe {
        self.addr3 = user_data;
        self
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, flags) = (sqe.addr as *const libc::c_void, sqe.op_flags as i32 & !libc::MSG_WAITALL);
    // SAFETY: Lent: `addr..addr + len` is readable and unchanged until the final completion, which this call makes.
    ret(unsafe { libc::send(sqe.fd, buf, sqe.len as usize, flags | libc::MSG_DONTWAIT) })
}

/// A zero-copy send, as an operation.
#[derive(Debug)]
pub struct SendZc<B> {
    fd: Fd,
    buf: B,
    flags: i32,
}

// SAFETY: Lent: `B: IoBuf` keeps its bytes in place and unchanged while it is moved, until the notification, too.
unsafe impl<B: IoBuf> Op for SendZc<B> {
    type Output = (Cqe, B);

    const LENDS: bool = true;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let len = clamp(self.buf.bytes_init());
        Sqe::send_zc(self.fd.as_raw_fd(), self.buf.read_ptr(), len, self.flags)
    }

    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }

    fn fix(sqe: Sqe, index: BufIndex) -> Sqe {
        sqe.by_index(index)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe, self.buf)
    }
}

impl<B: IoBuf> ZeroCopyOp for SendZc<B> {
    type Buf = B;
    type Plain = Send<B>;

    fn new(fd: &Fd, buf: B, flags: i32) -> SendZc<B> {
        SendZc { fd: fd.clone(), buf, flags }
    }

    fn plain(fd: &Fd, buf: B) -> Submit<Send<B>> {
        send(fd, buf)
    }

    fn len(buf: &B) -> usize {
        buf.bytes_init()
    }
}

/// Sends `buf` without copying it, if it is large enough to be worth it. Gives the number of bytes that the socket
/// took, which may be fewer than there are, and the buffer when the kernel is done with it.
///
/// ```
/// use annulus::{net::{TcpListener, TcpStream}, op};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     let (peer, _) = listener.accept().await?;
///
///     let (sent, lent) = op::send_zc(stream.fd(), vec![7; 20_000]).await;
///     let sent = sent?; // The kernel may still read the buffer.
///     drop(peer);
///     assert_eq!((sent, lent.await), (20_000, vec![7; 20_000]));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of `send(2)`, with the buffer: `EPIPE` when the connection is shut down.
///
/// # Cancellation
/// **Lossy**: bytes may have been sent, and nobody learns how many.
pub fn send_zc<B: IoBuf>(fd: &Fd, buf: B) -> ZeroCopy<SendZc<B>> {
    zero_copy(fd, buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::Usage,
        testing::{settle, socket_pair, tcp_pair},
    };
    use std::io::Read;

    fn is_zero_copy() -> bool {
        crate::metrics().driver.sqes_of("SEND_ZC") > 0
    }

    /// Red when the buffer comes with the result, while the kernel reads it; and when it does not come at all.
    #[crate::test]
    async fn the_result_first_and_the_buffer_when_the_peer_has_read() {
        let (a, mut b) = tcp_pair();
        let text: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let (sent, mut lent) = send_zc(&a, text.clone()).await;
        let sent = sent.unwrap();
        assert!(sent > 0);
        if is_zero_copy() {
            let early = crate::time::timeout(std::time::Duration::from_millis(20), &mut lent).await;
            assert!(early.is_err() && lent.is_lent(), "nobody has read it");
        }
        let mut all = vec![0; sent];
        b.read_exact(&mut all).unwrap();
        assert_eq!(all, text[..sent]);
        let (buf, usage) = lent.with_usage().await;
        assert_eq!((buf, usage), (text, Usage::Copied), "a loopback device copies");
        let counters = crate::metrics().driver;
        assert_eq!(
            (counters.zero_copies, counters.zero_copies_copied),
            (counters.sqes_of("SEND_ZC"), counters.zero_copies)
        );
    }

    /// Red when a refusal is told instead of sending the bytes all the same.
    #[crate::test]
    async fn a_socket_that_cannot_is_sent_to_the_ordinary_way() {
        let (a, mut b) = socket_pair();
        let (sent, lent) = send_zc(&a, "anyway").from_bytes(0).await;
        assert_eq!((sent.unwrap(), lent.is_lent()), (6, false));
        assert_eq!(lent.with_usage().await, ("anyway", Usage::Copied));
        b.read_exact(&mut [0; 6]).unwrap();
    }

    #[crate::test]
    async fn few_bytes_are_sent_the_ordinary_way() {
        let (a, mut b) = tcp_pair();
        let (sent, lent) = send_zc(&a, "few").await;
        assert_eq!((sent.unwrap(), lent.is_lent(), is_zero_copy()), (3, false, false));
        b.read_exact(&mut [0; 3]).unwrap();
        let (sent, lent) = send_zc(&a, "").from_bytes(0).await;
        assert_eq!((sent.unwrap(), lent.await), (0, ""));
    }

    /// Red when the index is left out of the entry, or put into one for another ring.
    #[crate::test]
    async fn registered_memory_is_named_by_its_index() {
        let (a, mut b) = tcp_pair();
        let pool = crate::pool::FixedPool::builder().class(65536, 2).build().unwrap();
        let mut buf = pool.take(65536).await.unwrap();
        buf.resize(20_000, 42);
        let flags = |sqe: &Sqe| u32::from(sqe.ioprio) & sys::IORING_RECVSEND_FIXED_BUF;
        let mut op = SendZc::new(&a, buf, 0);
        let (plain, place) = (op.encode(), op.fixed());
        assert_eq!((flags(&plain), place.is_some()), (0, pool.is_registered()));
        if let Some(place) = place {
            let fixed = SendZc::<Vec<u8>>::fix(plain, BufIndex(place.index));
            assert_eq!((flags(&fixed), fixed.buf_index), (sys::IORING_RECVSEND_FIXED_BUF, place.index));
            assert_eq!((fixed.addr, fixed.len), (plain.addr, 20_000));
        }
        let (sent, lent) = send_zc(&a, op.buf).await;
        assert_eq!(sent.unwrap(), 20_000);
        let mut all = vec![0; 20_000];
        b.read_exact(&mut all).unwrap();
        assert!(all.iter().all(|&b| b == 42) && lent.await.len() == 20_000);
    }

    #[crate::test]
    async fn errors_come_with_the_buffer() {
        let (a, _b) = tcp_pair();
        crate::op::shutdown(&a, std::net::Shutdown::Write).await.unwrap();
        let (res, lent) = send_zc(&a, "gone").from_bytes(0).await;
        assert_eq!((res.unwrap_err().raw_os_error(), lent.await), (Some(libc::EPIPE), "gone"));
        let file = Fd::new(crate::testing::temp_file().into());
        let (res, lent) = send_zc(&file, "no socket").from_bytes(0).await;
        assert_eq!((res.unwrap_err().raw_os_error(), lent.await), (Some(libc::ENOTSOCK), "no socket"));
        settle().await;
    }
}
