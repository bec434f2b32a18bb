//! Many tasks to be joined in the order in which they end.

use super::{
    coop,
    ready::Ready,
    spawn, spawn_blocking,
    task::{AbortHandle, Id, JoinError, JoinHandle},
};
use slab::Slab;
use std::{
    fmt,
    future::poll_fn,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

/// Tasks with one type of output, to be joined in the order in which they end.
///
/// Dropping the set aborts them all. To join one costs the same whether there are ten or ten thousand: only those that
/// have ended are looked at.
///
/// ```
/// use annulus::task::JoinSet;
///
/// # annulus::run(async {
/// let mut set: JoinSet<u32> = (0..10).map(|n| async move { n * n }).collect();
/// let mut sum = 0;
/// while let Some(result) = set.join_next().await {
///     sum += result.unwrap();
/// }
/// assert_eq!(sum, 285);
/// # });
/// ```
pub struct JoinSet<T> {
    handles: Slab<JoinHandle<T>>,
    ready: Ready,
}

impl<T> JoinSet<T> {
    /// A set without tasks.
    #[must_use]
    pub fn new() -> JoinSet<T> {
        JoinSet { handles: Slab::new(), ready: Ready::new() }
    }

    /// How many tasks are in the set, those included that have ended and were not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether no task is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Starts a task on this thread's runtime, as [`spawn`](crate::spawn) does, and puts it into the set.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        self.insert(spawn(future))
    }

    /// Runs `f` on a thread of the pool, as [`spawn_blocking`](crate::spawn_blocking) does, and puts the task that
    /// waits for it into the set.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.insert(spawn_blocking(f))
    }

    /// Puts a task into the set that was started by other means: by a [`Builder`](crate::task::Builder), or on another
    /// runtime.
    ///
    /// # Panics
    /// If the handle has given its output already.
    pub fn insert(&mut self, mut handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let entry = self.handles.vacant_entry();
        if handle.watch(&self.ready.waker(entry.key())) {
            self.ready.push(entry.key());
        }
        entry.insert(handle);
        abort
    }

    /// Awaits the next task that ends, takes it out of the set and gives its output; None if the set is empty.
    ///
    /// # Errors
    /// A [`JoinError`] if the task panicked or was cancelled.
    ///
    /// # Cancellation
    /// **Clean**: no task leaves the set.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Awaits the next task that ends, as [`join_next`](JoinSet::join_next) does, and says which one it was.
    ///
    /// # Cancellation
    /// **Clean**: no task leaves the set.
    pub async fn join_next_with_id(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The output of a task that has ended already, if there is one.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(|(_, result)| result)
    }

    /// The output of a task that has ended already, if there is one, and which task it is.
    pub fn try_join_next_with_id(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        while let Some(key) = self.ready.next() {
            if let Some(handle) = self.take(key) {
                return Some(output(handle));
            }
        }
        None
    }

    /// What [`join_next`](JoinSet::join_next) awaits. `Pending` also if the task's budget is spent.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join_next_with_id(cx).map(|next| next.map(|(_, result)| result))
    }

    /// What [`join_next_with_id`](JoinSet::join_next_with_id) awaits. `Pending` also if the task's budget is spent.
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Id, Result<T, JoinError>)>> {
        self.poll_ended(cx).map(|next| next.map(output))
    }

    /// Awaits all tasks and gives their outputs, in the order in which they ended.
    ///
    /// # Panics
    /// With the panic of the first task that panicked, and if one was cancelled. The others are aborted then.
    ///
    /// # Cancellation
    /// **Lossy**: the outputs so far are dropped, and the tasks that are left are aborted.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("join_all: {error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks. They stay in the set, to be joined: those that ended before with their output.
    pub fn abort_all(&mut self) {
        self.handles.iter().for_each(|(_, handle)| handle.abort());
    }

    /// Aborts all tasks and awaits their ends. Outputs are dropped; panics are reported as those of tasks that nobody
    /// awaited.
    ///
    /// # Cancellation
    /// **Clean**: the tasks are aborted, and those whose end was not awaited stay in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while let Some(handle) = poll_fn(|cx| self.poll_ended(cx)).await {
            handle.detach();
        }
    }

    /// Takes all tasks out of the set and lets them run on by themselves.
    pub fn detach_all(&mut self) {
        self.handles.clear();
    }

    /// The next task that has ended, taken out of the set.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<JoinHandle<T>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let proceed = ready!(coop::poll_proceed(cx));
        loop {
            let key = ready!(self.ready.poll_next(cx));
            if let Some(handle) = self.take(key) {
                proceed.made_progress();
                return Poll::Ready(Some(handle));
            }
        }
    }

    /// The task `key`, if it has ended. It has not if it was an earlier one's wake.
    fn take(&mut self, key: usize) -> Option<JoinHandle<T>> {
        let ended = self.handles.get(key).is_some_and(JoinHandle::is_finished);
        ended.then(|| self.handles.remove(key))
    }
}

