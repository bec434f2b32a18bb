//! What an operation with many answers is, and the stream that gives them.

use crate::{
    driver::{Answers, NO_LIMIT, Orphan},
    entry::{Cqe, Multishot},
    op::{
        Op,
        flight::Flight,
        submit::{ELSEWHERE, driver_of},
    },
    pool::RecvPool,
};
use std::{
    fmt,
    future::{Future, poll_fn},
    mem::{self, MaybeUninit},
    task::{Context, Poll},
};

/// An operation that is answered many times.
///
/// Its entry is that of one answer; [`MultiOp::multishot`] says how the kernel is asked for many. Each completion that
/// more follow goes through [`MultiOp::each`], when nobody wants it any more, too; the last one goes to [`Op::finish`],
/// and may bring an item as well.
///
/// # Safety
/// As for [`Op`]; and since `each` is called while the operation is lent, it touches no memory that the entry names,
/// but what the completion gives back.
pub unsafe trait MultiOp: Op<Output = Option<Self::Item>> {
    /// What each answer gives.
    type Item;

    /// How it is answered many times.
    fn multishot(&self) -> &'static Multishot;

    /// Turns a completion that is not the last into an item.
    fn each(&mut self, cqe: Cqe) -> Self::Item;
}

/// The stream of an operation's items.
///
/// It starts when it is first asked, and goes on by itself from then on: at most some hundred items wait to be taken,
/// and then it rests until they were. Dropping it cancels it; items that were not taken are dropped as well, which
/// closes a connection and gives a buffer back. Forgetting it leaks the operation and nothing worse.
///
/// On the ring it is one multishot entry, started again when the kernel ends it for reasons of its own (the completion
/// queue was full, buffers ran out). Where the kernel has no such multishot, and on the poll driver, each item is asked
/// for.
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Multi<T: MultiOp> {
    flight: Flight,
    op: MaybeUninit<T>,
}

/// Makes an operation a stream.
pub fn multi<T: MultiOp>(op: T) -> Multi<T> {
    Multi { flight: Flight::new(), op: MaybeUninit::new(op) }
}

impl<T: MultiOp> Multi<T> {
    /// The next item; `None` after the last.
    ///
    /// # Cancellation
    /// **Clean**: an item that was not given is the next one.
    ///
    /// # Panics
    /// The first time, outside of a runtime.
    #[allow(clippy::should_implement_trait, reason = "it is awaited; as an `async fn` its future would be larger")]
    pub fn next(&mut self) -> impl Future<Output = Option<T::Item>> {
        poll_fn(|cx| self.poll_next(cx))
    }

    /// As [`Multi::next`], for a stream of one's own.
    ///
    /// # Panics
    /// The first time, outside of a runtime.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        if self.flight.is_fresh() && !self.start(cx) {
            return Poll::Ready(self.finish(ELSEWHERE));
        }
        let Some((driver, key)) = self.flight.flying() else { return Poll::Ready(None) };
        match driver.poll(key, cx.waker()) {
            None => Poll::Pending,
            Some(last) if last.is_final() => Poll::Ready(self.finish(last)),
            Some(cqe) => {
                // SAFETY: Lent: the operation is there, and `each` keeps off what is lent, by the trait's contract.
                let op = unsafe { self.op.assume_init_mut() };
                Poll::Ready(Some(op.each(cqe)))
            }
        }
    }

    /// Asks for an early end. What was taken in by then is still given, and `None` after it. Does nothing before the
    /// first item was asked for, and after the last.
    pub fn cancel(&mut self) {
        if let Some((driver, key)) = self.flight.flying() {
            driver.cancel(key);
        }
    }

    /// `false`: it cannot be started in this runtime.
    fn start(&mut self, cx: &mut Context<'_>) -> bool {
        // SAFETY: Fresh: `op` was put there by `multi` and has not been moved out.
        let op = unsafe { self.op.assume_init_mut() };
        let Some(driver) = driver_of(op) else { return false };
        let sqe = op.encode();
        let rule = (op.multishot(), op.pool().map_or(NO_LIMIT, RecvPool::limit));
        let key = driver.push_stream(&sqe, op.twin(), rule, op.fd(), cx.waker().clone());
        self.flight.begin(driver, key);
        true
    }

    fn finish(&mut self, last: Cqe) -> Option<T::Item> {
        self.flight.part();
        // SAFETY: Settled: this is the operation's only final completion (or it never began), so `op` is there and no
        // longer lent; the state says that it is moved out now.
        let op = unsafe { self.op.assume_init_read() };
        op.finish(last)
    }
}

