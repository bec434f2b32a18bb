//! Many datagrams at once.

use super::UdpSocket;
use crate::{
    buf::{BufResult, IoBuf, IoBufMut},
    op::{self, Datagram, Multi, RecvMsgMulti},
    pool::RecvPool,
};
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

/// Room for an address of IPv6.
const NAME: usize = 28;

/// All outputs of futures that are polled together, in their order.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut is_pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            match Pin::new(future).poll(cx) {
                Poll::Ready(ready) => *output = Some(ready),
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Many datagrams at once.
impl UdpSocket {
    /// Sends datagrams, each to its address. On the ring all of them are submitted by one system call. Gives what
    /// became of each, in their order; in which order they leave is open.
    ///
    /// # Errors
    /// For each datagram by itself: those of [`UdpSocket::send_to`].
    ///
    /// # Cancellation
    /// **Lossy**: some of them may have been sent.
    pub async fn send_many<T: IoBuf>(&self, datagrams: Vec<(T, SocketAddr)>) -> Vec<BufResult<usize, T>> {
        let sending = datagrams.into_iter().map(|(buf, addr)| {
            let mut envelope = self.spare.take();
            envelope.set_addr(addr);
            op::sendmsg(&self.fd, buf, envelope)
        });
        let sent = all(sending.collect()).await;
        let done = sent.into_iter().map(|(res, (buf, envelope))| {
            self.spare.put(envelope);
            (res, buf)
        });
        done.collect()
    }

    /// Waits for a datagram, and receives as many as there are then and as there are buffers. On the ring that takes
    /// two system calls. Gives what became of each buffer, in their order: those that found nothing have `WouldBlock`.
    ///
    /// # Errors
    /// For each buffer by itself: those of [`UdpSocket::recv_from`].
    ///
    /// # Cancellation
    /// **Lossy**: datagrams that were received are dropped.
    pub async fn recv_many<T: IoBufMut>(&self, bufs: Vec<T>) -> Vec<BufResult<(usize, SocketAddr), T>> {
        let mut bufs = bufs.into_iter();
        let Some(first) = bufs.next() else { return Vec::new() };
        let mut done = vec![self.recv_from(first).await];
        let receiving = bufs.map(|buf| op::recvmsg(&self.fd, buf, self.spare.take(), libc::MSG_DONTWAIT));
        let received = all(receiving.collect()).await;
        done.extend(received.into_iter().map(|(res, (buf, envelope))| {
            let res = res.and_then(|n| Ok((n, envelope.addr().to_std()?)));
            self.spare.put(envelope);
            (res, buf)
        }));
        done
    }

    /// Receives datagrams, each into a buffer of `pool`, by one request where the kernel can (since Linux 6.0), with
    /// room for `control` bytes of control data: 0 if nothing was switched on,
    /// [`CONTROL_ROOM`](super::CONTROL_ROOM) if something was. A buffer needs 44 bytes beside the datagram and its
    /// control data.
    ///
    /// # Errors
    /// `InvalidInput` when the pool's buffers are too small.
    pub fn recv_stream(&self, pool: &RecvPool, control: usize) -> io::Result<Datagrams> {
        op::recvmsg_multi(&self.fd, pool, NAME, control).map(Datagrams)
    }
}

/// The datagrams that a socket receives; made by [`UdpSocket::recv_stream`].
///
/// An error of an earlier datagram (`ECONNREFUSED`) is an item, and the stream goes on; any other is the last. While no
/// buffer is on offer it waits for one to come back.
#[derive(Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Datagrams(Multi<RecvMsgMulti>);

impl Datagrams {
    /// The next datagram; `None` after the last.
    ///
    /// # Cancellation
    /// **Clean**: a datagram that was not given is the next one.
    pub async fn next(&mut self) -> Option<io::Result<Datagram>> {
        self.0.next().await
    }

    /// As [`Datagrams::next`], for a stream of one's own.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Datagram>>> {
        self.0.poll_next(cx)
    }

    /// Asks for an early end: what was received by then is still given, and `None` after it.
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{sleep, timeout};
    use std::time::Duration;

    /// Red when a batch is submitted one by one, or comes back in another order.
    #[crate::test]
    async fn a_batch_is_sent_by_one_call() {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = b.local_addr().unwrap();
        // On loopback a send is done at once, and the datagrams arrive in their order.
        let batch = |n: u8| (0..n).map(|n| (vec![n; 10], to)).collect::<Vec<_>>();
        a.send_many(batch(1)).await;
        b.recv(Vec::with_capacity(10)).await.0.unwrap();
        let before = crate::metrics().driver;
        let sent = a.send_many(batch(20)).await;
        let driver = crate::metrics().driver;
        assert!(sent.iter().enumerate().all(|(n, (res, buf))| *res.as_ref().unwrap() == 10 && buf[0] == n as u8));
        if crate::driver().kind() == crate::DriverKind::Uring {
            assert!(driver.enters - before.enters <= 3, "{} enters", driver.enters - before.enters);
        }
        let bufs = (0..32).map(|_| Vec::with_capacity(10)).collect();
        let received = timeout(Duration::from_secs(5), b.recv_many(bufs)).await.unwrap();
        for (n, (res, buf)) in received.into_iter().enumerate() {
            match res {
                Ok(came) => assert!(n < 20 && came == (10, a.local_addr().unwrap()) && buf == [n as u8; 10]),
                Err(e) => assert!(n >= 20 && e.kind() == io::ErrorKind::WouldBlock, "{n}: {e}"),
            }
        }
        assert!(b.recv_many(Vec::<Vec<u8>>::new()).await.is_empty());
        let mixed = vec![(vec![0; 70_000], to), (vec![1; 1], to)];
        let sent = a.send_many(mixed).await;
        assert!(sent[0].0.is_err() && sent[1].0.is_ok(), "each by itself");
    }

    #[crate::test]
    async fn a_stream_is_cancelled_and_another_goes_on() {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let pool = RecvPool::new(8, 256).unwrap();
        for n in 0..5u8 {
            let mut stream = b.recv_stream(&pool, 0).unwrap();
            a.send_to(vec![n], b.local_addr().unwrap()).await.0.unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap()[..], [n]);
            sleep(Duration::from_micros(100)).await;
            stream.cancel();
            assert!(timeout(Duration::from_secs(5), stream.next()).await.unwrap().is_none());
        }
        crate::testing::settle().await;
        assert_eq!(pool.offered(), 8);
        let small = RecvPool::new(1, 44).unwrap();
        assert_eq!(b.recv_stream(&small, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
