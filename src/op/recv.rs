//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.6.

use crate::{
    buf::{BufResult, IoBufMut},
    driver::Fd,
    entry::{BufIndex, Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, clamp, submit},
    sys::{self, unix::ret},
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Receives up to `len` bytes into `buf`, which is lent until the completion; `flags` are `MSG_*`. Takes
    /// [`RecvSendFlags`](crate::entry::RecvSendFlags), and a [group](Sqe::buffer_select) instead of `buf`.
    ///
    /// *Result*: the number of bytes, 0 at the end; `MSG_TRUNC` may give **more than `len`**, and has no place beside a
    /// group. [`CqeFlags::SOCK_NONEMPTY`](crate::entry::CqeFlags::SOCK_NONEMPTY) says that there is more. A socket that
    /// does not block is waited for all the same; `MSG_DONTWAIT` answers `EAGAIN`. *Since* Linux 5.6. *Cancel*: while
    /// it waits; with `MSG_WAITALL` it gives the bytes so far. Buffer select. *Twin*: `recv(2)`.
    #[must_use]
    pub fn recv(fd: impl Target, buf: *mut u8, len: u32, flags: i32) -> Sqe {
        let (addr, op_flags) = (buf as u64, flags as u32);
        fd.aim(Sqe { opcode: sys::IORING_OP_RECV as u8, addr, len, op_flags, ..Sqe::default() })
    }

    /// The same into memory that the ring knows as its registered buffer `index`: all of `buf` has to lie in it.
    ///
    /// *Result*: as of [`recv`](Sqe::recv); `EINVAL` before, `EFAULT` for what lies elsewhere. *Since* Linux 7.2.
    /// *Cancel*: as of that. *Twin*: none.
    #[must_use]
    pub fn recv_fixed(fd: impl Target, buf: *mut u8, len: u32, flags: i32, index: BufIndex) -> Sqe {
        Sqe::recv(fd, buf, len, flags).by_index(index)
    }
}

pub(super) static TWIN: Twin = Twin::ready(Interest::Read, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, flags) = (sqe.addr as *mut libc::c_void, sqe.op_flags as i32 | libc::MSG_DONTWAIT);
    // SAFETY: Lent: the kernel may write to all of the buffer, which is the operation's alone until it finishes.
    ret(unsafe { libc::recv(sqe.fd, buf, sqe.len as usize, flags) })
}

/// A receive, as an operation.
#[derive(Debug)]
pub struct Recv<B> {
    fd: Fd,
    buf: B,
    len: u32,
    flags: i32,
    /// The kernel says of this socket whether more is there than was received.
    tells: bool,
}

impl<B> Recv<B> {
    pub(super) fn new(fd: &Fd, buf: B, flags: i32) -> Recv<B> {
        Recv { fd: fd.clone(), buf, len: 0, flags, tells: false }
    }
}

// SAFETY: Lent: `B: IoBufMut` keeps its bytes in place while it is moved, and `len` of them are its own.
unsafe impl<B: IoBufMut> Op for Recv<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        self.len = clamp(self.buf.bytes_total());
        // Whatever comes next is not there yet, so a try would only cost: the kernel waits first (since Linux 5.19).
        let ioprio = if self.tells && self.fd.is_drained() { sys::IORING_RECVSEND_POLL_FIRST as u16 } else { 0 };
        Sqe { ioprio, ..Sqe::recv(self.fd.as_raw_fd(), self.buf.write_ptr(), self.len, self.flags) }
    }

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        if self.tells {
            self.fd.received(cqe, self.len);
        }
        // A result may exceed the length: a datagram that did not fit (MSG_TRUNC).
        let n = cqe.result().map(|n| n.min(self.len) as usize);
        if let Ok(n) = n {
            // SAFETY: Told: `n` bytes were received into the buffer, and `n` is no more than was offered.
            unsafe { self.buf.set_init(n) };
        }
        (n, self.buf)
    }
}

/// Receives into `buf`. Gives the number of bytes: 0 when the peer has shut down, or for an empty datagram.
///
/// # Errors
/// Those of `recv(2)`, with the buffer: `ENOTSOCK` for what is no socket.
///
/// # Cancellation
/// **Lossy**: bytes that were received go down with the buffer.
pub fn recv<B: IoBufMut>(fd: &Fd, buf: B) -> Submit<Recv<B>> {
    submit(Recv::new(fd, buf, 0))
}

