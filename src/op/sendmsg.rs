//! `sendmsg(2)`: `IORING_OP_SENDMSG`, since Linux 5.3.

use crate::{
    buf::{BufResult, Envelope, IoBuf},
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, clamp, submit},
    sys::{self, unix::ret},
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Sends the message of the header at `header`; `flags` are `MSG_*`. No signal comes of a closed connection. The
    /// header, the address and the array of buffers are read when this is submitted; the bytes and control data are
    /// lent until the completion. Takes [`RecvSendFlags::POLL_FIRST`](crate::entry::RecvSendFlags::POLL_FIRST).
    ///
    /// *Result*: as of [`send`](Sqe::send). *Since* Linux 5.3. *Cancel*: while it waits; with `MSG_WAITALL` it gives
    /// the bytes so far. No buffer select. *Twin*: `sendmsg(2)`.
    #[must_use]
    pub fn sendmsg(fd: impl Target, header: *const libc::msghdr, flags: i32) -> Sqe {
        let (addr, op_flags) = (header as u64, (flags | libc::MSG_NOSIGNAL) as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_SENDMSG as u8, addr, len: 1, op_flags, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

/// A Unix socket that is full answers EAGAIN to whoever sends to its address, whose own socket counts as writable.
static UNIX_TWIN: Twin = Twin::retry(call);

/// How a message finds its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The kernel waits for room, if it has to.
    Plain,
    /// The kernel only tries, and a twin does the rest. A Unix socket for datagrams takes the bytes out of a message
    /// before it finds its receiver full, and the ring tries again with what is left: an empty datagram would be sent
    /// (Linux 6.18).
    Tried,
}

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (header, flags) = (sqe.addr as *const libc::msghdr, sqe.op_flags as i32 | libc::MSG_DONTWAIT);
    // SAFETY: Lent: the header and everything that it names stay, unchanged, until completion.
    ret(unsafe { libc::sendmsg(sqe.fd, header, flags) })
}

/// The sending of a message, as an operation.
#[derive(Debug)]
pub struct SendMsg<B> {
    fd: Fd,
    buf: B,
    envelope: Envelope,
    way: Way,
}

impl<B> SendMsg<B> {
    fn is_to_unix(&self) -> bool {
        self.envelope.addr().family() == libc::AF_UNIX
    }
}

// SAFETY: Lent: `B: IoBuf` keeps its bytes in place while it is moved, and an envelope lies in a box of its own.
unsafe impl<B: IoBuf> Op for SendMsg<B> {
    type Output = BufResult<usize, (B, Envelope)>;

    fn twin(&self) -> &'static Twin {
        if self.is_to_unix() { &UNIX_TWIN } else { &TWIN }
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let len = clamp(self.buf.bytes_init()) as usize;
        let header = self.envelope.lend_to_send(self.buf.read_ptr(), len);
        let tried = self.way == Way::Tried || self.is_to_unix();
        Sqe::sendmsg(self.fd.as_raw_fd(), header, if tried { libc::MSG_DONTWAIT } else { 0 })
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|n| n as usize), (self.buf, self.envelope))
    }
}

/// Sends `buf` as a message, with what is in `envelope`. Gives the number of bytes; a datagram is sent whole or not at
/// all.
///
/// A Unix socket for datagrams that is connected and finds its receiver full may send an empty datagram instead, on the
/// ring (Linux 6.18); [`UnixDatagram`](crate::net::UnixDatagram) knows how to avoid it.
///
/// # Errors
/// Those of `sendmsg(2)`, with buffer and envelope: `EMSGSIZE` for a datagram that is too long.
///
/// # Cancellation
/// **Lossy**: the message may have been sent, and nobody learns whether.
pub fn sendmsg<B: IoBuf>(fd: &Fd, buf: B, envelope: Envelope) -> Submit<SendMsg<B>> {
    submit(SendMsg { fd: fd.clone(), buf, envelope, way: Way::Plain })
}

/// As [`sendmsg`], from a Unix socket for datagrams that is connected.
pub(crate) fn sendmsg_unix<B: IoBuf>(fd: &Fd, buf: B, envelope: Envelope) -> Submit<SendMsg<B>> {
    submit(SendMsg { fd: fd.clone(), buf, envelope, way: Way::Tried })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{await_gone, socket_pair};
    use std::{io::Read, net::UdpSocket};

    #[crate::test]
    async fn a_message_goes_where_its_envelope_says() {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let mut envelope = Envelope::new();
        envelope.set_addr(to);
        let (n, (_, envelope)) = sendmsg(&Fd::new(a.into()), b"hello", envelope).await;
        assert_eq!((n.unwrap(), envelope.addr().to_std().unwrap()), (5, to));
        let mut room = [0; 16];
        assert_eq!(b.recv_from(&mut room).unwrap(), (5, from));
        assert_eq!(&room[..5], b"hello");
    }

    /// Red when the twin does not wait for room.
    #[crate::test]
    async fn it_waits_for_room_and_tells_what_went() {
        let (a, mut b) = socket_pair();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut all = vec![0; 1 << 20];
            b.read_exact(&mut all).map(|()| all)
        });
        let (mut sent, text, mut envelope) = (0, vec![b'z'; 1 << 20], Envelope::new());
        let (mut n, mut rest);
        while sent < text.len() {
            (n, (rest, envelope)) = sendmsg(&a, text[sent..].to_vec(), envelope).await;
            drop(rest);
            sent += n.unwrap();
        }
        assert_eq!(reader.join().unwrap().unwrap(), text);
    }

    #[crate::test]
    async fn a_closed_connection_is_an_error_and_no_signal() {
        let (a, b) = socket_pair();
        drop(b);
        await_gone(&a);
        let (res, (buf, _)) = sendmsg(&a, "gone", Envelope::new()).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EPIPE), "gone"));
    }
}
