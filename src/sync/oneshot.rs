//! One value, sent once, between tasks of one shard.
//!
//! A channel is one allocation. Its two ends are gone when both are dropped.
//!
//! ```
//! # annulus::run(async {
//! use annulus::sync::oneshot;
//!
//! let (tx, rx) = oneshot::channel();
//! annulus::spawn(async move { tx.send(42).unwrap() });
//! assert_eq!(rx.await, Ok(42));
//! # });
//! ```

use super::wait::Seat;
use crate::rt::coop;
use error::{RecvError, TryRecvError};
use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Makes a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        sender: Cell::new(true),
        closed: Cell::new(false),
        receiving: Seat::default(),
        closing: Seat::default(),
    });
    (Sender(shared.clone()), Receiver(shared))
}

struct Shared<T> {
    value: Cell<Option<T>>,
    /// The sender is there, and has not sent.
    sender: Cell<bool>,
    /// The receiver takes no value any more.
    closed: Cell<bool>,
    receiving: Seat,
    closing: Seat,
}

impl<T> Shared<T> {
    fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.sender.get() && !self.closed.get() => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }

    fn close(&self) {
        if !self.closed.replace(true) {
            self.closing.wake();
        }
    }
}

/// The end that sends.
pub struct Sender<T>(Rc<Shared<T>>);

impl<T> Sender<T> {
    /// Sends the value, without waiting. That it was sent does not mean that it is received: the receiver may be
    /// dropped with the value.
    ///
    /// # Errors
    /// The value, if the receiver was dropped or closed.
    pub fn send(self, value: T) -> Result<(), T> {
        if self.0.closed.get() {
            return Err(value);
        }
        self.0.value.set(Some(value));
        // The sender's drop tells the receiver to look.
        Ok(())
    }

    /// Waits until the receiver is dropped or closed.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub async fn closed(&mut self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Polls whether the receiver was dropped or closed. Only the task that polled last is woken.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let proceed = ready!(coop::poll_proceed(cx));
        let closed = &self.0.closed;
        ready!(self.0.closing.poll_until(cx, || closed.get().then_some(())));
        proceed.made_progress();
        Poll::Ready(())
    }

    /// Whether the receiver was dropped or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.get()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.sender.set(false);
        self.0.closing.leave();
        self.0.receiving.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The end that receives: a future of the value.
///
/// Polled after it gave the value, it says that the channel is closed.
///
/// # Errors
/// If the sender was dropped without sending, or if the receiver was closed before.
///
/// # Cancellation
/// **Lossy**: a value that was sent is dropped with the receiver. To keep it, await `&mut receiver`.
#[must_use = "a receiver does nothing unless it is awaited"]
pub struct Receiver<T>(Rc<Shared<T>>);

impl<T> Receiver<T> {
    /// Takes no value any more, but one that was sent before.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// The value, if it is there.
    ///
    /// # Errors
    /// If it is not there yet, or if it will not come any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let proceed = ready!(coop::poll_proceed(cx));
        let shared = &self.0;
        let result = ready!(shared.receiving.poll_until(cx, || match shared.try_recv() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Closed) => Some(Err(RecvError(()))),
            Err(TryRecvError::Empty) => None,
        }));
        proceed.made_progress();
        Poll::Ready(result)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.receiving.leave();
        self.0.close();
        drop(self.0.value.take());
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// What can go wrong.
pub mod error {
    use std::fmt;

    /// The sender was dropped without sending.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

