//! What a connection receives, in buffers of a pool.

use crate::{
    driver::Fd,
    op::{self, Multi, RecvMulti},
    pool::{PoolBuf, RecvPool},
};
use std::{
    future::Future,
    io,
    task::{Context, Poll},
};

/// What a connection receives, one [`PoolBuf`] after the other, until the peer has shut down.
///
/// It begins when it is first asked, and goes on by itself from then on: by one request for many answers and, where
/// much waits, many buffers for one answer (since Linux 6.17), else by one request for each (since 5.19), else by
/// readiness. While it waits it holds no buffer. While the pool has none, or while [its
/// share](RecvPool::set_stream_limit) is in use, it waits for one to come back; that is no error, and costs nothing
/// meanwhile.
///
/// Dropping it ends it. What it had received by then, and nobody had taken, is lost; what had not been received stays
/// in the socket.
#[derive(Debug)]
#[must_use = "a stream does nothing until it is asked for its next buffer"]
pub struct RecvStream(Multi<RecvMulti>);

impl RecvStream {
    pub(super) fn new(fd: &Fd, pool: &RecvPool) -> RecvStream {
        RecvStream(op::recv_multi(fd, pool))
    }

    /// The next buffer, with at least one byte; `None` when the peer has shut down, or after an error.
    ///
    /// # Errors
    /// Those of `recv(2)`, once, as the last item; `EXDEV` when the pool belongs to another runtime.
    ///
    /// # Cancellation
    /// **Clean**: a buffer that was not given is the next one.
    ///
    /// # Panics
    /// The first time, outside of a runtime.
    #[allow(clippy::should_implement_trait, reason = "it is awaited; as an `async fn` its future would be larger")]
    pub fn next(&mut self) -> impl Future<Output = Option<io::Result<PoolBuf>>> {
        self.0.next()
    }