/// The output of a task that has ended.
fn output<T>(mut handle: JoinHandle<T>) -> (Id, Result<T, JoinError>) {
    match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => (handle.id(), result),
        Poll::Pending => unreachable!("a task that has ended has its output"),
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

/// Spawns each future.
impl<T: 'static, F: Future<Output = T> + 'static> Extend<F> for JoinSet<T> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}

/// Spawns each future.
impl<T: 'static, F: Future<Output = T> + 'static> FromIterator<F> for JoinSet<T> {
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> JoinSet<T> {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Runtime, TaskBuilder, metrics, yield_now};
    use static_assertions::{assert_impl_all, assert_not_impl_any};
    use std::{
        cell::Cell,
        collections::HashSet,
        future::pending,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
        rc::Rc,
        sync::mpsc,
        thread,
    };

    assert_impl_all!(JoinSet<u8>: Send, Sync, Unpin, Default);
    assert_not_impl_any!(JoinSet<Rc<u8>>: Send, Sync);
    assert_impl_all!(AbortHandle: Send, Sync, Clone);

    async fn after<T>(yields: usize, output: T) -> T {
        for _ in 0..yields {
            yield_now().await;
        }
        output
    }

    /// A task that says when its future is gone.
    async fn stuck(alive: Rc<()>) {
        let _alive = alive;
        pending().await
    }

    fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Red when the queue is not in the order of the wakes.
    #[crate::test]
    async fn joined_in_the_order_of_their_ends() {
        let mut set: JoinSet<usize> = [5, 1, 3].into_iter().map(|n| after(n, n)).collect();
        assert_eq!((set.len(), set.try_join_next().is_none()), (3, true));
        for expected in [1, 3, 5] {
            assert_eq!(set.join_next().await.unwrap().unwrap(), expected);
        }
        assert!(set.is_empty() && set.join_next().await.is_none() && set.try_join_next().is_none());
        let id = set.spawn(after(2, 7)).id();
        let (joined, output) = set.join_next_with_id().await.unwrap();
        assert_eq!((joined, output.unwrap()), (id, 7));
        set.extend([after(2, 1), after(0, 2)]);
        assert_eq!(set.join_all().await, [2, 1]);
    }

    /// Red when an end is forgotten, or told twice.
    #[crate::test]
    async fn ten_thousand_are_joined_one_by_one() {
        const MANY: usize = 10_000;
        let mut set = JoinSet::new();
        let ids: HashSet<Id> = (0..MANY).map(|n| set.spawn(after(n % 7, n)).id()).collect();
        let mut seen = vec![false; MANY];
        while let Some((id, output)) = set.join_next_with_id().await {
            assert!(ids.contains(&id));
            assert!(!std::mem::replace(&mut seen[output.unwrap()], true));
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    /// Red when the waiting task is not woken for an end that came while it slept, and when a dropped wait takes one.
    #[crate::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let mut set = JoinSet::new();
        set.spawn(after(3, 1));
        assert!(poll_once(set.join_next()).is_pending());
        after(5, ()).await;
        assert_eq!(set.len(), 1);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    }

    #[crate::test]
    async fn panics_and_aborts_are_errors() {
        let mut set: JoinSet<u8> = JoinSet::new();
        set.spawn(async { panic!("on purpose") });
        let stuck = set.spawn(pending());
        let error = set.join_next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the task panicked: on purpose");
        assert!(!stuck.is_finished());
        stuck.clone().abort();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(stuck.is_finished() && format!("{stuck:?}").contains("true"));
        stuck.abort();
        set.spawn(after(1, 1));
        set.spawn(async { panic!("again") });
        let panic = pin!(crate::rt::spawn(set.join_all())).await.unwrap_err();
        assert_eq!(panic.to_string(), "the task panicked: again");
    }

    /// Red when dropping the set leaves its tasks alone, and when detaching ends them.
    #[crate::test]
    async fn a_dropped_set_aborts_and_a_detached_one_does_not() {
        let alive = Rc::new(());
        let mut set = JoinSet::new();
        (0..3).for_each(|_| drop(set.spawn(stuck(alive.clone()))));
        yield_now().await;
        assert_eq!(Rc::strong_count(&alive), 4);
        drop(set);
        yield_now().await;
        assert_eq!((Rc::strong_count(&alive), metrics().tasks_alive), (1, 0));

        let ended = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let ended = ended.clone();
            set.spawn(async move {
                let ended = after(2, ended).await;
                ended.set(ended.get() + 1);
            });
        }
        set.detach_all();
        assert!(set.is_empty() && set.join_next().await.is_none());
        drop(set);
        after(5, ()).await;
        assert_eq!(ended.get(), 3);
    }

