//! Closures that block, on the threads of a pool.
//!
//! The task that stands for one is an ordinary task: its future waits for an answer that the pool's thread puts into
//! a slot they share. So the handle, its `abort` and its errors are those of every task. Who aborts it in time drops
//! the future, and a thread that finds nobody waiting does not begin.

use super::{
    remote::Remote,
    spawn::Builder,
    sync::{Arc, Mutex, MutexGuard},
    task::{About, JoinError, JoinHandle, Outcome, drop_quietly},
};
use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

/// Runs `f` on a thread of the runtime's pool, where it may block, and gives its output.
///
/// A panic of `f` is carried to whoever awaits the handle. [`abort`](JoinHandle::abort) keeps `f` from being run if it
/// was not begun; one that runs cannot be stopped, and its output is dropped.
///
/// # Panics
/// Outside a runtime, and in one that [refuses](super::BlockingStrategy::Refuse) closures.
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Builder::new().spawn_blocking(f)
}

type Job = Box<dyn FnOnce() + Send>;

enum Slot<R> {
    Waiting(Option<Waker>),
    Answered(Outcome<R>),
    /// The answer was taken, or nobody waits for it any more.
    Closed,
}

struct Shared<R> {
    slot: Mutex<Slot<R>>,
    about: About,
    remote: Arc<Remote>,
}

impl<R> Shared<R> {
    /// No stranger's code runs under the lock, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, Slot<R>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a panic that nobody will ever await.
    fn report(&self, outcome: &Outcome<R>) {
        if let Some(panic) = outcome.as_ref().err().filter(|error| error.is_panic()) {
            self.remote.unawaited_panic(&self.about, panic);
        }
    }
}

/// Makes the job for the pool and the future that waits for it.
pub(super) fn pair<F, R>(f: F, about: About, remote: Arc<Remote>) -> (Job, Answer<R>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let shared = Arc::new(Shared { slot: Mutex::new(Slot::Waiting(None)), about, remote });
    let promise = Promise(shared.clone());
    let job = move || {
        if promise.is_wanted() {
            promise.answer(catch_unwind(AssertUnwindSafe(f)).map_err(JoinError::panicked));
        } else {
            drop_quietly(f);
        }
    };
    (Box::new(job), Answer(shared))
}

/// The pool's end. A job that is dropped without having been run answers with a cancellation.
struct Promise<R>(Arc<Shared<R>>);

impl<R> Promise<R> {
    fn is_wanted(&self) -> bool {
        matches!(*self.0.lock(), Slot::Waiting(_))
    }

    fn answer(&self, outcome: Outcome<R>) {
        let mut slot = self.0.lock();
        if !matches!(*slot, Slot::Waiting(_)) {
            drop(slot);
            self.0.report(&outcome);
            return drop_quietly(outcome);
        }
        let before = mem::replace(&mut *slot, Slot::Answered(outcome));
        drop(slot);
        if let Slot::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.answer(Err(JoinError::cancelled()));
    }
}

/// The task's end.
pub(super) struct Answer<R>(Arc<Shared<R>>);

impl<R> Answer<R> {
    /// The pool would not have the job. If it ran it all the same, that answer stays.
    pub(super) fn refuse(&self, error: io::Error) {
        let mut slot = self.0.lock();
        let is_open = match &*slot {
            Slot::Waiting(_) => true,
            Slot::Answered(Err(error)) => error.is_cancelled(),
            Slot::Answered(Ok(_)) | Slot::Closed => false,
        };
        if is_open {
            *slot = Slot::Answered(Err(JoinError::refused(error)));
        }
    }
}

impl<R> Future for Answer<R> {
    type Output = Outcome<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        let mut slot = self.0.lock();
        match mem::replace(&mut *slot, Slot::Closed) {
            Slot::Answered(outcome) => Poll::Ready(outcome),
            // A waker of this task replaces one of the same task: dropping it runs no stranger's code.
            _ => {
                *slot = Slot::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        if !self.0.remote.is_here() {
            // A forked child has no thread that would answer, and one of its parent's may have the lock.
            return;
        }
        let before = mem::replace(&mut *self.0.lock(), Slot::Closed);
        // A panic that came before the task's end and was never looked at: nobody else can tell of it.
        if let Slot::Answered(outcome) = &before {
            self.0.report(outcome);
        }
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::Driver,
        rt::{Class, task::Ids},
        testing::in_child,
    };
    use std::{panic::Location, time::Duration};

    /// T21. Red when a child that drops what waits for a closure looks for an answer: a thread may have had the lock.
    #[test]
    fn a_forked_child_asks_for_no_answer() {
        let runtime = crate::Runtime::new().unwrap();
        let about = About::new(Ids::new().next(), Class::Latency, Location::caller(), None);
        let (job, answer) = pair(|| (), about, runtime.core.remote().clone());
        let (shared, mut answer) = (answer.0.clone(), Some(answer));
        let held = shared.lock();
        assert!(in_child(|| drop(answer.take())));
        drop((held, job));
    }

    #[crate::test]
    async fn without_a_thread_the_handle_says_so_and_the_closure_is_dropped() {
        let held = Arc::new(());
        let inside = held.clone();
        Driver::current().unwrap().threads().shutdown(Duration::from_secs(20));
        let error = spawn_blocking(move || drop(inside)).await.unwrap_err();
        assert!(error.is_cancelled() && error.to_string().contains("no thread to run it"), "{error}");
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
