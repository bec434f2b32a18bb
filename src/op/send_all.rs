//! `send(2)`: `IORING_OP_SEND`, since Linux 5.6. Until nothing is left: as many as it takes, in one future that holds
//! the buffer once.

use crate::{
    buf::{BufResult, IoBuf, overclaim},
    driver::Fd,
    entry::{Cqe, Sqe, Twin},
    op::{Op, Submit, clamp, send, submit},
};
use std::{
    future::Future,
    io::{self, ErrorKind},
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A send of what is left of a buffer, as an operation that gives itself back.
struct Rest<B> {
    fd: Fd,
    buf: B,
    /// How many bytes are sent.
    done: usize,
}

impl<B: IoBuf> Rest<B> {
    fn left(&self) -> usize {
        self.buf.bytes_init().saturating_sub(self.done)
    }

    /// Takes an answer in.
    fn sent(&mut self, res: io::Result<usize>) -> io::Result<()> {
        match res {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(n) if n > self.left() => Err(overclaim(n, self.left())),
            Ok(n) => {
                self.done += n;
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        }
    }
}

// SAFETY: Lent: the entry names a part of the buffer's bytes, which `B: IoBuf` keeps as they are where they are.
unsafe impl<B: IoBuf> Op for Rest<B> {
    type Output = BufResult<usize, Rest<B>>;

    fn twin(&self) -> &'static Twin {
        &send::TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let left = self.left();
        // No bytes are named where nothing is left, so the start does for them.
        let skipped = if left == 0 { 0 } else { self.done };
        Sqe::send(self.fd.as_raw_fd(), self.buf.read_ptr().wrapping_add(skipped), clamp(left), 0)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        (cqe.result().map(|n| n as usize), self)
    }
}

/// The future of [`send_all`]. While it waits it is no more than its operation: many connections hold one.
struct SendAll<B: IoBuf>(Submit<Rest<B>>);

impl<B: IoBuf + Unpin> Future for SendAll<B> {
    type Output = BufResult<usize, B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(rest) = self.0.take_unless_begun(|rest| rest.left() == 0) {
            return Poll::Ready((Ok(rest.done), rest.buf));
        }
        loop {
            let (res, mut rest) = ready!(Pin::new(&mut self.0).poll(cx));
            match rest.sent(res) {
                Ok(()) if rest.left() > 0 => self.0 = submit(rest),
                Ok(()) => return Poll::Ready((Ok(rest.done), rest.buf)),
                Err(e) => return Poll::Ready((Err(e), rest.buf)),
            }
        }
    }
}

/// Sends all of `buf`. An interrupted send is repeated, and an empty buffer is not sent at all.
pub(crate) fn send_all<B: IoBuf>(fd: &Fd, buf: B) -> impl Future<Output = BufResult<usize, B>> {
    SendAll(submit(Rest { fd: fd.clone(), buf, done: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op,
        testing::{await_gone, socket_pair},
    };

    /// Red when a send that came short is begun anew, or taken for all.
    #[crate::test]
    async fn everything_is_sent_in_its_order() {
        const TOTAL: usize = 2 << 20;
        let (a, b) = socket_pair();
        let bytes: Vec<u8> = (0..TOTAL).map(|n| (n % 251) as u8).collect();
        let sent = crate::spawn(async move { send_all(&a, bytes).await });
        let (b, mut got) = (Fd::new(b.into()), Vec::with_capacity(TOTAL));
        loop {
            let (n, part) = op::recv(&b, Vec::with_capacity(30_000)).await;
            if n.unwrap() == 0 {
                break;
            }
            got.extend_from_slice(&part);
        }
        let (res, bytes) = sent.await.unwrap();
        assert_eq!(res.unwrap(), TOTAL);
        assert!(got == bytes);
    }

    #[crate::test]
    async fn an_error_brings_the_buffer_back_and_nothing_is_not_sent() {
        let (a, b) = socket_pair();
        drop(b);
        await_gone(&a);
        let (res, empty) = send_all(&a, Vec::new()).await;
        assert_eq!((res.unwrap(), empty), (0, Vec::new()));
        let (res, buf) = send_all(&a, vec![1, 2]).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EPIPE), vec![1, 2]));
    }
}