    impl fmt::Display for RecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the channel is closed")
        }
    }

    impl std::error::Error for RecvError {}

    /// Why there is no value.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// It has not been sent yet.
        Empty,
        /// It will not come, or has been received.
        Closed,
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                TryRecvError::Empty => "the value has not been sent yet",
                TryRecvError::Closed => "the channel is closed",
            })
        }
    }

    impl std::error::Error for TryRecvError {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, now, poll, unhurt};
    use std::task::Waker;

    #[test]
    fn what_is_sent_is_received() {
        let (tx, mut rx) = channel();
        let (wakes, waker) = Wakes::new();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert!(poll(&mut rx, &waker).is_pending());
        tx.send(1).unwrap();
        assert_eq!((wakes.take(), now(&mut rx)), (1, Ok(1)));
        assert_eq!((now(&mut rx), rx.try_recv()), (Err(RecvError(())), Err(TryRecvError::Closed)));
    }

    #[test]
    fn who_goes_is_missed() {
        let (tx, mut rx) = channel::<u8>();
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut rx, &waker).is_pending());
        drop(tx);
        assert_eq!((wakes.take(), now(rx)), (1, Err(RecvError(()))));
        let (mut tx, rx) = channel();
        assert!(tx.poll_closed(&mut Context::from_waker(&waker)).is_pending() && !tx.is_closed());
        drop(rx);
        assert_eq!(wakes.take(), 1);
        now(tx.closed());
        assert_eq!(tx.send(5), Err(5));
    }

    #[test]
    fn a_closed_receiver_gets_what_was_sent_before() {
        let (tx, mut rx) = channel();
        tx.send(1).unwrap();
        rx.close();
        assert_eq!(now(&mut rx), Ok(1));
        let (tx, mut rx) = channel();
        rx.close();
        assert_eq!((tx.send(1), now(&mut rx)), (Err(1), Err(RecvError(()))));
    }

    /// Values that come back into the channel when they are dropped, and wakers that do so always.
    #[test]
    fn nothing_is_borrowed_while_others_run() {
        struct Knocks(Rc<Cell<u32>>, Option<Rc<Cell<Option<Receiver<Knocks>>>>>);
        impl Drop for Knocks {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
                let Some(mut rx) = self.1.as_ref().and_then(|slot| slot.take()) else { return };
                assert!(rx.try_recv().is_err());
            }
        }
        let (drops, slot) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let (tx, rx) = channel();
        slot.set(Some(rx));
        let (inside, count) = (slot.clone(), drops.clone());
        let waker = hostile(move || {
            let rx: Option<Receiver<Knocks>> = inside.take();
            if let Some(mut rx) = rx {
                drop(rx.try_recv());
                inside.set(Some(rx));
            }
        });
        let mut rx = slot.take().unwrap();
        assert!(poll(&mut rx, &waker).is_pending());
        slot.set(Some(rx));
        assert!(tx.send(Knocks(count, Some(slot.clone()))).is_ok());
        assert_eq!(drops.get(), 1);
        let (tx, rx) = channel();
        assert!(tx.send(Knocks(drops.clone(), None)).is_ok());
        drop(rx);
        assert_eq!(drops.get(), 2);
        unhurt();
    }

    /// Red when a receiver leaves its waker behind.
    #[test]
    fn a_receiver_that_is_gone_keeps_no_waker() {
        let (wakes, waker) = Wakes::new();
        let (mut tx, mut rx) = channel::<u8>();
        assert!(poll(&mut rx, &waker).is_pending());
        assert!(tx.poll_closed(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&wakes), 3);
        drop(rx);
        assert_eq!(std::sync::Arc::strong_count(&wakes), 1);
        let (mut tx, mut rx) = channel::<u8>();
        assert!(tx.poll_closed(&mut Context::from_waker(&wakes.clone().into())).is_pending());
        drop(tx);
        assert_eq!(std::sync::Arc::strong_count(&wakes), 1);
        assert!(poll(&mut rx, Waker::noop()).is_ready());
    }

    #[crate::test]
    async fn between_tasks() {
        for n in 0..1000 {
            let (tx, rx) = channel();
            crate::spawn(async move {
                crate::yield_now().await;
                tx.send(n).unwrap();
            });
            assert_eq!(rx.await, Ok(n));
        }
    }
}
