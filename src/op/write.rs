//! `write(2)`: `IORING_OP_WRITE`, since Linux 5.6. On a file the twin runs on the pool, elsewhere it waits for
//! readiness. From a registered buffer: `IORING_OP_WRITE_FIXED`, where the ring knows it.

use crate::{
    buf::{BufResult, Fixed, IoBuf},
    driver::Fd,
    entry::{BufIndex, Cqe, Interest, Sqe, Target, Twin},
    op::{HERE, Op, Submit, by_kind, clamp, place, submit},
    sys::{
        self,
        unix::{self, ret},
    },
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Writes up to `len` bytes from `buf` at `offset` (`u64::MAX`: at the file's own position). How else it is to be
    /// done says [`rw_flags`](Sqe::rw_flags).
    ///
    /// *Result*: the number of bytes; short of `len`, it breaks a chain. *Since* Linux 5.6. *Cancel*: while it waits;
    /// of a file, before a worker has it, and not once a device has it. *Twin*: `write(2)`, `pwrite(2)`.
    #[must_use]
    pub fn write(fd: impl Target, buf: *const u8, len: u32, offset: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_WRITE as u8, off: offset, addr: buf as u64, len, ..Sqe::default() })
    }

    /// The same from memory that the ring knows as its registered buffer `index`: all of `buf` has to lie in it.
    ///
    /// *Result*: as that of [`write`](Sqe::write); `EFAULT` for what lies elsewhere, or an index of nothing. *Since*
    /// Linux
    /// 5.1. *Cancel*: as there. *Twin*: `write(2)`, `pwrite(2)`.
    #[must_use]
    pub fn write_fixed(fd: impl Target, buf: *const u8, len: u32, offset: u64, index: BufIndex) -> Sqe {
        by_index(Sqe::write(fd, buf, len, offset), index)
    }
}

/// The same entry, with its memory named by where it is registered.
fn by_index(sqe: Sqe, index: BufIndex) -> Sqe {
    Sqe { opcode: sys::IORING_OP_WRITE_FIXED as u8, buf_index: index.0, ..sqe }
}

static ON_FILE: Twin = Twin::pool(call);
static ON_SOCKET: Twin = Twin::ready(Interest::Write, call_socket);
static ON_STREAM: Twin = Twin::ready(Interest::Write, call_stream).or(&ON_FILE);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, len) = (sqe.addr as *const libc::c_void, sqe.len as usize);
    // SAFETY: Lent: `addr..addr + len` is readable and unchanged until completion.
    let here = || unsafe { libc::write(sqe.fd, buf, len) };
    match sqe.off {
        HERE => ret(here()),
        // SAFETY: Lent: the same bytes, written to a place of their own.
        offset => unix::or_here(unsafe { libc::pwrite(sqe.fd, buf, len, unix::offset(offset)) }, here),
    }
}

unsafe fn call_socket(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, len) = (sqe.addr as *const libc::c_void, sqe.len as usize);
    // SAFETY: Lent: a socket reads the bytes while the call lasts, and they are unchanged for longer.
    ret(unsafe { libc::send(sqe.fd, buf, len, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

unsafe fn call_stream(sqe: &Sqe, _attempt: u32) -> i32 {
    let iov = libc::iovec { iov_base: sqe.addr as *mut libc::c_void, iov_len: sqe.len as usize };
    // SAFETY: Lent: the one buffer is readable until completion; the array lives until the call returns.
    unsafe { unix::writev_nowait(sqe.fd, &iov, 1) }
}

/// A write, as an operation.
#[derive(Debug)]
pub struct Write<B> {
    fd: Fd,
    buf: B,
    offset: u64,
}

// SAFETY: Lent: `B: IoBuf` keeps its bytes in place and unchanged while it is moved.
unsafe impl<B: IoBuf> Op for Write<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        by_kind(&self.fd, self.offset, [&ON_FILE, &ON_STREAM, &ON_SOCKET])
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let len = clamp(self.buf.bytes_init());
        Sqe::write(self.fd.as_raw_fd(), self.buf.read_ptr(), len, self.offset)
    }

    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }

    fn fix(sqe: Sqe, index: BufIndex) -> Sqe {
        by_index(sqe, index)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.buf)
    }
}

/// Writes `buf` to wherever the descriptor's position is. Gives the number of bytes written, which may be fewer than
/// there are.
///
/// # Errors
/// Those of `write(2)`, with the buffer; `EPIPE` when nobody reads any more. A program that does not ignore SIGPIPE, as
/// Rust's do, may get that signal too.
///
/// # Cancellation
/// **Lossy**: bytes may have been written, and nobody learns how many.
pub fn write<B: IoBuf>(fd: &Fd, buf: B) -> Submit<Write<B>> {
    submit(Write { fd: fd.clone(), buf, offset: HERE })
}

/// Writes `buf` into a file at `offset`, in bytes; the file's own position stays.
///
/// # Errors
/// Those of `pwrite(2)`, with the buffer: `EINVAL` for an offset that no file has. What has no places (a pipe, a
/// terminal) is written where it is; a socket is at 0 alone, and answers `ESPIPE` elsewhere. A file opened to append
/// (`O_APPEND`) is written at its end.
///
/// # Cancellation
/// **Lossy**: bytes may have been written, and nobody learns how many.
pub fn write_at<B: IoBuf>(fd: &Fd, buf: B, offset: u64) -> Submit<Write<B>> {
    submit(Write { fd: fd.clone(), buf, offset: place(offset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::read_at;
    use std::io::{Read, pipe};

    #[crate::test]
    async fn writes_files_where_told() {
        let file = Fd::new(crate::testing::temp_file().into());
        assert_eq!(write(&file, b"0123456789").await.0.unwrap(), 10);
        assert_eq!(write_at(&file, b"ab", 3).await.0.unwrap(), 2);
        assert_eq!(write(&file, b"!").await.0.unwrap(), 1);
        let (n, buf) = read_at(&file, Vec::with_capacity(20), 0).await;
        assert_eq!((n.unwrap(), &buf[..]), (11, &b"012ab56789!"[..]));
    }

    #[crate::test]
    async fn waits_for_room_in_a_pipe() {
        let (mut rx, tx) = pipe().unwrap();
        let tx = Fd::new(tx.into());
        let reader = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut all = Vec::new();
            rx.read_to_end(&mut all).map(|_| all)
        });
        let (mut sent, mut buf) = (0, vec![1u8; 300_000]);
        while sent < 300_000 {
            let (n, back) = write(&tx, buf).await;
            sent += n.unwrap();
            buf = back;
            buf.truncate(300_000 - sent);
        }
        drop(tx);
        // The close is the driver's to do; it happens in its next turn.
        crate::op::nop().await.unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), 300_000);
    }

    #[crate::test]
    async fn a_broken_pipe_is_an_error_and_no_signal() {
        let (rx, tx) = pipe().unwrap();
        let tx = Fd::new(tx.into());
        drop(rx);
        crate::testing::await_gone(&tx);
        let (res, buf) = write(&tx, b"x".to_vec()).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EPIPE), b"x".to_vec()));
    }
}