impl<T: MultiOp> Drop for Multi<T> {
    fn drop(&mut self) {
        if self.flight.is_fresh() {
            // SAFETY: Fresh: `op` is there, was never lent, and nobody else will drop it.
            unsafe { self.op.assume_init_drop() }
        } else if let Some((driver, key)) = self.flight.part() {
            let op = mem::replace(&mut self.op, MaybeUninit::uninit());
            driver.abandon(key, Box::new(Parked(op)));
        }
    }
}

/// An operation whose stream is gone, in its slot.
struct Parked<T: MultiOp>(MaybeUninit<T>);

impl<T: MultiOp> Orphan for Parked<T> {
    fn settle(self: Box<Self>, mut earlier: Answers, last: Cqe) {
        // SAFETY: Settled: a slot settles its operation once, with the final completion, so it is no longer lent.
        let mut op = unsafe { self.0.assume_init() };
        earlier.drain().for_each(|cqe| drop(op.each(cqe)));
        drop(op.finish(last));
    }
}

impl<T: MultiOp> fmt::Debug for Multi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Multi({})", self.flight.state())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Fd, op,
        pool::RecvPool,
        testing::{settle, socket_pair},
        time::{sleep, timeout},
    };
    use std::{
        os::{fd::OwnedFd, unix::net::UnixStream},
        time::Duration,
    };

    /// Numbers without a pattern, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % sides
        }
    }

    /// The byte that is sent at `n`.
    fn byte(n: usize) -> u8 {
        (n % 251) as u8
    }

    /// Sends `total` bytes in pieces, and hangs up.
    async fn talk(peer: UnixStream, total: usize, mut dice: Dice) {
        let (fd, mut sent) = (Fd::new(OwnedFd::from(peer)), 0);
        while sent < total {
            let end = total.min(sent + 1 + dice.roll(100) as usize);
            let (n, _) = op::send(&fd, (sent..end).map(byte).collect::<Vec<u8>>()).await;
            sent += n.unwrap();
            if dice.roll(4) == 0 {
                sleep(Duration::from_micros(dice.roll(500))).await;
            }
        }
    }

    /// Receives by streams that are cancelled, starved and started again, and by single receives, until the end.
    async fn listen(fd: Fd, bufs: RecvPool, mut dice: Dice) -> usize {
        let (mut got, mut held) = (0, Vec::new());
        loop {
            let (mut stream, mut left, mut cancelled) = (op::recv_multi(&fd, &bufs), dice.roll(20), false);
            loop {
                let wait = Duration::from_micros(dice.roll(2000));
                match timeout(wait, stream.next()).await {
                    Ok(None) if cancelled => break,
                    Ok(None) => return got,
                    Ok(Some(buf)) => {
                        let buf = buf.unwrap();
                        assert!(!buf.is_empty() && buf.iter().zip(got..).all(|(&b, n)| b == byte(n)), "at {got}");
                        got += buf.len();
                        held.push(buf);
                    }
                    Err(_) => held.clear(),
                }
                held.truncate(dice.roll(4) as usize);
                left = left.saturating_sub(1);
                if left == 0 {
                    stream.cancel();
                    cancelled = true;
                }
            }
            held.clear();
            if dice.roll(2) == 0 {
                let mut changes = op::poll_multi(&fd, crate::entry::Interest::Read);
                changes.next().await.unwrap().unwrap();
                match op::recv_provided(&fd, &bufs).await {
                    Ok(None) => return got,
                    Ok(Some(buf)) => {
                        assert!(buf.iter().zip(got..).all(|(&b, n)| b == byte(n)), "at {got}");
                        got += buf.len();
                    }
                    Err(e) => assert_eq!(e.raw_os_error(), Some(libc::ENOBUFS)),
                }
            }
        }
    }

    /// Red when a byte is lost or doubled at a cancel, a buffer is lost, or a stream hangs.
    #[crate::test]
    async fn a_storm_of_streams_over_few_buffers_loses_nothing() {
        const TOTAL: usize = 20_000;
        let bufs = RecvPool::new(4, 40).unwrap();
        bufs.set_stream_limit(u32::MAX);
        let mut listeners = Vec::new();
        for n in 0..8 {
            let (a, b) = socket_pair();
            crate::spawn(talk(b, TOTAL, Dice(n)));
            listeners.push(crate::spawn(listen(a, bufs.clone(), Dice(100 + n))));
        }
        for listener in listeners {
            let got = timeout(Duration::from_secs(30), listener).await.expect("a stream hangs").unwrap();
            assert_eq!(got, TOTAL);
        }
        settle().await;
        assert_eq!((bufs.offered(), crate::metrics().driver.strays), (4, 0));
    }
}
