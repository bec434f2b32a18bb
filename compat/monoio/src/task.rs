//! Tasks, and handles that give their plain output.

use crate::blocking;
use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll},
};

/// Starts a task of this thread's runtime.
///
/// A panic ends the task alone. Awaiting its handle goes on with the panic; of one that nobody awaits, a line on the
/// standard error tells, and `#[monoio::test]` fails for it.
///
/// # Panics
/// Outside a runtime.
#[track_caller]
pub fn spawn<T>(future: T) -> JoinHandle<T::Output>
where
    T: Future + 'static,
    T::Output: 'static,
{
    JoinHandle { task: annulus::spawn(future), cancelled: None }
}

/// Awaits a task's output. Dropping it detaches the task, which runs on.
///
/// # Panics
/// With the task's own panic; if the task's runtime ended before it did; and if it is polled after it gave the output.
pub struct JoinHandle<T> {
    task: annulus::JoinHandle<T>,
    /// What stands for the output of a task that was cancelled, if something does.
    cancelled: Option<fn() -> T>,
}

impl<T> JoinHandle<T> {
    /// Whether the output is there, or was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// annulus's own handle, which can abort the task and gives panics as errors.
    #[must_use]
    pub fn into_annulus(self) -> annulus::JoinHandle<T> {
        self.task
    }
}

impl<R> JoinHandle<Result<R, blocking::JoinError>> {
    pub(crate) fn blocking(task: annulus::JoinHandle<Result<R, blocking::JoinError>>) -> Self {
        JoinHandle { task, cancelled: Some(|| Err(blocking::JoinError::Canceled)) }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.task).poll(cx).map(|outcome| match (outcome, self.cancelled) {
            (Ok(output), _) => output,
            (Err(error), Some(cancelled)) if error.is_cancelled() => cancelled(),
            (Err(error), _) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => panic!("a task that was awaited has no output: {error}"),
            },
        })
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}
