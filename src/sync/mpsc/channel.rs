//! What the ends of a channel share.

use super::error::{SendError, TryRecvError, TrySendError};
use crate::{
    rt::coop,
    sync::{
        Semaphore, TryAcquireError,
        semaphore::Take,
        wait::{Crowd, Seat},
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// A channel. In a bounded one, whoever sends takes a permit for the place of each value, and the receiver gives it
/// back. An unbounded one has no permits, and nobody asks for any.
pub(super) struct Channel<T> {
    queue: RefCell<VecDeque<T>>,
    room: Semaphore,
    /// The number of permits; 0 for an unbounded channel.
    capacity: usize,
    senders: Cell<usize>,
    receiver: Cell<bool>,
    receiving: Seat,
    closing: Crowd,
}

impl<T> Channel<T> {
    /// A channel with one sender and its receiver.
    pub(super) fn new(capacity: usize) -> Rc<Channel<T>> {
        Rc::new(Channel {
            queue: RefCell::default(),
            room: Semaphore::new(capacity),
            capacity,
            senders: Cell::new(1),
            receiver: Cell::new(true),
            receiving: Seat::default(),
            closing: Crowd::new(),
        })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of values that can be sent at once.
    pub(super) fn room(&self) -> usize {
        self.room.available_permits()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether sending fails.
    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    pub(super) fn senders(&self) -> usize {
        self.senders.get()
    }

    pub(super) fn add_sender(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    pub(super) fn remove_sender(&self) {
        self.senders.set(self.senders.get() - 1);
        if self.senders.get() == 0 {
            self.receiving.wake();
        }
    }

    /// Adds a value whose place was taken. Without a receiver the value goes, here and not in a borrow.
    pub(super) fn push(&self, value: T) {
        if self.receiver.get() {
            self.queue.borrow_mut().push_back(value);
            self.receiving.wake();
        }
    }

    /// Takes places, to [`push`](Channel::push) to or to [`give_back`](Channel::give_back).
    pub(super) fn take(&self, places: usize) -> TakePlaces<'_, T> {
        TakePlaces { take: self.room.take(places), _last: TellIfOver(self) }
    }

    /// Takes places at once.
    pub(super) fn try_take(&self, places: usize) -> Result<(), TrySendError<()>> {
        self.room.try_take(places).map_err(|error| match error {
            TryAcquireError::NoPermits => TrySendError::Full(()),
            TryAcquireError::Closed => TrySendError::Closed(()),
        })
    }

    /// Gives places back that nothing was pushed to.
    pub(super) fn give_back(&self, places: usize) {
        self.room.release(places);
        self.tell_if_over();
    }

    /// After the end, the receiver waits for the places that are still taken.
    fn tell_if_over(&self) {
        if self.is_over() {
            self.receiving.wake();
        }
    }

    pub(super) async fn closed(&self) {
        self.closing.until(|| self.is_closed().then_some(())).await;
    }

    pub(super) fn close(&self) {
        if !self.is_closed() {
            self.room.close();
            self.closing.answer_all(());
        }
    }

    /// The receiver goes. Values that hold senders of this channel would keep it alive, so they go now.
    pub(super) fn drop_receiver(&self) {
        self.receiver.set(false);
        self.receiving.leave();
        self.close();
        let rest = mem::take(&mut *self.queue.borrow_mut());
        drop(rest);
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let value = self.queue.borrow_mut().pop_front();
        match value {
            Some(value) => {
                self.emptied(1);
                Ok(value)
            }
            None if self.is_over() => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    fn emptied(&self, places: usize) {
        if self.capacity > 0 {
            self.room.release(places);
        }
    }

    /// Whether an empty queue will stay empty.
    fn is_over(&self) -> bool {
        self.senders.get() == 0 || (self.is_closed() && self.room() == self.capacity)
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_with(cx, || match self.try_recv() {
            Ok(value) => Some(Some(value)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        })
    }

    /// Moves at most `limit` values to `buffer`; ready with 0 at the end.
    pub(super) fn poll_recv_many(&self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        self.poll_with(cx, || {
            let n = self.len().min(limit);
            buffer.reserve(n);
            buffer.extend(self.queue.borrow_mut().drain(..n));
            if n > 0 {
                self.emptied(n);
            }
            (n > 0 || limit == 0 || self.is_over()).then_some(n)
        })
    }

    fn poll_with<R>(&self, cx: &mut Context<'_>, check: impl FnMut() -> Option<R>) -> Poll<R> {
        let proceed = ready!(coop::poll_proceed(cx));
        let result = ready!(self.receiving.poll_until(cx, check));
        proceed.made_progress();
        Poll::Ready(result)
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("senders", &self.senders.get())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Takes places; made by [`Channel::take`]. The fields are dropped in their order: first the places go back.
pub(super) struct TakePlaces<'a, T> {
    take: Take<'a>,
    _last: TellIfOver<'a, T>,
}

struct TellIfOver<'a, T>(&'a Channel<T>);

impl<T> Drop for TellIfOver<'_, T> {
    fn drop(&mut self) {
        self.0.tell_if_over();
    }
}

impl<T> Future for TakePlaces<'_, T> {
    type Output = Result<(), SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.take).poll(cx).map_err(|_| SendError(()))
    }
}
