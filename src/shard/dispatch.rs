//! Tasks for a shard, from whatever thread.

use super::slot::{Take, slot};
use crate::rt::{self, JoinError, JoinHandle};
use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

/// What is to be called on a shard's thread, inside its runtime.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Where a shard is told from outside what to do.
#[derive(Default)]
pub(super) struct Office(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    reader: Option<Waker>,
    /// The shard is to drop what it has, now.
    given_up: bool,
    closed: bool,
}

/// What was on the desk.
pub(super) struct Orders {
    pub(super) jobs: VecDeque<Job>,
    pub(super) given_up: bool,
}

impl Office {
    /// No stranger's code runs under the lock, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// The job, if the shard has ended.
    fn push(&self, job: Job) -> Result<(), Job> {
        let mut desk = self.lock();
        if desk.closed {
            return Err(job);
        }
        desk.jobs.push_back(job);
        let reader = desk.reader.take();
        drop(desk);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Tells the shard to drop what it has.
    pub(super) fn give_up(&self) {
        let mut desk = self.lock();
        desk.given_up = true;
        let reader = desk.reader.take();
        drop(desk);
        reader.into_iter().for_each(Waker::wake);
    }

    /// What there is to do; `cx` is woken when there is more.
    pub(super) fn read(&self, cx: &mut Context<'_>) -> Orders {
        let reader = cx.waker().clone();
        let mut desk = self.lock();
        let old = desk.reader.replace(reader);
        let orders = Orders { jobs: mem::take(&mut desk.jobs), given_up: desk.given_up };
        drop(desk);
        drop(old);
        orders
    }

    /// Nobody reads any more; what was not begun is given back, to be dropped.
    pub(super) fn close(&self) -> VecDeque<Job> {
        let mut desk = self.lock();
        desk.closed = true;
        let (jobs, reader) = (mem::take(&mut desk.jobs), desk.reader.take());
        drop(desk);
        drop(reader);
        jobs
    }
}

/// Sends a task to a shard.
pub(super) fn dispatch<F, R>(office: Option<&Office>, task: F) -> Dispatched<R>
where
    F: AsyncFnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let (put, take) = slot();
    let job = move || {
        // Whoever is gone has dropped the handle, and so detached the task.
        let _ = put.put(rt::spawn(async move { task().await }));
    };
    if let Some(office) = office {
        drop(office.push(Box::new(job)));
    }
    Dispatched(Stage::Sent(take))
}

/// Awaits the output of a task on another shard, in whatever runtime. Dropping it detaches the task, which runs on.
///
/// Made by [`Shards::spawn_on`](super::Shards::spawn_on) and [`Peers::spawn_on`](super::Peers::spawn_on).
///
/// # Errors
/// A [`JoinError`] if the task panicked, or if its shard ended before it.
///
/// # Panics
/// If it is polled again after it gave the output.
///
/// # Cancellation
/// **Detached**: the task runs on.
#[must_use = "without it nobody hears of the task's panic but the standard error"]
pub struct Dispatched<R>(Stage<R>);

enum Stage<R> {
    Sent(Take<JoinHandle<R>>),
    Started(JoinHandle<R>),
}

impl<R> Future for Dispatched<R> {
    type Output = Result<R, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                Stage::Started(handle) => return Pin::new(handle).poll(cx),
                Stage::Sent(take) => match ready!(Pin::new(take).poll(cx)) {
                    Some(handle) => self.0 = Stage::Started(handle),
                    None => return Poll::Ready(Err(JoinError::cancelled())),
                },
            }
        }
    }
}

impl<R> fmt::Debug for Dispatched<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_started = matches!(self.0, Stage::Started(_));
        f.debug_struct("Dispatched").field("is_started", &is_started).finish_non_exhaustive()
    }
}
