//! `send(2)`: `IORING_OP_SEND`, since Linux 5.6.

use crate::{
    buf::{BufResult, IoBuf},
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, clamp, submit},
    sys::{self, unix::ret},
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Sends up to `len` bytes from `buf`; `flags` are `MSG_*`. No signal comes of a closed connection.
    #[must_use]
    pub fn send(fd: impl Target, buf: *const u8, len: u32, flags: i32) -> Sqe {
        let (addr, op_flags) = (buf as u64, (flags | libc::MSG_NOSIGNAL) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_SEND as u8, addr, len, op_flags, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

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
    use crate::testing::socket_pair;
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

    #[crate::test]
    async fn a_closed_connection_is_an_error_and_no_signal() {
        let (a, b) = socket_pair();
        drop(b);
        let (res, buf) = send(&a, "gone").await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EPIPE), "gone"));
    }
}
