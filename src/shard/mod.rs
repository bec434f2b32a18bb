//! Shards: one runtime for each core, and what passes between them.
//!
//! [`Shards`] are threads, each pinned to a CPU and with a runtime of its own: its own ring, tasks, timers and pools.
//! Nothing is shared between them but what is sent. Each runs a copy of the same async function, which is told who it
//! is by its [`Shard`]; when that function returns, the shard ends, and with it the tasks that it started.
//!
//! | to | use |
//! |---|---|
//! | run the same server on each core | [`ShardsBuilder::run`], a listener for each shard ([`reuse_port`]) |
//! | send messages to another shard | [`Shard::send`] and [`Shard::recv`]; from elsewhere, [`Peers::send`] |
//! | ask another shard | [`Shard::call`], with a [`Reply`] in the message |
//! | run something on a shard, from any thread and any runtime | [`Shards::spawn_on`], [`Peers::spawn_on`] |
//! | hand over a connection | [`TcpStream::detach`], and [`Detached::attach`] there |
//! | end all of them | [`Shards::shutdown`], [`ShutdownToken`] |
//!
//! A thread that is no shard stays on its CPUs by [`pin_thread`].
//!
//! To end by a signal, let one shard [listen](crate::signal) and ask the others by its [`ShutdownToken`]: a shard that
//! begins to listen after the signal has come would never hear of it.
//!
//! Files: `builder` starts them and `thread` is what each does; `peers` is what one knows of the others, over a
//! `mailbox` each; `dispatch` brings tasks from outside, `slot` carries single values, `stop` the request to end;
//! `cpus` knows who sits where.
//!
//! [`reuse_port`]: crate::net::ListenerOpts::reuse_port
//! [`TcpStream::detach`]: crate::net::TcpStream::detach
//! [`Detached::attach`]: crate::net::Detached::attach

mod builder;
mod cpus;
mod dispatch;
mod error;
mod mailbox;
mod peers;
mod slot;
mod stop;
mod thread;

pub use crate::sync::mpsc::error::{SendError, TrySendError};
pub use builder::ShardsBuilder;
pub use cpus::{Placement, pin_thread};
pub use dispatch::Dispatched;
pub use error::{CallError, ShardError};
pub use peers::{Peers, Reply, Shard};
pub use stop::ShutdownToken;

use error::Reason;
use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use thread::Ends;

/// How long a thread may take to answer beyond what its runtime may take to end.
const ANSWER: Duration = Duration::from_secs(1);

/// Runtimes on threads of their own, for whoever started them. Messages are of type `M`, and a shard's output of `T`.
///
/// **When a shard panics**, the others are asked to end ([`Shard::shutdown_requested`]); whoever waits in
/// [`join`](Shards::join) gives them [some time](ShardsBuilder::grace) for that, and the panic is in the result.
///
/// **Dropping** it asks the shards to end and waits for them as long, too. What goes wrong then is told on the standard
/// error.
pub struct Shards<M = (), T = ()> {
    peers: Peers<M>,
    ends: Arc<Ends<T>>,
    threads: Vec<JoinHandle<()>>,
    cpus: Vec<Option<usize>>,
    /// How long the slowest runtime may take to end.
    patience: Duration,
    grace: Duration,
}

impl Shards {
    /// Shards that do what [`spawn_on`](Shards::spawn_on) tells them, until they are shut down: a place for tasks of
    /// threads, and of other runtimes, that want a ring.
    ///
    /// ```
    /// let shards = annulus::Shards::new(2)?;
    /// let number = shards.spawn_on(1, async || 6 * 7);
    /// // Awaited here by another runtime; any will do.
    /// assert_eq!(annulus::run(number).unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// Those of [`ShardsBuilder::start`].
    pub fn new(count: usize) -> io::Result<Shards> {
        Shards::builder().count(count).start(async |shard: Shard| shard.shutdown_requested().await)
    }

    /// Shards that are to be described first.
    pub fn builder() -> ShardsBuilder {
        ShardsBuilder::new()
    }
}

impl<M, T> Shards<M, T> {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cpus.len()
    }

    /// The CPU that each is pinned to.
    #[must_use]
    pub fn cpus(&self) -> &[Option<usize>] {
        &self.cpus
    }

    /// The way to the shards, to be cloned for whoever sends to them.
    #[must_use]
    pub fn peers(&self) -> &Peers<M> {
        &self.peers
    }

    /// The request to end, for whoever is to make it.
    #[must_use]
    pub fn token(&self) -> ShutdownToken {
        self.peers.token.clone()
    }

    /// Starts a task on a shard: see [`Peers::spawn_on`].
    pub fn spawn_on<F, R>(&self, shard: usize, task: F) -> Dispatched<R>
    where
        F: AsyncFnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.peers.spawn_on(shard, task)
    }

    /// Waits until all have ended, and gives their outputs in the order of the shards. This blocks its thread, which is
    /// to be none of theirs.
    #[must_use]
    pub fn join(mut self) -> Vec<Result<T, ShardError>> {
        self.ends.wait_for_panic(None);
        self.end(self.grace)
    }

    /// Asks all to end, and waits; gives their outputs in the order of the shards. This blocks its thread.
    ///
    /// After `limit`, the futures and tasks of those that have not ended are dropped, on their threads; the error
    /// [says so](ShardError::is_late). A thread that does not answer even then, because something blocks it, is left
    /// alone; the error [says that](ShardError::is_stuck).
    #[must_use]
    pub fn shutdown(mut self, limit: Duration) -> Vec<Result<T, ShardError>> {
        self.peers.token.request();
        self.end(limit)
    }

    /// What all end in. The second call gives nothing.
    fn end(&mut self, limit: Duration) -> Vec<Result<T, ShardError>> {
        // A limit that is too long for the clock is none.
        self.ends.wait_for_all(Instant::now().checked_add(limit));
        let late = self.ends.missing();
        late.iter().for_each(|&shard| self.peers.shared.offices[shard].give_up());
        if !late.is_empty() {
            self.ends.wait_for_all(Instant::now().checked_add(self.patience.saturating_add(ANSWER)));
        }
        let stuck = self.ends.missing();
        for (shard, thread) in self.threads.drain(..).enumerate() {
            if !stuck.contains(&shard) {
                // It has told its end, and only has to return.
                let _ = thread.join();
            }
        }
        let ends = self.ends.take().into_iter().zip(self.cpus.iter().copied()).enumerate();
        ends.map(|(shard, (outcome, cpu))| {
            let outcome = outcome.unwrap_or(Err(Reason::Stuck));
            outcome.map_err(|reason| ShardError::new(shard, cpu, reason))
        })
        .collect()
    }
}

impl<M, T> Drop for Shards<M, T> {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.peers.token.request();
        for error in self.end(self.grace).into_iter().filter_map(Result::err) {
            // Not eprintln: it panics when the other end is closed.
            let _ = writeln!(io::stderr(), "annulus: {error}");
        }
    }
}

impl<M, T> fmt::Debug for Shards<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").field("cpus", &self.cpus).finish_non_exhaustive()
    }
}
