//! `readv(2)`: `IORING_OP_READV`, since Linux 5.1. On a file the twin takes what is in the page cache at once and runs
//! on the pool otherwise, elsewhere it waits for readiness.

use crate::{
    buf::{BufResult, IoVecBufMut, iovecs_mut},
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
    /// Reads into the `count` buffers at `iov`, one after the other, from `offset` (`u64::MAX`: the file's own
    /// position). The array is read when the entry is submitted; the buffers are lent until the completion.
    ///
    /// *Result*: the number of bytes, 0 at the end; `EINVAL` for more than 1024 buffers. Takes a buffer from a
    /// [group](Sqe::buffer_select) since Linux 5.7, if `count` is 1. *Since* Linux 5.1. *Cancel*: as of
    /// [`read`](Sqe::read). *Twin*: `readv(2)`, `preadv(2)`.
    #[must_use]
    pub fn readv(fd: impl Target, iov: *const libc::iovec, count: u32, offset: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_READV as u8, off: offset, addr: iov as u64, len: count, ..Sqe::default() })
    }
}

static ON_FILE: Twin = Twin::pool(call).after(&CACHED);
static CACHED: Twin = Twin::here(call_cached);
static ON_STREAM: Twin = Twin::ready(Interest::Read, call_nowait).or(&ON_FILE);
static ON_SOCKET: Twin = Twin::ready(Interest::Read, call_socket);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (iov, count) = (sqe.addr as *const libc::iovec, sqe.len as i32);
    // SAFETY: Lent: the array and the buffers that it names stay until completion.
    let here = || unsafe { libc::readv(sqe.fd, iov, count) };
    match sqe.off {
        HERE => ret(here()),
        // SAFETY: Lent: the same buffers, read at a place of their own.
        offset => unix::or_here(unsafe { libc::preadv(sqe.fd, iov, count, unix::offset(offset)) }, here),
    }
}

unsafe fn call_cached(sqe: &Sqe, _attempt: u32) -> i32 {
    let (iov, count) = (sqe.addr as *const libc::iovec, sqe.len);
    if iov.is_null() {
        return -libc::EOPNOTSUPP;
    }
    // SAFETY: Lent: the array is there until completion, and names so many buffers.
    let parts = unsafe { std::slice::from_raw_parts(iov, count as usize) };
    let len = parts.iter().map(|part| part.iov_len).sum();
    // SAFETY: Lent: the same array, whose buffers are writable.
    unsafe { unix::preadv_cached(sqe.fd, iov, count as i32, len, sqe.off) }
}

unsafe fn call_nowait(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Lent: the array and the writable buffers that it names stay until completion.
    unsafe { unix::readv_nowait(sqe.fd, sqe.addr as *const libc::iovec, sqe.len as i32) }
}

unsafe fn call_socket(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Lent: as for a stream; a socket takes its word by the call, whatever the descriptor's flags are.
    unsafe { unix::recvv_nowait(sqe.fd, sqe.addr as *mut libc::iovec, sqe.len as usize) }
}

/// A vectored read, as an operation.
#[derive(Debug)]
pub struct Readv<B> {
    fd: Fd,
    buf: B,
    len: usize,
    offset: u64,
}

// SAFETY: Lent: `B: IoVecBufMut` keeps its array and what that names in place while it is moved.
unsafe impl<B: IoVecBufMut> Op for Readv<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        // Without room a receive would wait for data; the kernel's readv answers 0 at once.
        let on_socket = if self.len > 0 { &ON_SOCKET } else { &ON_STREAM };
        by_kind(&self.fd, self.offset, [&ON_FILE, &ON_STREAM, on_socket])
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let count = self.buf.write_iovec_len().min(MAX_IOVECS) as u32;
        self.len = iovecs_mut(&mut self.buf).iter().take(MAX_IOVECS).map(|v| v.iov_len).sum();
        Sqe::readv(self.fd.as_raw_fd(), self.buf.write_iovec_ptr(), count, self.offset)
    }

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        let n = cqe.result().map(|n| self.len.min(n as usize));
        if let Ok(n) = n {
            // SAFETY: Told: the kernel or the twin filled the buffers in their order with `n` bytes, and `n` is no more
            // than was offered.
            unsafe { self.buf.set_init(n) };
        }
        (n, self.buf)
    }
}

