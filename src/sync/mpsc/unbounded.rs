//! The unbounded channel's ends.

use super::{
    channel::Channel,
    error::{SendError, TryRecvError},
};
use std::{
    fmt,
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

/// Makes a channel without a bound.
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let channel = Channel::new(0);
    (UnboundedSender(channel.clone()), UnboundedReceiver(channel))
}

/// The end that sends. Each clone is an end of its own, and the channel ends with the last.
pub struct UnboundedSender<T>(Rc<Channel<T>>);

impl<T> UnboundedSender<T> {
    /// Sends a value, without waiting.
    ///
    /// # Errors
    /// The value, if the receiver was dropped or closed.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.is_closed() {
            return Err(SendError(value));
        }
        self.0.push(value);
        Ok(())
    }

    /// Waits until the receiver is dropped or closed.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// Whether the receiver was dropped or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether `other` sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.0.senders()
    }

    /// A sender that does not keep the channel from ending.
    #[must_use]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(Rc::downgrade(&self.0))
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> UnboundedSender<T> {
        self.0.add_sender();
        UnboundedSender(self.0.clone())
    }
}

impl<T> Drop for UnboundedSender<T> {
    fn drop(&mut self) {
        self.0.remove_sender();
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnboundedSender").field(&self.0).finish()
    }
}

/// An [`UnboundedSender`] that does not keep the channel from ending; made by [`UnboundedSender::downgrade`].
pub struct WeakUnboundedSender<T>(Weak<Channel<T>>);

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        let channel = self.0.upgrade().filter(|channel| channel.senders() > 0)?;
        channel.add_sender();
        Some(UnboundedSender(channel))
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakUnboundedSender").finish_non_exhaustive()
    }
}

/// The end that receives.
pub struct UnboundedReceiver<T>(Rc<Channel<T>>);

impl<T> UnboundedReceiver<T> {
    /// Receives the next value, and waits for it; `None` when there will be none any more.
    ///
    /// # Cancellation
    /// **Clean**: a value that was not received stays in the channel.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Moves the next values, at most `limit`, to the end of `buffer`, and waits for the first. Gives their number,
    /// which is 0 when there will be none any more, or if `limit` is 0.
    ///
    /// # Cancellation
    /// **Clean**: values that were not received stay in the channel.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, buffer, limit)).await
    }

    /// Polls for the next value. Only the task that polled last is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }

    /// Polls for the next values, as [`recv_many`](UnboundedReceiver::recv_many) does. Only the task that polled last
    /// is woken.
    pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        self.0.poll_recv_many(cx, buffer, limit)
    }

    /// Receives the next value, if there is one.
    ///
    /// # Errors
    /// If there is none now, or if there will be none any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// Lets nobody send any more. What is in the channel is still received; `recv` gives `None` after that.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether it was closed, or all senders are gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed() || self.0.senders() == 0
    }

    /// How many values are in the channel.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no value in the channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.0.senders()
    }
}

impl<T> Drop for UnboundedReceiver<T> {
    fn drop(&mut self) {
        self.0.drop_receiver();
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnboundedReceiver").field(&self.0).finish()
    }
}
