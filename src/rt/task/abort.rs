//! The handle that ends a task, and nothing else.

use super::{Id, RawTask, task};
use std::{fmt, task::Waker};

/// Ends a task from wherever it is; it neither awaits the task nor keeps it from being detached.
#[derive(Clone)]
pub struct AbortHandle {
    /// A waker of the task holds a reference, may go anywhere, and knows the header. None once the output was taken.
    task: Option<Waker>,
    id: Id,
}

impl AbortHandle {
    pub(super) fn new(task: Option<RawTask>, id: Id) -> AbortHandle {
        AbortHandle { task: task.map(RawTask::waker), id }
    }

    fn task(&self) -> Option<RawTask> {
        self.task.as_ref().map(|waker| task(waker.data()))
    }

    /// Ends the task, as [`JoinHandle::abort`](super::JoinHandle::abort) does.
    pub fn abort(&self) {
        if let Some(task) = self.task() {
            task.abort();
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task().is_none_or(RawTask::is_done)
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id).field("is_finished", &self.is_finished()).finish()
    }
}
