//! What a shard knows of itself and of the others: its place, its mailbox, and the way to theirs.

use super::{
    dispatch::{Dispatched, Office, dispatch},
    error::CallError,
    mailbox::{Mailbox, Sending},
    slot::{Put, slot},
    stop::{Requested, ShutdownToken},
};
use crate::{
    rt::coop,
    sync::mpsc::error::{SendError, TrySendError},
};
use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// What a shard's future gets: its place among the others, and its mailbox for messages of type `M`.
///
/// When it is dropped (at the latest when the future ends), the mailbox closes.
pub struct Shard<M = ()> {
    index: usize,
    cpu: Option<usize>,
    peers: Peers<M>,
    stop: Requested,
}

impl<M> Shard<M> {
    pub(super) fn new(index: usize, cpu: Option<usize>, peers: Peers<M>) -> Shard<M> {
        let stop = peers.token.wait();
        Shard { index, cpu, peers, stop }
    }

    /// The number of this shard, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.peers.count()
    }

    /// The CPU that it is pinned to.
    #[must_use]
    pub fn cpu(&self) -> Option<usize> {
        self.cpu
    }

    /// The way to all mailboxes, this one's among them: to be cloned for tasks and other threads.
    #[must_use]
    pub fn peers(&self) -> &Peers<M> {
        &self.peers
    }

    /// The request to end, as a value for tasks.
    #[must_use]
    pub fn token(&self) -> ShutdownToken {
        self.peers.token.clone()
    }

    /// Waits until the shards are asked to end.
    ///
    /// # Cancellation
    /// **Clean**: waiting changes nothing.
    pub async fn shutdown_requested(&self) {
        self.peers.token.requested().await;
    }

    /// The next message, in the order in which they were sent; those of one sender never overtake each other. `None`
    /// once the shards were asked to end and no message is there: who sends still may call for another look.
    ///
    /// # Cancellation
    /// **Clean**: a message that is not given stays in the mailbox.
    pub async fn recv(&mut self) -> Option<M> {
        poll_fn(|cx| {
            let progress = ready!(coop::poll_proceed(cx));
            let mailbox = &self.peers.shared.boxes[self.index];
            let received = match mailbox.poll_recv(cx) {
                Poll::Ready(message) => Some(message),
                // After the request, and only then, a look that finds nothing is the last.
                Poll::Pending if Pin::new(&mut self.stop).poll(cx).is_ready() => mailbox.try_recv(),
                Poll::Pending => return Poll::Pending,
            };
            progress.made_progress();
            Poll::Ready(received)
        })
        .await
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<M> {
        self.peers.shared.boxes[self.index].try_recv()
    }

    /// See [`Peers::send`].
    ///
    /// # Errors
    /// Those of [`Peers::send`].
    ///
    /// # Cancellation
    /// **Lossy**: a message that waited for room is dropped with the future.
    pub async fn send(&self, to: usize, message: M) -> Result<(), SendError<M>> {
        self.peers.send(to, message).await
    }

    /// See [`Peers::try_send`].
    ///
    /// # Errors
    /// Those of [`Peers::try_send`].
    pub fn try_send(&self, to: usize, message: M) -> Result<(), TrySendError<M>> {
        self.peers.try_send(to, message)
    }

    /// See [`Peers::call`].
    ///
    /// # Errors
    /// Those of [`Peers::call`].
    ///
    /// # Cancellation
    /// **Detached**: a message that has found room is read all the same; only its answer is dropped.
    pub async fn call<R>(&self, to: usize, message: impl FnOnce(Reply<R>) -> M) -> Result<R, CallError<M>> {
        self.peers.call(to, message).await
    }
}

impl<M> Drop for Shard<M> {
    fn drop(&mut self) {
        self.peers.shared.boxes[self.index].close();
    }
}

impl<M> fmt::Debug for Shard<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, count, cpu) = (self.index, self.count(), self.cpu);
        f.debug_struct("Shard").field("index", &index).field("count", &count).field("cpu", &cpu).finish_non_exhaustive()
    }
}

/// The way to the shards' mailboxes, for shards, their tasks, and any other thread; with or without a runtime.
pub struct Peers<M> {
    pub(super) shared: Arc<Shared<M>>,
    pub(super) token: ShutdownToken,
}

/// What shards have for each other, one of each for each.
pub(super) struct Shared<M> {
    pub(super) boxes: Box<[Mailbox<M>]>,
    pub(super) offices: Box<[Office]>,
}

