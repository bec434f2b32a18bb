//! `send(2)`: `IORING_OP_SEND`, since Linux 5.6.

use crate::{
    buf::{BufResult, IoBuf},
    driver::Fd,
    entry::{BufGroup, BufIndex, Cqe, Interest, RecvSendFlags, Sqe, Target, Twin},
    op::{Op, Submit, clamp, submit},
    sys::{self, unix::ret},
};
use std::{os::fd::AsRawFd, ptr};

impl Sqe {
    /// Sends up to `len` bytes from `buf`, which is lent until the completion; `flags` are `MSG_*`. No signal comes of
    /// a closed connection. Takes [`RecvSendFlags`](crate::entry::RecvSendFlags), and a [destination](Sqe::to).
    ///
    /// *Result*: the number of bytes, which may be fewer without `MSG_WAITALL`. `EPIPE` or `ECONNRESET` when the peer
    /// has gone. A socket that does not block is waited for all the same; `MSG_DONTWAIT` answers `EAGAIN`. *Since*
    /// Linux 5.6. *Cancel*: while it waits; with `MSG_WAITALL` it gives the bytes so far. Buffer select since 6.10: see
    /// [`send_bundle`](Sqe::send_bundle). *Twin*: `send(2)`.
    #[must_use]
    pub fn send(fd: impl Target, buf: *const u8, len: u32, flags: i32) -> Sqe {
        let (addr, op_flags) = (buf as u64, (flags | libc::MSG_NOSIGNAL) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_SEND as u8, addr, len, op_flags, ..Sqe::default() })
    }

    /// For [`send`](Sqe::send) and [`send_zc`](Sqe::send_zc): to the address of `len` bytes at `addr`, which is read
    /// when this is submitted. Since Linux 6.1, for zero-copy sends 6.0; `EINVAL` before.
    #[must_use]
    pub fn to(self, addr: *const libc::sockaddr, len: u16) -> Sqe {
        // The length lies in the first half of the word that other entries have an index in.
        let [low, high] = len.to_ne_bytes();
        Sqe { off: addr as u64, file_index: u32::from_ne_bytes([low, high, 0, 0]), ..self }
    }

    /// Sends the bytes of the buffers that are on offer in `group`, in their order and of each as many as its length
    /// says, until none is left; as `MSG_WAITALL` does.
    ///
    /// *Result*: the number of bytes of all; the buffers begin with the one that the completion names. `ENOBUFS` when
    /// none is on offer. *Since* Linux 6.10. *Cancel*: while it waits; it gives the bytes so far. Only with a group; no
    /// multishot. *Twin*: none.
    #[must_use]
    pub fn send_bundle(fd: impl Target, group: BufGroup, flags: i32) -> Sqe {
        Sqe::send(fd, ptr::null(), 0, flags).buffer_select(group).recv_send_flags(RecvSendFlags::BUNDLE)
    }

    /// Sends the bytes of the `count` buffers that the array at `parts` names. It is read when this is submitted, and
    /// the buffers are lent until the completion.
    ///
    /// *Result*: as of [`send`](Sqe::send); `EINVAL` before. *Since* Linux 6.17. *Cancel*: as of that. *Twin*: none.
    #[must_use]
    pub fn send_vectorized(fd: impl Target, parts: *const libc::iovec, count: u32, flags: i32) -> Sqe {
        Sqe::send(fd, parts.cast(), count, flags).recv_send_flags(RecvSendFlags::VECTORIZED)
    }

    /// As [`send`](Sqe::send) from memory that the ring knows as its registered buffer `index`: all of `buf` has to lie
    /// in it.
    ///
    /// *Result*: as of that; `EINVAL` before, `EFAULT` for what lies elsewhere. *Since* Linux 7.2. *Cancel*: as of
    /// that. *Twin*: none.
    #[must_use]
    pub fn send_fixed(fd: impl Target, buf: *const u8, len: u32, flags: i32, index: BufIndex) -> Sqe {
        Sqe::send(fd, buf, len, flags).by_index(index)
    }
}

