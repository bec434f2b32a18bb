//! Starting tasks: plainly, or with a name and a class.

use super::{
    Class, Id, JoinHandle, current,
    task::{About, Outcome},
};
use std::{
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

/// Starts a task on this thread's runtime.
///
/// The future is dropped on this thread, at its end or at the runtime's. A panic in it is the task's alone: whoever
/// awaits the handle gets it. If nobody does, it is printed and counted in
/// [`Metrics::unawaited_panics`](super::Metrics::unawaited_panics). During the runtime's end the future is dropped at
/// once, and the handle says that it was cancelled. The task is of the [`Class`] of whoever starts it.
///
/// # Panics
/// Outside a runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Builder::new().spawn_at(future, Location::caller())
}

/// What a task is to be called, and when it is to have its turn.
///
/// ```
/// use annulus::task::{self, Class};
///
/// annulus::run(async {
///     let tidy = task::Builder::new().name("tidy").class(Class::Background).spawn(async { task::name() });
///     assert_eq!(tidy.await.unwrap().as_deref(), Some("tidy"));
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder {
    name: Option<Box<str>>,
    class: Option<Class>,
}

impl Builder {
    /// A task without a name, of the class of whoever starts it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Gives it a name, for whoever looks inside: it stands in reports of panics and of stalls. It need not be the only
    /// one of its name. Costs an allocation.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Says when it has its turn.
    pub fn class(mut self, class: Class) -> Builder {
        self.class = Some(class);
        self
    }

    /// Starts the task on this thread's runtime, as [`spawn`] does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_at(future, Location::caller())
    }

    fn spawn_at<F>(self, future: F, spawned: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = current::with(|core| core.spawn(Plain(future), self.about(core, spawned)));
        handle.expect("annulus: a task was spawned outside a runtime; spawn it in a future that block_on or run runs")
    }

    /// Runs `f` on a thread of the runtime's pool, as [`spawn_blocking`](super::spawn_blocking) does. The class is of
    /// the task that waits for it.
    ///
    /// # Panics
    /// Outside a runtime, and in one that [refuses](super::BlockingStrategy::Refuse) closures.
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let spawned = Location::caller();
        let start =
            |core: &super::core::Core| core.takes_closures().then(|| core.spawn_blocking(f, self.about(core, spawned)));
        current::with(start)
            .expect("annulus: spawn_blocking was called outside a runtime; call it from a future that block_on runs")
            .expect("annulus: spawn_blocking was called in a runtime without a pool that was told to refuse closures")
    }

    #[inline]
    pub(super) fn about(self, core: &super::core::Core, spawned: &'static Location<'static>) -> About {
        let class = self.class.unwrap_or(core.class());
        About::new(core.next_id(), class, spawned, self.name)
    }
}

/// Runs `f` on another thread, whatever the runtime does with the closures of programs: for a call that blocks, and
/// that no program asked for.
pub(crate) fn spawn_aside<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let spawned = Location::caller();
    let handle = current::with(|core| core.spawn_aside(f, Builder::new().about(core, spawned)));
    handle.expect("annulus: a name was to be looked up outside a runtime; await it in a future that block_on runs")
}

/// A user's future, whose output is always one.
pub(super) struct Plain<F>(pub(super) F);

impl<F: Future> Future for Plain<F> {
    type Output = Outcome<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: Pinned: a projection to the only field; nothing moves it, and there is no `Drop` that could.
        let future = unsafe { self.map_unchecked_mut(|plain| &mut plain.0) };
        future.poll(cx).map(Ok)
    }
}

/// The number of the task that is being polled.
///
/// # Panics
/// Outside of a task: the future of `block_on` is none. [`try_id`] asks first.
#[must_use]
#[track_caller]
pub fn id() -> Id {
    try_id().expect("annulus::task::id was called outside of a task")
}

/// The number of the task that is being polled, if there is one.
#[must_use]
pub fn try_id() -> Option<Id> {
    current::with(|core| core.current().map(|task| task.about().id())).flatten()
}

/// The name of the task that is being polled, if it has one.
#[must_use]
pub fn name() -> Option<String> {
    current::with(|core| core.current().and_then(|task| task.about().name().map(String::from))).flatten()
}
