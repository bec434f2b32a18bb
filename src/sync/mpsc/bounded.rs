//! The bounded channel's ends, and the places that are reserved in it.

use super::{
    channel::Channel,
    error::{SendError, TryRecvError, TrySendError},
};
use std::{
    fmt,
    future::poll_fn,
    iter::FusedIterator,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

/// Makes a channel with room for `capacity` values. Its memory grows with what is in it.
///
/// # Panics
/// If `capacity` is 0 or more than [`Semaphore::MAX_PERMITS`](crate::sync::Semaphore::MAX_PERMITS).
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "the capacity of a channel is zero; it must be at least one");
    let channel = Channel::new(capacity);
    (Sender(channel.clone()), Receiver(channel))
}

/// The end that sends. Each clone is an end of its own, and the channel ends with the last.
pub struct Sender<T>(Rc<Channel<T>>);

impl<T> Sender<T> {
    /// Sends a value, and waits for room if there is none. Who waits longer goes first.
    ///
    /// # Errors
    /// The value, if the receiver was dropped or closed, or is meanwhile.
    ///
    /// # Cancellation
    /// **Lossy**: the value was not sent, and is dropped with the future. To keep it, [`reserve`](Sender::reserve)
    /// first.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.0.take(1).await {
            Ok(()) => {
                self.0.push(value);
                Ok(())
            }
            Err(_) => Err(SendError(value)),
        }
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    /// The value, if there is no room, if others wait for it, or if the receiver was dropped or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.0.try_take(1) {
            Ok(()) => {
                self.0.push(value);
                Ok(())
            }
            Err(TrySendError::Full(())) => Err(TrySendError::Full(value)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(value)),
        }
    }

    /// Takes a place in the channel, and waits for it if there is none. Sending to it never waits.
    ///
    /// # Errors
    /// If the receiver was dropped or closed, or is meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; a place that it had got already goes to the next.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        self.0.take(1).await?;
        Ok(Permit(&self.0))
    }

    /// Takes `n` places at once. More than the channel has are never there.
    ///
    /// # Errors
    /// If the receiver was dropped or closed, or is meanwhile; at once, if `n` is more than the channel's capacity.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; places that it had got already go to the next.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        if n > self.0.capacity() {
            return Err(SendError(()));
        }
        self.0.take(n).await?;
        Ok(PermitIterator { channel: &self.0, n })
    }

    /// As [`reserve`](Sender::reserve), with a place that holds the sender until it is used.
    ///
    /// # Errors
    /// If the receiver was dropped or closed, or is meanwhile.
    ///
    /// # Cancellation
    /// **Lossy**: the sender is dropped with the future; clone it first to keep one.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.0.take(1).await?;
        Ok(OwnedPermit(Some(self)))
    }

    /// Takes a place in the channel if there is one.
    ///
    /// # Errors
    /// If there is no room, if others wait for it, or if the receiver was dropped or closed.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.0.try_take(1)?;
        Ok(Permit(&self.0))
    }

    /// Takes `n` places if they are there.
    ///
    /// # Errors
    /// If there is not so much room, if others wait for it, or if the receiver was dropped or closed.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        self.0.try_take(n)?;
        Ok(PermitIterator { channel: &self.0, n })
    }

    /// As [`try_reserve`](Sender::try_reserve), with a place that holds the sender until it is used.
    ///
    /// # Errors
    /// The sender, if there is no room, if others wait for it, or if the receiver was dropped or closed.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.0.try_take(1) {
            Ok(()) => Ok(OwnedPermit(Some(self))),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(self)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(self)),
        }
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

    /// How many values can be sent at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.room()
    }

    /// How many values fit in.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        self.0.capacity()
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
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(Rc::downgrade(&self.0))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.add_sender();
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.0).finish()
    }
}

/// A [`Sender`] that does not keep the channel from ending; made by [`Sender::downgrade`].
pub struct WeakSender<T>(Weak<Channel<T>>);

impl<T> WeakSender<T> {
    /// A sender, if there is one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let channel = self.0.upgrade().filter(|channel| channel.senders() > 0)?;
        channel.add_sender();
        Some(Sender(channel))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> WeakSender<T> {
        WeakSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

/// The end that receives.
pub struct Receiver<T>(Rc<Channel<T>>);

impl<T> Receiver<T> {
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

    /// Polls for the next values, as [`recv_many`](Receiver::recv_many) does. Only the task that polled last is woken.
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

    /// Lets nobody send any more. What is in the channel, and what is sent to places that were reserved before, is
    /// still received; `recv` gives `None` after that.
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

    /// How many values can be sent at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.room()
    }

    /// How many values fit in.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        self.0.capacity()
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.0.senders()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.drop_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.0).finish()
    }
}

/// A place in a channel, for one value. Dropped without one, it goes to the next who waits.
#[must_use = "the place goes back at once if this is dropped"]
pub struct Permit<'a, T>(&'a Channel<T>);

impl<T> Permit<'_, T> {
    /// Sends the value. If the receiver is gone by now, the value is dropped.
    pub fn send(self, value: T) {
        let channel = self.0;
        std::mem::forget(self);
        channel.push(value);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.0.give_back(1);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Several places in a channel; made by [`Sender::reserve_many`]. The rest goes back when it is dropped.
#[must_use = "the places go back at once if this is dropped"]
pub struct PermitIterator<'a, T> {
    channel: &'a Channel<T>,
    n: usize,
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        self.n = self.n.checked_sub(1)?;
        Some(Permit(self.channel))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n, Some(self.n))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        self.channel.give_back(self.n);
    }
}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitIterator").field("left", &self.n).finish_non_exhaustive()
    }
}

/// A place in a channel, with its sender; made by [`Sender::reserve_owned`].
#[must_use = "the place goes back at once if this is dropped"]
pub struct OwnedPermit<T>(Option<Sender<T>>);

impl<T> OwnedPermit<T> {
    /// Sends the value, and gives the sender back. If the receiver is gone by now, the value is dropped.
    pub fn send(mut self, value: T) -> Sender<T> {
        let sender = self.0.take().expect("the sender is taken once, by value");
        sender.0.push(value);
        sender
    }

    /// Gives the place back, and the sender.
    pub fn release(mut self) -> Sender<T> {
        let sender = self.0.take().expect("the sender is taken once, by value");
        sender.0.give_back(1);
        sender
    }
}

impl<T> Drop for OwnedPermit<T> {
    fn drop(&mut self) {
        if let Some(sender) = &self.0 {
            sender.0.give_back(1);
        }
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}