pub(super) static TWIN: Twin = Twin::ready(Interest::Write, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, flags) = (sqe.addr as *const libc::c_void, sqe.op_flags as i32 | libc::MSG_DONTWAIT);
    // SAFETY: Lent: `addr..addr + len` is readable and unchanged until completion.
    ret(unsafe { libc::send(sqe.fd, buf, sqe.len as usize, flags) })
}

/// A send, as an operation.
#[derive(Debug)]
pub struct Send<B> {
    fd: Fd,
    buf: B,
}

// SAFETY: Lent: `B: IoBuf` keeps its bytes in place and unchanged while it is moved.
unsafe impl<B: IoBuf> Op for Send<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let len = clamp(self.buf.bytes_init());
        Sqe::send(self.fd.as_raw_fd(), self.buf.read_ptr(), len, 0)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.buf)
    }
}

/// Sends `buf`. Gives the number of bytes that the socket took, which may be fewer than there are.
///
/// # Errors
/// Those of `send(2)`, with the buffer: `EPIPE` when the connection is shut down.
///
/// # Cancellation
/// **Lossy**: bytes may have been sent, and nobody learns how many.
pub fn send<B: IoBuf>(fd: &Fd, buf: B) -> Submit<Send<B>> {
    submit(Send { fd: fd.clone(), buf })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::SqeFlags,
        testing::{await_gone, socket_pair},
    };
    use std::io::Read;

    #[crate::test]
    async fn sends_and_waits_for_room() {
        let (a, mut b) = socket_pair();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut all = vec![0; 1 << 20];
            b.read_exact(&mut all).map(|()| all)
        });
        let (mut sent, text) = (0, vec![b'z'; 1 << 20]);
        while sent < text.len() {
            sent += send(&a, text[sent..].to_vec()).await.0.unwrap();
        }
        assert_eq!(reader.join().unwrap().unwrap(), text);
    }

    /// A send with what the entry of an ordinary one has not.
    struct Special {
        fd: Fd,
        buf: Vec<u8>,
        special: fn(Sqe) -> Sqe,
    }

    // SAFETY: Lent: a `Vec` keeps its bytes in place and unchanged while it is moved.
    unsafe impl Op for Special {
        type Output = i32;

        fn twin(&self) -> &'static Twin {
            &TWIN
        }

        fn fd(&self) -> Option<&Fd> {
            Some(&self.fd)
        }

        fn encode(&mut self) -> Sqe {
            (self.special)(Sqe::send(self.fd.as_raw_fd(), self.buf.as_ptr(), clamp(self.buf.len()), 0))
        }

        fn finish(self, cqe: Cqe) -> i32 {
            cqe.res
        }
    }

    /// A call does less. Red when one of the three is not looked at.
    #[crate::test(driver = "uring")]
    async fn a_send_with_flags_or_options_is_the_kernels() {
        if std::env::var("ANNULUS_HIDE_OPS").is_ok() {
            return;
        }
        let (a, mut b) = socket_pair();
        let reader = std::thread::spawn(move || b.read_to_end(&mut Vec::new()).unwrap());
        let before = crate::metrics().driver.inline;
        let specials: [fn(Sqe) -> Sqe; 4] = [
            |sqe| Sqe { op_flags: sqe.op_flags | libc::MSG_WAITALL as u32, ..sqe },
            |sqe| sqe.recv_send_flags(RecvSendFlags::POLL_FIRST),
            |sqe| sqe.flags(SqeFlags::ASYNC),
            |sqe| sqe,
        ];
        for (n, special) in specials.into_iter().enumerate() {
            // As much as no socket takes at once, for the one who goes on.
            let len = if n == 0 { 4 << 20 } else { 4 };
            let sent = submit(Special { fd: a.clone(), buf: vec![0; len], special }).await;
            assert_eq!((sent, crate::metrics().driver.inline - before), (len as i32, u64::from(n == 3)), "{n}");
        }
        drop(a);
        crate::time::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(reader.join().unwrap(), (4 << 20) + 12);
    }

    #[crate::test]
    async fn a_closed_connection_is_an_error_and_no_signal() {
        let (a, b) = socket_pair();
        drop(b);
        await_gone(&a);
        let (res, buf) = send(&a, "gone").await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EPIPE), "gone"));
    }
}