    /// Red when `shutdown` does not wait, or takes an output that was there for a cancellation.
    #[crate::test]
    async fn a_set_that_is_shut_down_is_empty() {
        let alive = Rc::new(());
        let mut set = JoinSet::new();
        set.spawn(stuck(alive.clone()));
        set.spawn(async {});
        after(2, ()).await;
        set.shutdown().await;
        assert_eq!((set.len(), Rc::strong_count(&alive)), (0, 1));

        set.spawn(async {});
        set.spawn(pending());
        after(2, ()).await;
        set.abort_all();
        assert!(set.join_next().await.unwrap().is_ok(), "it had ended before");
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    }

    /// What `shutdown` finds panicked is reported as any panic that nobody awaited.
    #[test]
    fn a_panic_is_not_lost_in_shutdown() {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let mut set = JoinSet::new();
            set.spawn(async { panic!("on purpose") });
            yield_now().await;
            set.shutdown().await;
        });
        assert_eq!(runtime.metrics().unawaited_panics, 1);
    }

    /// A key that comes back is a new task's. Red when a wake for nothing is taken for an end.
    #[crate::test]
    async fn an_earlier_tasks_wake_is_no_end() {
        let mut set = JoinSet::new();
        set.spawn(after(0, 1));
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
        set.spawn(after(3, 2));
        set.ready.push(0);
        assert!(set.try_join_next().is_none());
        set.ready.push(0);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
    }

    /// Red when the budget is not asked: the set would be joined in one poll.
    #[crate::test]
    async fn joining_lets_others_through() {
        let mut set: JoinSet<usize> = (0..1000).map(|n| after(0, n)).collect();
        yield_now().await;
        while !set.handles.iter().all(|(_, handle)| handle.is_finished()) {
            yield_now().await;
        }
        let turns = Rc::new(Cell::new(0));
        let count = turns.clone();
        let other = crate::rt::spawn(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        while set.join_next().await.is_some() {}
        assert!(turns.get() >= 5, "{turns:?}");
        other.abort();
    }

    #[crate::test]
    async fn blocking_closures_and_named_tasks_are_tasks_too() {
        let mut set = JoinSet::new();
        let here = thread::current().id();
        set.spawn_blocking(move || (thread::current().id() != here).then(String::new));
        set.insert(TaskBuilder::new().name("named").spawn(async { crate::rt::name() }));
        let mut all = set.join_all().await;
        all.sort();
        assert_eq!(all, [Some(String::new()), Some("named".into())]);
    }

    #[crate::test]
    async fn a_handle_without_an_output_is_refused() {
        let mut handle = crate::rt::spawn(async {});
        (&mut handle).await.unwrap();
        assert!(handle.abort_handle().is_finished());
        handle.abort_handle().abort();
        let mut set = JoinSet::new();
        catch_unwind(AssertUnwindSafe(|| set.insert(handle))).unwrap_err();
        assert!(set.is_empty() && set.join_next().await.is_none());
    }

    /// Tasks of another thread's runtime end there and are joined here.
    #[crate::test]
    async fn tasks_may_live_elsewhere() {
        const MANY: u64 = 100;
        let (handles, take) = mpsc::channel();
        let there = thread::spawn(move || {
            Runtime::new().unwrap().block_on(async move {
                for n in 0..MANY {
                    handles.send(crate::rt::spawn(after(n as usize % 5, n))).unwrap();
                    yield_now().await;
                }
                // Some end while they are joined, and some with the runtime.
                handles.send(crate::rt::spawn(pending())).unwrap();
                after(10, ()).await;
            });
        });
        let (mut set, mut sum, mut cancelled) = (JoinSet::new(), 0, 0);
        for _ in 0..=MANY {
            set.insert(take.recv().unwrap());
            yield_now().await;
        }
        while let Some(result) = set.join_next().await {
            match result {
                Ok(n) => sum += n,
                Err(error) => cancelled += u32::from(error.is_cancelled()),
            }
        }
        there.join().unwrap();
        assert_eq!((sum, cancelled), (MANY * (MANY - 1) / 2, 1));
    }
}
