//! The handle to a task's output.

use super::{AbortHandle, Id, JoinError, Outcome, RawTask, state::Detach};
use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// Awaits a task's output. Dropping it detaches the task, which runs on.
///
/// The handle of a `Send` output may be moved to another thread and awaited there, in whatever runtime.
///
/// # Errors
/// A [`JoinError`] if the task panicked or was cancelled.
///
/// # Panics
/// If it is polled again after it gave the output.
///
/// # Cancellation
/// **Clean**: awaiting changes nothing but who is woken.
pub struct JoinHandle<T> {
    /// None once the output was taken.
    task: Option<RawTask>,
    id: Id,
    output: PhantomData<T>,
}

// SAFETY: Owner: the header is made for other threads; the output, which the handle takes or drops, is `Send`. The
// future is none of the handle's business.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: Owner: a shared handle gives no output; it reads and sets flags of the state word.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(super) fn new(task: RawTask) -> JoinHandle<T> {
        JoinHandle { task: Some(task), id: task.about().id(), output: PhantomData }
    }

    /// Ends the task: its future is dropped, on its own thread, the next time its turn comes, and awaiting the handle
    /// gives a [`JoinError`] that [is cancelled](JoinError::is_cancelled). A task that ends before keeps its output.
    pub fn abort(&self) {
        if let Some(task) = self.task {
            task.abort();
        }
    }

    /// A handle that can end the task, and nothing else.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(self.task, self.id)
    }

    /// Whether the output is there; if not, `waker` will be woken when it is.
    pub(in crate::rt) fn watch(&mut self, waker: &Waker) -> bool {
        ready(self.unfinished(), waker)
    }

    fn unfinished(&self) -> RawTask {
        self.task.expect("a JoinHandle was used after it had given its output")
    }

    /// Lets the task run on by itself, as dropping the handle does.
    pub fn detach(self) {}

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Whether the output is there, or was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_none_or(RawTask::is_done)
    }
}

/// Whether the output is there; if not, `waker` will be woken when it is.
fn ready(task: RawTask, waker: &Waker) -> bool {
    let state = &task.get().state;
    if state.is_done() || (state.is_offered() && !state.withdraw()) {
        return true;
    }
    let slot = task.get().joiner.get();
    // SAFETY: Owner: JOINER is not set, so the slot is the handle's, and `&mut JoinHandle` makes us the only one.
    let slot = unsafe { &mut *slot };
    match slot {
        Some(old) if old.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
    let pending = state.offer();
    if !pending {
        // The task ended meanwhile, so the slot stayed ours; no waker lies about in it.
        *slot = None;
    }
    !pending
}

/// Moves the output out. The caller has seen DONE and does this once.
fn take<T>(task: RawTask) -> Outcome<T> {
    // SAFETY: Typed: the table is that of the header's cell, in which the output lies there.
    let output = unsafe { task.header().byte_add(task.get().vtable.output) }.cast::<Outcome<T>>();
    // SAFETY: Typed: a `JoinHandle<T>` is only made for a task with this output. Owner: after DONE the output is ours.
    unsafe { output.read() }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.unfinished();
        if !ready(task, cx.waker()) {
            return Poll::Pending;
        }
        self.task = None;
        let output = take(task);
        task.release();
        Poll::Ready(output)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        match task.get().state.detach() {
            Detach::Nothing => task.release(),
            Detach::Waker => {
                // SAFETY: Owner: JOINER was cleared before DONE, so the slot is the handle's again.
                let waker = unsafe { &mut *task.get().joiner.get() }.take();
                task.release();
                drop(waker);
            }
            Detach::Output => {
                let output = take::<T>(task);
                if let Some(panic) = output.as_ref().err().filter(|error| error.is_panic()) {
                    task.get().remote.unawaited_panic(task.about(), panic);
                }
                task.release();
                drop(output);
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}
