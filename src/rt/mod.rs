//! The runtime: one thread, its tasks, and a driver that performs their operations.
//!
//! A turn of the loop is: run what is runnable, at most 128 polls, and what waits in the background as its share
//! allows; wake the timers that are due; let the driver submit and collect, and sleep in it if nothing is runnable;
//! take what other threads woke. So neither a task that always wakes itself nor a main future that does can keep
//! completions, timers and other threads waiting for longer than those polls. A task that is woken goes to the back of
//! its class's queue, whoever woke it. What is always ready is kept in bounds by a budget for each poll.
//!
//! Files: `core` is the loop and what it keeps, `queue` who runs next, `coop` the budget, `current` knows which runtime
//! runs on this thread, `remote` is the half that other threads may touch, over the lock-free parts in `handoff`;
//! `task` holds tasks and their handles, `spawn` starts them, `blocking` closures on other threads, `pool` threads that
//! are not the runtime's, `timer` the timers, `clock` what they go by, `local` values that belong to a future,
//! `join_set` sets of tasks, `scope` children that borrow, `ready` whom of many to look at.
//!
//! To see what goes on: `metrics` is what is counted, `pulse` what other threads may see of it at any time, `observer`
//! how they look; `stall` watches for polls that take too long, and `stack` asks what they do.

mod blocking;
mod builder;
pub(crate) mod clock;
pub(crate) mod coop;
mod core;
mod current;
mod elsewhere;
mod handoff;
mod hold;
mod join_set;
mod local;
mod metrics;
mod next;
mod pool;
mod queue;
mod ready;
mod remote;
mod scope;
mod spawn;
mod sync;
mod task;
pub(crate) mod timer;

mod observer;
mod pulse;
#[cfg(feature = "backtrace")]
mod stack;
#[cfg(not(feature = "backtrace"))]
#[path = "stackless.rs"]
mod stack;
mod stall;

#[cfg(test)]
mod tests;

pub use blocking::spawn_blocking;
pub use builder::Builder;
pub use coop::{Unconstrained, consume_budget, has_budget_remaining, unconstrained};
pub use join_set::JoinSet;
pub use local::{AccessError, LocalKey, TaskLocalFuture};
pub use metrics::Metrics;
pub use next::Next;
pub use pool::{BlockingJob, BlockingPool, BlockingStrategy, PoolFn, ThreadPool, pool_fn};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub(crate) use spawn::spawn_aside;
pub use spawn::{Builder as TaskBuilder, id, name, spawn, try_id};
pub use task::{AbortHandle, Class, Id, JoinError, JoinHandle};

pub use observer::{Activity, Observer, Sight, Stuck, runtimes};
pub use pulse::Polled;
pub use stall::Stall;

use self::{clock::Clock, core::Core, timer::Timers};
use crate::driver::DriverInfo;
use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    io, mem,
    os::fd::BorrowedFd,
    panic::Location,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

/// A runtime of one thread: tasks, timers and a driver.
///
/// It stays on the thread that made it. Between two calls of [`block_on`](Runtime::block_on) its tasks rest. Dropping
/// it drops their futures on this thread, waits for the operations that the kernel still owes (see
/// [`Builder::shutdown_deadline`]), and makes every waker that is left harmless.
pub struct Runtime {
    core: Rc<Core>,
    deadline: Duration,
}

