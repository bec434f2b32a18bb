//! `writev(2)`: `IORING_OP_WRITEV`, since Linux 5.1. On a file the twin runs on the pool, elsewhere it waits for
//! readiness.

use crate::{
    buf::{BufResult, IoVecBuf},
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{HERE, MAX_IOVECS, Op, Submit, by_kind, place, submit},
    sys::{
        self,
        unix::{self, ret},
    },
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Writes the `count` buffers at `iov`, one after the other, at `offset` (`u64::MAX`: at the file's own position).
    /// The array is read when the entry is submitted; the buffers are lent until the completion.
    ///
    /// *Result*: the number of bytes; `EINVAL` for more than 1024 buffers. *Since* Linux 5.1. *Cancel*: as of
    /// [`write`](Sqe::write). *Twin*: `writev(2)`, `pwritev(2)`.
    #[must_use]
    pub fn writev(fd: impl Target, iov: *const libc::iovec, count: u32, offset: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_WRITEV as u8, off: offset, addr: iov as u64, len: count, ..Sqe::default() })
    }
}

static ON_FILE: Twin = Twin::pool(call);
static ON_STREAM: Twin = Twin::ready(Interest::Write, call_stream).or(&ON_FILE);
static ON_SOCKET: Twin = Twin::ready(Interest::Write, call_socket);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (iov, count) = (sqe.addr as *const libc::iovec, sqe.len as i32);
    // SAFETY: Lent: the array and the bytes that it names stay, unchanged, until completion.
    let here = || unsafe { libc::writev(sqe.fd, iov, count) };
    match sqe.off {
        HERE => ret(here()),
        // SAFETY: Lent: the same bytes, written to a place of their own.
        offset => unix::or_here(unsafe { libc::pwritev(sqe.fd, iov, count, unix::offset(offset)) }, here),
    }
}

unsafe fn call_stream(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Lent: the array and the bytes that it names stay, unchanged, until completion.
    unsafe { unix::writev_nowait(sqe.fd, sqe.addr as *const libc::iovec, sqe.len as i32) }
}

unsafe fn call_socket(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Lent: as for a stream; `sendmsg(2)` keeps the signal of a closed connection away.
    unsafe { unix::sendv_nowait(sqe.fd, sqe.addr as *mut libc::iovec, sqe.len as usize) }
}

/// A vectored write, as an operation.
#[derive(Debug)]
pub struct Writev<B> {
    fd: Fd,
    buf: B,
    offset: u64,
}

// SAFETY: Lent: `B: IoVecBuf` keeps its array and what that names in place and unchanged while it is moved.
unsafe impl<B: IoVecBuf> Op for Writev<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        by_kind(&self.fd, self.offset, [&ON_FILE, &ON_STREAM, &ON_SOCKET])
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let count = self.buf.read_iovec_len().min(MAX_IOVECS) as u32;
        Sqe::writev(self.fd.as_raw_fd(), self.buf.read_iovec_ptr(), count, self.offset)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.buf)
    }
}

/// Writes several buffers, one after the other, to wherever the descriptor's position is. Gives the number of bytes
/// written, which may be fewer than there are; buffers beyond the 1,024th are left for the next call.
///
/// # Errors
/// Those of `writev(2)`, with the buffers.
///
/// # Cancellation
/// **Lossy**: bytes may have been written, and nobody learns how many.
pub fn writev<B: IoVecBuf>(fd: &Fd, buf: B) -> Submit<Writev<B>> {
    submit(Writev { fd: fd.clone(), buf, offset: HERE })
}

/// Writes several buffers into a file at `offset`, in bytes; the file's own position stays.
///
/// # Errors
/// Those of `pwritev(2)`, with the buffers; what has no places is as for [`write_at`](crate::op::write_at).
///
/// # Cancellation
/// **Lossy**: bytes may have been written, and nobody learns how many.
pub fn writev_at<B: IoVecBuf>(fd: &Fd, buf: B, offset: u64) -> Submit<Writev<B>> {
    submit(Writev { fd: fd.clone(), buf, offset: place(offset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buf::VecBuf, op::read_at, testing};
    use std::io::Read;

    fn parts(parts: &[&[u8]]) -> VecBuf {
        VecBuf::from(parts.iter().map(|p| p.to_vec()).collect::<Vec<_>>())
    }

    #[crate::test]
    async fn writes_buffers_in_their_order() {
        let file = Fd::new(testing::temp_file().into());
        assert_eq!(writev(&file, parts(&[b"ab", b"", b"cde"])).await.0.unwrap(), 5);
        assert_eq!(writev_at(&file, parts(&[b"X", b"Y"]), 1).await.0.unwrap(), 2);
        assert_eq!(read_at(&file, Vec::with_capacity(9), 0).await.1, b"aXYde");
    }

    #[crate::test]
    async fn a_socket_takes_them_too() {
        let (a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
        let a = Fd::new(a.into());
        assert_eq!(writev(&a, parts(&[b"left ", b"right"])).await.0.unwrap(), 10);
        let mut got = [0; 10];
        b.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"left right");
        drop(b);
        testing::await_gone(&a);
        assert_eq!(writev(&a, parts(&[b"x"])).await.0.unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }
}