/// Reads into several buffers, one after the other, from wherever the descriptor's position is. Gives the number of
/// bytes, 0 at the end. Buffers beyond the 1,024th are left alone.
///
/// # Errors
/// Those of `readv(2)`, with the buffers.
///
/// # Cancellation
/// **Lossy**: bytes that were read go down with the buffers.
pub fn readv<B: IoVecBufMut>(fd: &Fd, buf: B) -> Submit<Readv<B>> {
    submit(Readv { fd: fd.clone(), buf, len: 0, offset: HERE })
}

/// Reads into several buffers what a file has at `offset`, in bytes; the file's own position stays.
///
/// # Errors
/// Those of `preadv(2)`, with the buffers; what has no places is as for [`read_at`](crate::op::read_at).
///
/// # Cancellation
/// **Clean**: the file keeps what was read.
pub fn readv_at<B: IoVecBufMut>(fd: &Fd, buf: B, offset: u64) -> Submit<Readv<B>> {
    submit(Readv { fd: fd.clone(), buf, len: 0, offset: place(offset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::VecBuf;
    use std::{
        fs::File,
        io::{Write, pipe},
    };

    fn room(lens: &[usize]) -> VecBuf {
        VecBuf::from(lens.iter().map(|&n| vec![b'.'; n]).collect::<Vec<_>>())
    }

    #[crate::test]
    async fn fills_buffers_in_their_order() {
        let file = Fd::new(File::open("Cargo.toml").unwrap().into());
        let text = std::fs::read("Cargo.toml").unwrap();
        let (n, buf) = readv_at(&file, room(&[4, 0, 6]), 2).await;
        let parts: Vec<Vec<u8>> = buf.into();
        assert_eq!((n.unwrap(), &parts[0][..], &parts[2][..]), (10, &text[2..6], &text[6..12]));
        assert_eq!(readv(&file, room(&[3])).await.0.unwrap(), 3);
    }

    #[test]
    fn no_result_exceeds_the_room() {
        let fd = Fd::new(File::open("Cargo.toml").unwrap().into());
        let mut op = Readv { fd, buf: room(&[3, 4]), len: 0, offset: HERE };
        op.encode();
        assert_eq!(op.finish(Cqe::new(0, 1000)).0.unwrap(), 7);
    }

    #[crate::test]
    async fn a_socket_waits_unless_there_is_no_room() {
        let (a, mut b) = crate::testing::socket_pair();
        assert_eq!(readv(&a, room(&[0, 0])).await.0.unwrap(), 0);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            b.write_all(b"late").unwrap();
        });
        let (n, buf) = readv(&a, room(&[3, 3])).await;
        let parts: Vec<Vec<u8>> = buf.into();
        assert_eq!((n.unwrap(), parts), (4, vec![b"lat".to_vec(), b"e".to_vec()]));
        writer.join().unwrap();
        assert_eq!(crate::metrics().driver.twins_pool, 0, "a socket never needs the pool");
    }

    #[crate::test]
    async fn tells_only_what_was_filled() {
        let (rx, mut tx) = pipe().unwrap();
        tx.write_all(b"abcde").unwrap();
        let (n, buf) = readv(&Fd::new(rx.into()), room(&[3, 4, 4])).await;
        let parts: Vec<Vec<u8>> = buf.into();
        assert_eq!((n.unwrap(), parts), (5, vec![b"abc".to_vec(), b"de".to_vec(), b"....".to_vec()]));
    }
}