impl Runtime {
    /// A runtime with the defaults of [`Builder::new`].
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Builder::new().build()
    }

    /// Runs `future` until it is ready, and the runtime's tasks as long as that takes.
    ///
    /// # Panics
    /// If `future` does (the runtime stays usable), if it is called inside another `block_on` of this thread, and if
    /// the driver fails for good (its error is in the message): there is no way to go on then.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.core.block_on(future, Location::caller())
    }

    /// Starts a task, as [`spawn`] does, from outside of [`block_on`](Runtime::block_on). It is polled when the runtime
    /// is run or turned; whoever waits at the runtime's descriptor for that finds it readable.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.enter(|| spawn(future))
    }

    /// Calls `f` with this runtime as the thread's own, so that it can [`spawn`] and make what needs a runtime. Whoever
    /// waits at the runtime's descriptor finds it readable afterwards.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _rouse = Rouse(&self.core);
        let _enter = current::enter(&self.core);
        f()
    }

    /// Turns the runtime once, for a loop of somebody else's: runs tasks, at most so many as one turn holds, lets the
    /// driver submit and collect, and sleeps for up to `limit` if there was nothing to do ([`Duration::ZERO`]: not at
    /// all). What comes next is for the caller to see to: turn again, or wait until the runtime's descriptor
    /// ([`pollable`](Runtime::pollable)) is readable, or until the time that is given, and turn then.
    ///
    /// ```
    /// use annulus::rt::{Next, Runtime};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::new()?;
    /// let task = runtime.spawn(async { 6 * 7 });
    /// while runtime.turn(Duration::ZERO)? == Next::Now {}
    /// assert!(task.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// If the driver fails for good. There is no way to go on then but to drop the runtime.
    ///
    /// # Panics
    /// Inside a `block_on` or another `turn` of this thread.
    #[track_caller]
    pub fn turn(&self, limit: Duration) -> io::Result<Next> {
        self.core.turn_once(limit, Location::caller())
    }

    /// What becomes readable when the runtime has something to do: for `poll(2)`, `epoll(7)`, `kqueue(2)` or somebody
    /// else's reactor, level-triggered, or edge-triggered if the runtime is turned until [`turn`](Runtime::turn) says
    /// something else than [`Next::Now`]. It can be readable in vain. It is for watching alone.
    ///
    /// # Errors
    /// `InvalidInput`, where the runtime was not built as [pollable](Builder::pollable); `EMFILE` where the poll driver
    /// has none yet, and there is no descriptor left.
    pub fn pollable(&self) -> io::Result<BorrowedFd<'_>> {
        self.core.pollable()
    }

    /// The counters, as they are now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// What looks at this runtime from other threads, while it runs and afterwards.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.core.observer()
    }

    /// Which driver runs, and why; prints as `uring` or `poll (reason)`.
    #[must_use]
    pub fn driver(&self) -> DriverInfo {
        self.core.driver().info().clone()
    }

    /// Ends the runtime as dropping it does, and gives the counters as they are then: the panics of handles that
    /// other tasks had kept are among them.
    pub fn shut_down(self) -> Metrics {
        self.core.shut_down(self.deadline);
        self.core.metrics()
    }
}

/// Tells a runtime that sleeps in somebody else's loop that there may be something to do.
struct Rouse<'a>(&'a Core);

impl Drop for Rouse<'_> {
    fn drop(&mut self) {
        self.0.remote().rouse();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.core.shut_down(self.deadline);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

/// Makes a runtime with the defaults, runs `future` in it, and ends it: the shortest way in.
///
/// # Panics
/// If no runtime can be made (the error is in the message; [`Builder::build`] gives it as a value), and as
/// [`Runtime::block_on`] does.
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("annulus: no runtime can be made here: {error}"),
    }
}

/// Lets every other runnable task run once, and then goes on.
///
/// # Cancellation
/// **Clean**: there is nothing to lose.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The counters of this thread's runtime, as they are now.
///
/// # Panics
/// Outside a runtime.
#[must_use]
#[track_caller]
pub fn metrics() -> Metrics {
    match current::with(Core::metrics) {
        Some(metrics) => metrics,
        None => {
            panic!("annulus::metrics was called outside a runtime; call it from a future that block_on or run runs")
        }
    }
}

/// What looks at this thread's runtime from other threads, while it runs and afterwards.
///
/// # Panics
/// Outside a runtime.
#[must_use]
#[track_caller]
pub fn observer() -> Observer {
    match current::with(Core::observer) {
        Some(observer) => observer,
        None => panic!("annulus::rt::observer was called outside a runtime; call it from a future that block_on runs"),
    }
}

/// Which driver runs this thread's runtime; prints as `uring` or `poll (reason)`.
///
/// # Panics
/// Outside a runtime.
#[must_use]
#[track_caller]
pub fn driver() -> DriverInfo {
    match current::with(|core| core.driver().info().clone()) {
        Some(info) => info,
        None => panic!("annulus::driver was called outside a runtime; call it from a future that block_on or run runs"),
    }
}

/// The time by which this thread goes.
pub(crate) fn now() -> Instant {
    current::with(|core| core.clock().now()).unwrap_or_else(Instant::now)
}

/// Gives the clock of this thread's runtime to `f`, if there is one.
pub(crate) fn clock<R>(f: impl FnOnce(&Clock) -> R) -> Option<R> {
    current::with(|core| f(core.clock()))
}

/// The timers of this thread's runtime. Panics outside one.
#[track_caller]
pub(crate) fn timers() -> Rc<RefCell<Timers>> {
    match current::with(Core::timers) {
        Some(timers) => timers,
        #[cfg(test)]
        None => TEST_TIMERS.with(|timers| timers.borrow().clone()),
        #[cfg(not(test))]
        None => panic!("annulus: timers need a runtime; use them in a future that block_on or run runs"),
    }
}

#[cfg(test)]
thread_local! {
    /// Timers of the tests that poll by hand.
    static TEST_TIMERS: RefCell<Rc<RefCell<Timers>>> =
        RefCell::new(Rc::new(RefCell::new(Timers::new(std::time::Instant::now()))));
}

/// Puts other timers in the place of a test's own.
#[cfg(test)]
pub(crate) fn replace_timers(timers: Rc<RefCell<Timers>>) {
    TEST_TIMERS.set(timers);
}