impl<M> Peers<M> {
    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.boxes.len()
    }

    /// Puts a message into the mailbox of shard `to`; waits for room if it is full. Who waits is served in turn, so the
    /// messages of one sender arrive in the order of their sends. To send to oneself is fine, but a shard that waits
    /// for room in its own mailbox has to read it meanwhile; and so has each of two that wait for room in the other's,
    /// or they wait for ever, also after they were asked to end.
    ///
    /// A sleeping shard is woken once, however many messages come before it runs.
    ///
    /// # Errors
    /// The message, if the shard has ended or there is none with this number. What was sent before and not read is
    /// dropped with the mailbox.
    ///
    /// # Cancellation
    /// **Lossy**: a message that waited for room is dropped with the future; [`try_send`](Peers::try_send) gives it
    /// back instead.
    pub async fn send(&self, to: usize, message: M) -> Result<(), SendError<M>> {
        let Some(mailbox) = self.shared.boxes.get(to) else { return Err(SendError(message)) };
        let mut letter = Letter { mailbox, sending: Sending::New(message) };
        poll_fn(|cx| letter.poll(cx)).await
    }

    /// Puts a message into the mailbox of shard `to`, if there is room.
    ///
    /// # Errors
    /// The message: `Full`, or `Closed` if the shard has ended or there is none with this number.
    pub fn try_send(&self, to: usize, message: M) -> Result<(), TrySendError<M>> {
        match self.shared.boxes.get(to) {
            Some(mailbox) => mailbox.try_send(message),
            None => Err(TrySendError::Closed(message)),
        }
    }

    /// Sends what `message` makes of a [`Reply`], and waits for the answer.
    ///
    /// ```
    /// use annulus::shard::{Reply, Shard, Shards};
    /// struct Square(u32, Reply<u32>);
    ///
    /// let results = Shards::builder().count(2).run(async |mut shard: Shard<Square>| {
    ///     if shard.index() == 0 {
    ///         let nine = shard.call(1, |reply| Square(3, reply)).await;
    ///         shard.token().request();
    ///         return nine.ok();
    ///     }
    ///     while let Some(Square(n, reply)) = shard.recv().await {
    ///         let _ = reply.send(n * n);
    ///     }
    ///     None
    /// })?;
    /// assert_eq!(results[0].as_ref().unwrap(), &Some(9));
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// The message if the shard has ended, or the news that the reply was dropped.
    ///
    /// # Cancellation
    /// **Detached**: a message that has found room is read all the same; only its answer is dropped.
    pub async fn call<R>(&self, to: usize, message: impl FnOnce(Reply<R>) -> M) -> Result<R, CallError<M>> {
        let (put, take) = slot();
        self.send(to, message(Reply(put))).await.map_err(|SendError(message)| CallError::Closed(message))?;
        take.await.ok_or(CallError::NoReply)
    }

    /// Starts a task on shard `on`, from any thread: `task` is called there, and its future stays there.
    ///
    /// The task ends with its shard. If there is no such shard (any more), the handle gives a cancellation.
    pub fn spawn_on<F, R>(&self, on: usize, task: F) -> Dispatched<R>
    where
        F: AsyncFnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        dispatch(self.shared.offices.get(on), task)
    }
}

impl<M> Clone for Peers<M> {
    fn clone(&self) -> Peers<M> {
        Peers { shared: self.shared.clone(), token: self.token.clone() }
    }
}

impl<M> fmt::Debug for Peers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// A message on its way into a mailbox.
struct Letter<'a, M> {
    mailbox: &'a Mailbox<M>,
    sending: Sending<M>,
}

impl<M> Letter<'_, M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
        let progress = ready!(coop::poll_proceed(cx));
        let sent = ready!(self.mailbox.poll_send(&mut self.sending, cx));
        progress.made_progress();
        Poll::Ready(sent)
    }
}

impl<M> Drop for Letter<'_, M> {
    fn drop(&mut self) {
        self.mailbox.give_up(&self.sending);
    }
}

/// Where the answer to a [`call`](Peers::call) goes. Dropped without one, it tells that there will be none.
pub struct Reply<R>(Put<R>);

impl<R> Reply<R> {
    /// Answers.
    ///
    /// # Errors
    /// The answer, if nobody waits for it any more.
    pub fn send(self, answer: R) -> Result<(), R> {
        self.0.put(answer)
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_unwanted()
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("is_closed", &self.is_closed()).finish()
    }
}