    /// As [`RecvStream::next`], for a stream of one's own.
    ///
    /// # Panics
    /// The first time, outside of a runtime.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<PoolBuf>>> {
        self.0.poll_next(cx)
    }

    /// Asks for an early end that loses nothing: what was received by then is still given, and `None` after it. Does
    /// nothing before the first buffer was asked for, and after the last.
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt},
        net::{TcpListener, TcpStream},
        testing::settle,
        time::{sleep, timeout},
    };
    use std::time::Duration;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// The next buffer, which is due.
    async fn soon(stream: &mut RecvStream) -> Option<PoolBuf> {
        timeout(Duration::from_secs(10), stream.next()).await.expect("the stream hangs").map(Result::unwrap)
    }

    /// Nothing comes for a while. What that cost: entries, enters and calls of twins.
    async fn nothing(stream: &mut RecvStream) -> [u64; 3] {
        let cost = || {
            let driver = crate::metrics().driver;
            [driver.sqes_total(), driver.enters, driver.twins_ready]
        };
        assert!(timeout(Duration::from_millis(5), stream.next()).await.is_err());
        let before = cost();
        assert!(timeout(Duration::from_millis(50), stream.next()).await.is_err());
        let after = cost();
        [0, 1, 2].map(|n| after[n] - before[n])
    }

    /// Red when what the stream received is sent back in another order, or not all of it.
    #[crate::test]
    async fn an_echo_without_a_buffer_of_its_own() {
        const TOTAL: usize = 300_000;
        let pool = RecvPool::new(16, 1000).unwrap();
        let (mut a, mut b) = pair().await;
        let echo = crate::spawn(async move {
            let mut stream = b.recv_stream(&pool);
            while let Some(buf) = stream.next().await {
                b.write_all(buf.unwrap()).await.0.unwrap();
            }
            b.shutdown().await.unwrap();
            settle_pool(&pool).await;
        });
        let sent: Vec<u8> = (0..TOTAL as u32).map(|n| (n % 251) as u8).collect();
        let mut got: Vec<u8> = Vec::with_capacity(TOTAL);
        for part in sent.chunks(30_000) {
            a.write_all(part.to_vec()).await.0.unwrap();
            while got.len() < part.as_ptr() as usize - sent.as_ptr() as usize + part.len() {
                let (n, buf) = a.read(Vec::with_capacity(4096)).await;
                assert!(n.unwrap() > 0, "an early end");
                got.extend_from_slice(&buf);
            }
        }
        a.shutdown().await.unwrap();
        assert_eq!(a.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        echo.await.unwrap();
        assert!(got == sent);
    }

    /// All buffers come home.
    async fn settle_pool(pool: &RecvPool) {
        for _ in 0..1000 {
            if pool.offered() == pool.count() {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("a buffer is lost: {pool:?}");
    }

    /// Red when a stream without buffers asks again and again, or does not go on when there is one.
    #[crate::test]
    async fn a_dry_pool_costs_nothing_until_a_buffer_comes_back() {
        let pool = RecvPool::new(2, 100).unwrap();
        pool.set_stream_limit(2);
        let (mut a, b) = pair().await;
        let mut stream = b.recv_stream(&pool);
        a.write_all(vec![7; 450]).await.0.unwrap();
        let mut kept = vec![soon(&mut stream).await.unwrap(), soon(&mut stream).await.unwrap()];
        assert_eq!(pool.offered(), 0);
        let cost = nothing(&mut stream).await;
        assert!(cost.iter().all(|&n| n <= 4), "{cost:?}");
        assert!(crate::metrics().driver.starved > 0);
        assert_eq!(crate::metrics().driver.buffers_out, 2);
        for _ in 0..3 {
            kept.remove(0);
            kept.push(soon(&mut stream).await.unwrap());
        }
        drop(a);
        assert_eq!(kept.iter().map(|buf| buf.len()).sum::<usize>(), 150);
        kept.clear();
        assert!(soon(&mut stream).await.is_none());
        assert_eq!((pool.offered(), crate::metrics().driver.buffers_out), (2, 0));
    }

    /// Red when many dry streams try again all at once for every buffer that comes back.
    #[crate::test]
    async fn a_buffer_that_comes_back_wakes_few() {
        const STREAMS: usize = 64;
        let pool = RecvPool::new(1, 100).unwrap();
        let mut peers = Vec::new();
        let (sender, mut receiver) = crate::sync::mpsc::unbounded_channel();
        for _ in 0..STREAMS {
            let (mut a, b) = pair().await;
            a.write_all(vec![7; 10]).await.0.unwrap();
            let mut stream = b.recv_stream(&pool);
            let sender = sender.clone();
            crate::spawn(async move {
                while let Some(buf) = stream.next().await {
                    sender.send(buf.unwrap()).unwrap();
                }
            });
            peers.push(a);
        }
        let mut held = receiver.recv().await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let before = crate::metrics().driver;
        for _ in 1..STREAMS {
            drop(held);
            held = timeout(Duration::from_secs(10), receiver.recv()).await.expect("nobody is fed").unwrap();
        }
        let after = crate::metrics().driver;
        let tries = after.rearms - before.rearms;
        // One try each, one that finds the pool dry again, and now and then some that are let go on early.
        assert!(tries <= 6 * STREAMS as u64, "{tries} tries of {STREAMS} streams");
        drop((held, peers));
        settle_pool(&pool).await;
    }

    /// Red when streams that have their share, and go on when they gave a buffer back, do so before one that waits.
    #[crate::test]
    async fn whoever_waits_for_a_buffer_is_not_overtaken_for_ever() {
        let pool = RecvPool::new(2, 100).unwrap();
        pool.set_stream_limit(1);
        let (sender, mut receiver) = crate::sync::mpsc::unbounded_channel();
        let mut peers = Vec::new();
        for n in 0..4 {
            let (mut a, b) = pair().await;
            a.write_all(vec![7; 60_000]).await.0.unwrap();
            let (mut stream, sender) = (b.recv_stream(&pool), sender.clone());
            crate::spawn(async move {
                while let Some(buf) = stream.next().await {
                    crate::yield_now().await;
                    drop(buf);
                    if sender.send(n).is_err() {
                        return;
                    }
                }
            });
            peers.push(a);
        }
        let mut got = [0; 4];
        for _ in 0..200 {
            got[timeout(Duration::from_secs(10), receiver.recv()).await.expect("nobody is fed").unwrap()] += 1;
        }
        assert!(got.iter().all(|&n| n >= 20), "some starve: {got:?}");
    }

    /// Red when a clock that stands moves on while a stream's turn is still to come.
    #[crate::test(start_paused = true)]
    async fn a_clock_does_not_jump_over_a_stream_in_line() {
        let pool = RecvPool::new(2, 100).unwrap();
        pool.set_stream_limit(2);
        let (mut full, b) = pair().await;
        full.write_all(vec![7; 200]).await.0.unwrap();
        let mut first = b.recv_stream(&pool);
        let held = [soon(&mut first).await.unwrap(), soon(&mut first).await.unwrap()];
        // It may have asked for a third one.
        drop(first);
        settle().await;
        let before = crate::metrics().driver.starved;
        let ((_idle, c), (mut busy, d)) = (pair().await, pair().await);
        busy.write_all("x").await.0.unwrap();
        let [one, other] = [c, d].map(|end| {
            let mut stream = end.recv_stream(&pool);
            crate::spawn(async move { stream.next().await.unwrap().unwrap().len() })
        });
        // Until both have been asked. Where nothing is tried before it is ready, one of them still waits for a byte.
        for _ in 0..1000 {
            crate::yield_now().await;
        }
        assert!(crate::metrics().driver.starved > before);
        drop(held);
        let got = timeout(Duration::from_secs(3600), other).await;
        assert_eq!(got.expect("an hour went by").unwrap(), 1);
        one.abort();
    }

    /// Red when one peer who sends a lot gets all buffers, and with them all the others' turns.
    #[crate::test]
    async fn a_greedy_stream_leaves_buffers_for_the_others() {
        let pool = RecvPool::new(64, 100).unwrap();
        pool.set_stream_limit(8);
        let (mut a, b) = pair().await;
        let mut greedy = b.recv_stream(&pool);
        a.write_all(vec![1; 60_000]).await.0.unwrap();
        let mut kept = Vec::new();
        for _ in 0..8 {
            kept.push(soon(&mut greedy).await.unwrap());
        }
        let cost = nothing(&mut greedy).await;
        assert!(cost.iter().all(|&n| n <= 4), "{cost:?}");
        assert_eq!(pool.offered(), 56, "it has got more than it may have");
        assert!(crate::metrics().driver.rested > 0);
        for n in 0..20u8 {
            let (mut a, mut b) = pair().await;
            let mut stream = b.recv_stream(&pool);
            for _ in 0..20 {
                a.write_all(vec![n; 50]).await.0.unwrap();
                let buf = soon(&mut stream).await.unwrap();
                assert_eq!(&buf[..], [n; 50]);
                b.write_all(buf).await.0.unwrap();
                assert_eq!(a.read(Vec::with_capacity(64)).await.1, [n; 50]);
            }
        }
        let mut got = kept.iter().map(|buf| buf.len()).sum::<usize>();
        while got < 60_000 {
            kept.remove(0);
            let buf = soon(&mut greedy).await.unwrap();
            got += buf.len();
            kept.push(buf);
            assert!(pool.offered() >= 56, "{pool:?}");
        }
        drop(a);
        kept.clear();
        assert!(soon(&mut greedy).await.is_none());
        settle_pool(&pool).await;
    }

    /// Red when nobody tells a stream that has its share, and waits, of a buffer that somebody else dropped.
    #[crate::test]
    async fn a_buffer_that_is_dropped_elsewhere_lets_its_stream_go_on() {
        let pool = RecvPool::new(8, 100).unwrap();
        pool.set_stream_limit(1);
        let (mut a, b) = pair().await;
        a.write_all(vec![7; 1000]).await.0.unwrap();
        let (sender, mut receiver) = crate::sync::mpsc::unbounded_channel();
        let mut stream = b.recv_stream(&pool);
        crate::spawn(async move {
            while let Some(buf) = stream.next().await {
                sender.send(buf.unwrap()).unwrap();
            }
        });
        let mut got = 0;
        while got < 1000 {
            let buf = timeout(Duration::from_secs(10), receiver.recv()).await.expect("the stream hangs").unwrap();
            got += buf.len();
            sleep(Duration::from_millis(1)).await;
            assert_eq!(pool.offered(), 7);
        }
    }

    /// Small messages use a buffer each, whatever the kernel was told. Red when nobody stops it.
    #[crate::test]
    async fn many_small_messages_are_bounded_too() {
        let pool = RecvPool::new(256, 1000).unwrap();
        pool.set_stream_limit(8);
        let (mut a, b) = pair().await;
        let mut stream = b.recv_stream(&pool);
        a.write_all("x").await.0.unwrap();
        let first = soon(&mut stream).await.unwrap();
        for _ in 0..100 {
            a.write_all("x").await.0.unwrap();
            crate::yield_now().await;
        }
        sleep(Duration::from_millis(5)).await;
        assert!(pool.offered() >= 256 - 8 - 20, "{pool:?}");
        let mut got = first.len();
        drop(first);
        while got < 101 {
            got += soon(&mut stream).await.unwrap().len();
        }
        drop(stream);
        settle_pool(&pool).await;
    }

    /// Red when an early end loses what was received, or takes more than was asked for.
    #[crate::test]
    async fn an_early_end_gives_what_was_received() {
        let pool = RecvPool::new(8, 100).unwrap();
        let (mut a, mut b) = pair().await;
        let mut stream = b.recv_stream(&pool);
        a.write_all(vec![3; 1000]).await.0.unwrap();
        let mut got = soon(&mut stream).await.unwrap().len();
        stream.cancel();
        while let Some(buf) = soon(&mut stream).await {
            got += buf.len();
        }
        drop(stream);
        settle().await;
        while got < 1000 {
            let (n, _) = timeout(Duration::from_secs(10), b.read(Vec::with_capacity(300))).await.expect("it is lost");
            got += n.unwrap();
        }
        assert_eq!((got, pool.offered()), (1000, 8));
    }

    #[crate::test]
    async fn a_reset_is_an_error_and_the_end() {
        let pool = RecvPool::new(8, 100).unwrap();
        let (mut a, b) = pair().await;
        let mut stream = b.recv_stream(&pool);
        b.set_nodelay(true).unwrap();
        a.write_all("x").await.0.unwrap();
        drop(soon(&mut stream).await);
        // Whoever closes with bytes unread resets the connection.
        op::send(b.fd(), "unread").await.0.unwrap();
        op::poll(a.fd(), crate::entry::Interest::Read).await.unwrap();
        drop(a);
        let error = timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
        assert!(soon(&mut stream).await.is_none());
    }
}
