//! `recvmsg(2)`: `IORING_OP_RECVMSG`, since Linux 5.3.

use crate::{
    buf::{BufResult, Envelope, IoBufMut},
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, clamp, submit},
    sys::{
        self,
        unix::{self, ret},
    },
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Receives a message by the header at `header`; `flags` are `MSG_*`. Close-on-exec is added, for descriptors that
    /// come with it. The header, all the room that it names and what the kernel writes to them are lent until the
    /// completion; the array of buffers is read when this is submitted. Takes
    /// [`RecvSendFlags`](crate::entry::RecvSendFlags), but neither a bundle nor a registered buffer. With a
    /// [group](Sqe::buffer_select) there is one buffer in the header, whose length is the most that is received.
    ///
    /// *Result*: the number of bytes, which `MSG_TRUNC` may make more than there was room for. *Since* Linux 5.3.
    /// *Cancel*: while it waits; with `MSG_WAITALL` it gives the bytes so far. Buffer select. *Twin*: `recvmsg(2)`.
    #[must_use]
    pub fn recvmsg(fd: impl Target, header: *mut libc::msghdr, flags: i32) -> Sqe {
        // The sign speaks of programs with narrower headers, which this is not.
        let (addr, op_flags) = (header as u64, (flags & i32::MAX | unix::MSG_CMSG_CLOEXEC) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_RECVMSG as u8, addr, len: 1, op_flags, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::ready(Interest::Read, call);
/// For a receive that does not wait.
static TWIN_NOW: Twin = Twin::here(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (header, flags) = (sqe.addr as *mut libc::msghdr, sqe.op_flags as i32 | libc::MSG_DONTWAIT);
    // SAFETY: Lent: the header and all the room that it names are the operation's alone until it finishes.
    ret(unsafe { libc::recvmsg(sqe.fd, header, flags) })
}

/// The receiving of a message, as an operation.
#[derive(Debug)]
pub struct RecvMsg<B> {
    fd: Fd,
    buf: B,
    len: u32,
    envelope: Envelope,
    flags: i32,
}

// SAFETY: Lent: `B: IoBufMut` keeps its bytes in place while it is moved, and the envelope's lie on the heap.
unsafe impl<B: IoBufMut> Op for RecvMsg<B> {
    type Output = BufResult<usize, (B, Envelope)>;

    fn twin(&self) -> &'static Twin {
        if self.flags & libc::MSG_DONTWAIT != 0 { &TWIN_NOW } else { &TWIN }
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        self.len = clamp(self.buf.bytes_total());
        let header = self.envelope.lend_to_receive(self.buf.write_ptr(), self.len as usize);
        Sqe::recvmsg(self.fd.as_raw_fd(), header, self.flags)
    }

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        let n = cqe.result().map(|n| n.min(self.len) as usize);
        match n {
            Ok(n) => {
                // SAFETY: Kernel's word: the message was received by the header of `encode`, just now.
                unsafe { self.envelope.received() };
                // SAFETY: Told: `n` bytes of the message were written to the buffer, no more than there was room for.
                unsafe { self.buf.set_init(n) };
            }
            Err(_) => self.envelope.failed(),
        }
        (n, (self.buf, self.envelope))
    }
}

/// Receives a message into `buf`, and what comes with it into `envelope`. `flags` are `MSG_*`: `MSG_PEEK` leaves the
/// message where it is. `MSG_TRUNC` is left out, because TCP would throw bytes away by it, and count them; the envelope
/// [tells](Envelope::is_truncated) all the same. So is `MSG_WAITALL`: a receive gives what is there.
///
/// Gives the number of bytes in the buffer: 0 for an empty datagram, or when the peer of a stream has shut down.
///
/// # Errors
/// Those of `recvmsg(2)`, with buffer and envelope; `EAGAIN` only with `MSG_DONTWAIT`.
///
/// # Cancellation
/// **Lossy**: a message that was received is dropped, and the descriptors that came with it are closed.
pub fn recvmsg<B: IoBufMut>(fd: &Fd, buf: B, envelope: Envelope, flags: i32) -> Submit<RecvMsg<B>> {
    // Kernel's word: what is counted has to be written. And a twin, which does not wait, could not wait for all.
    let flags = flags & !(unix::MSG_UNWRITTEN | libc::MSG_WAITALL);
    submit(RecvMsg { fd: fd.clone(), buf, len: 0, envelope, flags })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[crate::test]
    async fn a_message_comes_with_its_sender() {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let b = Fd::new(b.into());
        a.send_to(b"now", to).unwrap();
        let (n, (buf, envelope)) = recvmsg(&b, Vec::with_capacity(8), Envelope::new(), libc::MSG_PEEK).await;
        assert_eq!((n.unwrap(), &buf[..], envelope.addr().to_std().unwrap()), (3, &b"now"[..], from));
        let (n, (buf, envelope)) = recvmsg(&b, Vec::with_capacity(2), envelope, 0).await;
        assert_eq!((n.unwrap(), &buf[..]), (2, &b"no"[..]));
        assert!(envelope.is_truncated() && !envelope.is_control_truncated());
        let nothing = recvmsg(&b, buf, envelope, libc::MSG_DONTWAIT).await;
        assert_eq!(nothing.0.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert!(nothing.1.1.addr().is_unnamed(), "nobody has sent it");
        let sender = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            a.send_to(b"later", to).unwrap();
        });
        let (n, (buf, _)) = recvmsg(&b, Vec::with_capacity(8), Envelope::new(), 0).await;
        assert_eq!((n.unwrap(), &buf[..]), (5, &b"later"[..]));
        sender.join().unwrap();
    }

    #[crate::test]
    async fn no_socket_is_an_error_and_loses_nothing() {
        let file = Fd::new(std::fs::File::open("Cargo.toml").unwrap().into());
        let (res, (buf, _)) = recvmsg(&file, vec![1, 2, 3], Envelope::new(), 0).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::ENOTSOCK), vec![1, 2, 3]));
    }

    /// On TCP the flag throws bytes away and counts them: red when a buffer is said to hold what nobody wrote to it.
    #[crate::test]
    async fn what_is_counted_was_written() {
        use std::io::Write;
        let (listener, addr) = crate::testing::listener();
        let mut peer = std::net::TcpStream::connect(addr).unwrap();
        let fd = Fd::new(crate::op::accept(&listener).await.0.unwrap());
        peer.write_all(b"bytes").unwrap();
        let (n, (buf, _)) = recvmsg(&fd, vec![b'?'; 8], Envelope::new(), libc::MSG_TRUNC).await;
        let n = n.unwrap();
        assert_eq!((n, &buf[..n]), (5, &b"bytes"[..]));
    }

    /// Red when one driver waits for all of the room to be filled, and the other one does not.
    #[crate::test]
    async fn no_flag_makes_it_wait_for_more() {
        use std::{io::Write, time::Duration};
        let (fd, mut peer) = crate::testing::socket_pair();
        let mut receiving = recvmsg(&fd, Vec::with_capacity(4), Envelope::new(), libc::MSG_WAITALL);
        crate::testing::poll_once(&mut receiving).await;
        peer.write_all(b"ab").unwrap();
        let received = crate::time::timeout(Duration::from_secs(5), receiving).await.expect("it waits for more");
        assert_eq!(received.1.0, b"ab");
    }
}