/// [`recv`] from a TCP connection: the kernel says whether more is there than was received, and the next receive goes
/// by that.
pub(crate) fn recv_tcp<B: IoBufMut>(fd: &Fd, buf: B) -> Submit<Recv<B>> {
    submit(Recv { tells: true, ..Recv::new(fd, buf, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{listener, poll_once, socket_pair};
    use std::io::Write;

    /// A connection, and its other end.
    fn tcp_pair() -> (Fd, std::net::TcpStream) {
        let (listener, addr) = listener();
        let b = std::net::TcpStream::connect(addr).unwrap();
        let listener = std::net::TcpListener::from(listener.duplicate().unwrap());
        (Fd::socket(listener.accept().unwrap().0.into()), b)
    }

    /// How many receives were told to wait first, and how many of them have been done at a watch instead.
    fn waited_first() -> (u64, u64) {
        let driver = crate::metrics().driver;
        (driver.poll_first, driver.watched)
    }

    /// Red when a receive tries though the one before left nothing, or waits though something was left.
    #[crate::test]
    async fn a_receive_that_will_wait_does_not_try() {
        let (a, mut b) = tcp_pair();
        let hidden = std::env::var("ANNULUS_HIDE_OPS").unwrap_or_default();
        let hides = |names: &[&str]| hidden.split(',').any(|name| names.contains(&name));
        let can_watch = !hides(&["INLINE", "POLL_ADD", "POLL_ADD_MULTI", "SENDMSG_ZC"]);
        let known = !hides(&["RECV"]) && (can_watch || !hides(&["RECVSEND_POLL_FIRST"]));
        let one = u64::from(known && crate::driver().kind() == crate::DriverKind::Uring);
        let waited = || waited_first().0 + waited_first().1;
        b.write_all(b"abc").unwrap();
        let (n, buf) = recv_tcp(&a, Vec::with_capacity(8)).await;
        assert_eq!((n.unwrap(), waited()), (3, 0), "nothing is known yet");
        let mut receiving = recv_tcp(&a, buf);
        poll_once(&mut receiving).await;
        b.write_all(b"0123456789abcdefghij").unwrap();
        let (n, buf) = receiving.await;
        assert_eq!((n.unwrap(), waited()), (8, one));
        for left in [8, 4] {
            assert_eq!(recv_tcp(&a, Vec::with_capacity(8)).await.0.unwrap(), left);
        }
        assert_eq!(waited(), one, "there was more");
        b.write_all(b"x").unwrap();
        assert_eq!(recv_tcp(&a, buf).await.1, b"x", "what came before the receive is not missed");
        drop(b);
        assert_eq!(recv_tcp(&a, Vec::with_capacity(8)).await.0.unwrap(), 0);
        assert_eq!(waited(), 3 * one);
    }

    /// A receive that is wrong, and waits first.
    struct Wrong(Fd);

    // SAFETY: Lent: the entry names no memory.
    unsafe impl Op for Wrong {
        type Output = i32;

        fn twin(&self) -> &'static Twin {
            &TWIN
        }

        fn encode(&mut self) -> Sqe {
            let ioprio = sys::IORING_RECVSEND_POLL_FIRST as u16;
            Sqe { ioprio, off: 1, ..Sqe::recv(self.0.as_raw_fd(), std::ptr::null_mut(), 0, 0) }
        }

        fn finish(self, cqe: Cqe) -> i32 {
            cqe.res
        }
    }

    /// What an old kernel says to the flag, a new one says to a receive that is wrong. Red when the flag is not
    /// doubted, or when that is forgotten.
    #[crate::test(driver = "uring")]
    async fn a_refused_wait_is_left_out_from_then_on() {
        let (a, mut b) = tcp_pair();
        if std::env::var("ANNULUS_HIDE_OPS").is_ok() {
            return;
        }
        assert_eq!(submit(Wrong(a.clone())).await, -libc::EINVAL);
        assert_eq!((waited_first().0, crate::metrics().driver.sqes_of("RECV")), (1, 2), "tried without");
        for _ in 0..3 {
            b.write_all(b"abc").unwrap();
            assert_eq!(recv_tcp(&a, Vec::with_capacity(8)).await.0.unwrap(), 3);
        }
        assert_eq!(waited_first().0, 1);
    }

    #[crate::test]
    async fn what_is_there_and_what_comes_later() {
        let (a, mut b) = socket_pair();
        b.write_all(b"now").unwrap();
        let (n, buf) = recv(&a, Vec::with_capacity(16)).await;
        assert_eq!((n.unwrap(), &buf[..]), (3, &b"now"[..]));
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            b.write_all(b"later").unwrap();
        });
        let (n, buf) = recv(&a, buf).await;
        assert_eq!((n.unwrap(), &buf[..]), (5, &b"later"[..]));
        writer.join().unwrap();
        assert_eq!(recv(&a, buf).await.0.unwrap(), 0, "the peer has closed");
    }

    /// Whoever is first in a queue may need more than the next one does. A ring has no queue.
    #[crate::test(driver = "poll")]
    async fn a_receive_behind_a_wait_that_was_cancelled_is_served() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut b = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let a = Fd::new(listener.accept().unwrap().0.into());
        // For the wait, there is something to read from ten bytes on.
        crate::sys::unix::set_option(a.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, 10).unwrap();
        let mut waiting = crate::op::poll(&a, Interest::Read);
        crate::testing::poll_once(&mut waiting).await;
        let receiving = crate::spawn(recv(&a, Vec::with_capacity(4)));
        crate::yield_now().await;
        b.write_all(b"four").unwrap();
        crate::time::sleep(std::time::Duration::from_millis(5)).await;
        drop(waiting);
        let received = crate::time::timeout(std::time::Duration::from_secs(5), receiving).await;
        assert_eq!(received.expect("the receive is never tried").unwrap().0.unwrap(), 4);
    }

    #[crate::test]
    async fn no_socket_is_an_error_and_loses_nothing() {
        let file = Fd::new(std::fs::File::open("Cargo.toml").unwrap().into());
        let (res, buf) = recv(&file, vec![1, 2, 3]).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::ENOTSOCK), vec![1, 2, 3]));
    }

    #[crate::test]
    async fn two_receives_are_served_in_their_order_on_poll_and_both_on_the_ring() {
        let (a, mut b) = socket_pair();
        let (first, second) = (recv(&a, Vec::with_capacity(1)), recv(&a, Vec::with_capacity(1)));
        let first = crate::spawn(first);
        let second = crate::spawn(second);
        crate::yield_now().await;
        b.write_all(b"xy").unwrap();
        let (one, two) = (first.await.unwrap(), second.await.unwrap());
        assert_eq!((one.0.unwrap(), two.0.unwrap()), (1, 1));
        let mut all = [one.1, two.1].concat();
        all.sort_unstable();
        assert_eq!(all, b"xy");
    }
}
