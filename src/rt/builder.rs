//! How a runtime is to be.

use super::{
    BlockingPool, BlockingStrategy, Runtime,
    core::Core,
    pool::{Closures, Pool},
    stall::{Stall, Watch},
};
use crate::driver::{Choice, Config, Driver, DriverKind};
use std::{io, rc::Rc, sync::Arc, time::Duration};

/// Makes a [`Runtime`].
///
/// ```
/// let runtime = annulus::Builder::new().entries(1024).build()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    config: Config,
    shutdown_deadline: Duration,
    background_share: u8,
    start_paused: bool,
    blocking_pool: Option<Pool>,
    blocking_strategy: BlockingStrategy,
    name: Option<String>,
    measure_every: u32,
    watch: Option<Watch>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// The defaults: the driver that `ANNULUS_DRIVER` names or the best there is, 1024 entries, 64 as the
    /// [limit of what blocks](Builder::max_blocking_threads), five seconds to shut down, a fifth of the time for
    /// tasks in the background.
    pub fn new() -> Builder {
        Builder {
            config: Config::default(),
            shutdown_deadline: Duration::from_secs(5),
            background_share: 20,
            start_paused: false,
            blocking_pool: None,
            blocking_strategy: BlockingStrategy::Threads,
            name: None,
            measure_every: 0,
            watch: None,
        }
    }

    /// Names the driver; this outranks the environment. One that cannot be had is then an error of `build`.
    pub fn driver(mut self, kind: DriverKind) -> Builder {
        self.config.choice = Choice::Named(kind);
        self
    }

    /// How many entries the ring's submission queue has: 1 to 32768, rounded up to a power of two. When the memory may
    /// not be locked, the ring has fewer. The poll driver has no use for the number.
    pub fn entries(mut self, entries: u32) -> Builder {
        self.config.entries = entries;
        self
    }

    /// How many [direct](crate::Fd::is_direct) descriptors the runtime may have at once: 1024 unless it is said here,
    /// and no more than the process may have descriptors. The table, eight bytes for each, is made with the first one.
    /// With 0, and where there are none (on the poll driver, and before Linux 6.8), ordinary descriptors are used.
    pub fn direct_descriptors(mut self, count: u32) -> Builder {
        self.config.direct_descriptors = count;
        self
    }

    /// How many things that block may run at once, each on a thread of the runtime's pool: up to `threads` closures of
    /// [`spawn_blocking`](crate::spawn_blocking) and, apart from those, up to `threads` calls for operations that have
    /// no readiness (on the poll driver, those on files). 64 of each unless it is said here; any number above 0.
    ///
    /// A call that has been running for a second while others wait for a thread is taken for stuck, and one more may
    /// run beside it; up to twice `threads` calls are counted so. The pool therefore never has more than four times
    /// `threads` threads. They are made when needed, and end after ten idle seconds. When nothing has moved for five
    /// seconds all the same, a line on the standard error says what waits; [`PoolCounts`](crate::PoolCounts) has the
    /// numbers at any time.
    pub fn max_blocking_threads(mut self, threads: usize) -> Builder {
        self.config.max_blocking_threads = threads;
        self
    }

    /// Where the closures of [`spawn_blocking`](crate::spawn_blocking) run, and with them lookups of names: a
    /// [`ThreadPool`](crate::rt::ThreadPool) that several runtimes share, or any other. The runtime's own threads then
    /// have only operations without readiness to do; those stay there, because an operation that a pool lost could
    /// never end.
    ///
    /// The end of the runtime waits for its closures that run, as it does for those on its own threads; those that have
    /// not begun are not run any more.
    pub fn blocking_pool(mut self, pool: impl BlockingPool) -> Builder {
        self.blocking_pool = Some(Pool(Arc::new(pool)));
        self
    }

    /// What becomes of the closures of [`spawn_blocking`](crate::spawn_blocking) while there is no
    /// [pool](Builder::blocking_pool) for them: threads of the runtime's own run them unless it is said here. Lookups
    /// of names are not the program's closures, and go on to have those threads.
    pub fn blocking_strategy(mut self, strategy: BlockingStrategy) -> Builder {
        self.blocking_strategy = strategy;
        self
    }

    /// How long dropping the runtime waits for operations that the kernel still owes. What does not end by then is
    /// reported and leaked: its memory may still be written to. `Duration::MAX` waits as long as it takes.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Builder {
        self.shutdown_deadline = deadline;
        self
    }

    /// The percentage of the time that tasks of the [background](crate::task::Class::Background) get while others have
    /// work, too: 1 to 99, and 20 unless it is said here. What one class does not need, the other may use.
    pub fn background_share(mut self, percent: u8) -> Builder {
        self.background_share = percent;
        self
    }

    /// Whether the clock stands from the beginning, as [`time::pause`](crate::time::pause) makes it. For tests.
    pub fn start_paused(mut self, paused: bool) -> Builder {
        self.start_paused = paused;
        self
    }

    /// Lets somebody else's loop wait for the runtime: see [`Runtime::turn`] and [`Runtime::pollable`]. The ring is
    /// then one whose completions interrupt what its thread waits for, because with the best one (`DEFER_TASKRUN`)
    /// nobody would be told; waits of the thread, `epoll_wait(2)` for one, may end with EINTR for it. Nothing changes
    /// on the poll driver.
    pub fn pollable(mut self, yes: bool) -> Builder {
        self.config.pollable = yes;
        self
    }

    /// Whether the ring's driver answers a read of what is in memory at its first poll, by a call, where few entries
    /// would go with it: it does unless it is told not to. Then each read is an entry, and pending once, for whoever
    /// builds on that. Nothing changes on the poll driver.
    pub fn cached_reads(mut self, yes: bool) -> Builder {
        self.config.cached_reads = yes;
        self
    }

    /// Gives the runtime a name. [`runtimes`](crate::rt::runtimes) lists those that have one, for whoever looks at a
    /// program from inside; it stands in reports of stalls, too.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// A name for a runtime that was given none.
    pub(crate) fn or_name(mut self, name: String) -> Builder {
        self.name.get_or_insert(name);
        self
    }

    /// Measures how long polls take, one in each `every`, for [`Metrics::poll_times`](crate::Metrics::poll_times). That
    /// costs two looks at the clock, some fifty nanoseconds, each time. With 0, as it is unless it is said here,
    /// nothing is measured.
    pub fn poll_time_histogram(mut self, every: u32) -> Builder {
        self.measure_every = every;
        self
    }

    /// Has polls watched that take longer than `limit`: a task that computes, or blocks, for so long keeps all others
    /// of its thread waiting. Each is told once while it lasts, and once more when it is over: on the standard error,
    /// unless [`on_stall`](Builder::on_stall) says otherwise. Off, unless it is said here.
    ///
    /// A thread of its own looks four times in each limit; the runtime pays nothing. It tells after the limit and half
    /// of it at the latest, with the task's name and where it was spawned. With the feature `backtrace` it also tells
    /// what the thread is doing: for that it sends it `SIGURG`, once for each stall. Calls that the standard library
    /// or this crate makes do not mind; others that block may end with `EINTR`, as from any signal. A handler for
    /// `SIGURG` that was there before goes on to get the signals of others.
    ///
    /// The thread walks its stack inside of the signal's handler, and the unwinder asks the dynamic loader where code
    /// lies. Some loaders take a lock for that (glibc does without it since 2.35): there, a thread that is asked in
    /// the middle of `dlopen(3)` or `dlclose(3)` may wait for itself for ever. Whoever loads code on a runtime's thread
    /// there does better without the feature: reports then have the task and its place, and no signal is sent.
    pub fn stall_detector(mut self, limit: Duration) -> Builder {
        self.watch = Some(match self.watch {
            Some(watch) => Watch { limit, ..watch },
            None => Watch::new(limit),
        });
        self
    }

    /// Has stalls told to `tell`, on a thread of the watchdog, instead of on the standard error. A second is the limit,
    /// unless [`stall_detector`](Builder::stall_detector) sets another.
    pub fn on_stall(mut self, tell: impl Fn(&Stall) + Send + Sync + 'static) -> Builder {
        let limit = self.watch.map_or(Duration::from_secs(1), |watch| watch.limit);
        self.watch = Some(Watch { limit, tell: Arc::new(tell) });
        self
    }

    /// How long the end of the runtime may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.shutdown_deadline
    }

    /// Makes the runtime, on the thread that will run it. On Linux, the poll driver makes its descriptors when they are
    /// first needed: where none is left then, an operation that has to wait answers `EMFILE`, and a wake from another
    /// thread may take ten milliseconds.
    ///
    /// # Errors
    /// `InvalidInput` for a number that makes no sense, or an `ANNULUS_DRIVER` or `ANNULUS_SETUP` that names nothing;
    /// otherwise what the driver met: `EMFILE`, what a sandbox refuses, or the refusal of a driver that was asked for
    /// by name, with what to do.
    pub fn build(self) -> io::Result<Runtime> {
        if !(1..=99).contains(&self.background_share) {
            let text = format!("the background cannot have {} % of the time; give it 1 to 99", self.background_share);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut core = Core::new(
            Driver::new(&self.config)?,
            self.background_share,
            self.start_paused,
            Closures::new(self.blocking_pool, self.blocking_strategy),
        );
        core.measure_polls(self.measure_every);
        if let Some(name) = self.name {
            core.name(name);
        }
        if let Some(watch) = self.watch {
            core.watch(watch)?;
        }
        Ok(Runtime { core: Rc::new(core), deadline: self.shutdown_deadline })
    }
}
