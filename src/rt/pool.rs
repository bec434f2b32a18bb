//! Pools that the runtime does not own: closures of `spawn_blocking` may run on somebody else's threads.
//!
//! Only closures: a twin stays on threads of annulus. A closure that is lost costs its handle the answer, which is told
//! as a cancellation; a twin that is lost would leave an operation in flight for ever, its memory lent and its
//! descriptor open (*Settled*), and no driver could end. So there is nothing that a pool could do by lying:
//!
//! - it drops a job: the handle says that it was cancelled; so it does if `schedule` refuses the job, or panics,
//! - it keeps a job for ever: the handle waits for ever, as for a closure that does; the end of the runtime does not,
//!   because it waits for jobs that run, and this one does not,
//! - it runs a job on the calling thread: that one waits, and `spawn_blocking` gives a handle that is ready,
//! - it runs a job after the runtime's end: nobody wants it any more, and the closure is dropped instead,
//! - it cannot run a job twice: running takes it.

use crate::driver::{
    quietly,
    threads::{Common, Job},
};
use std::{
    collections::VecDeque,
    fmt, io, process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Threads on which [`spawn_blocking`](crate::spawn_blocking) runs its closures, in the place of the runtime's own: see
/// [`Builder::blocking_pool`](crate::Builder::blocking_pool).
///
/// [`ThreadPool`] is one that several runtimes can share. Another is a few lines over whatever pool a program has:
///
/// ```
/// use annulus::rt::{BlockingJob, BlockingPool};
/// use std::{io, thread};
///
/// /// A thread for each job.
/// struct Threads;
///
/// impl BlockingPool for Threads {
///     fn schedule(&self, job: BlockingJob) -> io::Result<()> {
///         thread::Builder::new().spawn(|| job.run()).map(drop)
///     }
/// }
///
/// let runtime = annulus::Builder::new().blocking_pool(Threads).build()?;
/// assert_eq!(runtime.block_on(async { annulus::spawn_blocking(|| 6 * 7).await })?, 42);
/// # std::io::Result::Ok(())
/// ```
pub trait BlockingPool: Send + Sync + 'static {
    /// Takes in a job, to [run](BlockingJob::run) it on another thread, soon. Called on the runtime's thread, which
    /// should not wait here.
    ///
    /// # Errors
    /// Why the job will not be run. Whoever awaits it is told so.
    fn schedule(&self, job: BlockingJob) -> io::Result<()>;
}

impl<P: BlockingPool + ?Sized> BlockingPool for Arc<P> {
    fn schedule(&self, job: BlockingJob) -> io::Result<()> {
        P::schedule(self, job)
    }
}

/// A closure on its way to a thread. Dropped without having been run, it tells whoever awaits it that it was cancelled.
#[must_use = "a job that is dropped is cancelled"]
pub struct BlockingJob {
    closure: Box<dyn FnOnce() + Send>,
    tally: Arc<Tally>,
}

impl BlockingJob {
    /// Runs the closure on this thread. One that nobody waits for any more is dropped instead. Its panic is the
    /// closure's alone: whoever awaits it gets it.
    pub fn run(self) {
        let _running = Running::begin(&self.tally);
        quietly(self.closure);
    }
}

impl fmt::Debug for BlockingJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingJob").finish_non_exhaustive()
    }
}

/// A pool of threads for closures, which several runtimes can share: clones are the same pool.
///
/// It makes threads as jobs need them, up to a number, and lets them go after ten idle seconds. Dropping all clones
/// stops nothing: what was taken in is run first. Its threads are this process's: a forked child has none of them, and
/// makes a pool of its own.
///
/// ```
/// let pool = annulus::rt::ThreadPool::new(4)?;
/// let shards: Vec<_> = (0..2)
///     .map(|_| {
///         let builder = annulus::Builder::new().blocking_pool(pool.clone());
///         std::thread::spawn(|| builder.build()?.block_on(async { Ok(annulus::spawn_blocking(|| 6 * 7).await?) }))
///     })
///     .collect();
/// for shard in shards {
///     let answer: std::io::Result<i32> = shard.join().unwrap();
///     assert_eq!(answer?, 42);
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct ThreadPool(Common);

impl ThreadPool {
    /// A pool that runs up to `threads` jobs at once, and has no thread yet.
    ///
    /// # Errors
    /// `InvalidInput` for no threads at all.
    pub fn new(threads: usize) -> io::Result<ThreadPool> {
        if threads == 0 {
            let text = "a pool without threads would run nothing; give it at least one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(ThreadPool(Common::new(threads)))
    }
}

impl BlockingPool for ThreadPool {
    /// Queues the job, behind those of all who share the pool.
    ///
    /// # Errors
    /// If there is no thread, and none can be made.
    fn schedule(&self, job: BlockingJob) -> io::Result<()> {
        self.0.handle().push(Job::Closure(Box::new(|| job.run())))
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.handle().counts();
        f.debug_struct("ThreadPool").field("threads", &counts.threads).field("queued", &counts.queued).finish()
    }
}

/// A pool of a function that takes jobs in, and that need not be `Sync`: see [`pool_fn`].
pub struct PoolFn<F>(Mutex<Line<F>>);

/// A function, and the jobs that came while it was taking one in.
struct Line<F> {
    /// Taken out while it is called.
    schedule: Option<F>,
    waiting: VecDeque<BlockingJob>,
}

/// A pool of a function that takes jobs in. It is called by one thread at a time and never inside of itself, not even
/// if it runs the job at once and that one starts another: such a job comes after.
///
/// ```
/// use std::{sync::mpsc, thread};
///
/// let (jobs, work) = mpsc::channel::<annulus::rt::BlockingJob>();
/// let worker = thread::spawn(move || work.into_iter().for_each(|job| job.run()));
/// let pool = annulus::rt::pool_fn(move |job| {
///     jobs.send(job).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
/// });
/// let runtime = annulus::Builder::new().blocking_pool(pool).build()?;
/// assert_eq!(runtime.block_on(async { annulus::spawn_blocking(|| 6 * 7).await })?, 42);
/// # drop(runtime);
/// # worker.join().unwrap();
/// # std::io::Result::Ok(())
/// ```
pub fn pool_fn<F>(schedule: F) -> PoolFn<F>
where
    F: FnMut(BlockingJob) -> io::Result<()> + Send + 'static,
{
    PoolFn(Mutex::new(Line { schedule: Some(schedule), waiting: VecDeque::new() }))
}

impl<F> PoolFn<F> {
    /// No code of others runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Line<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: FnMut(BlockingJob) -> io::Result<()> + Send + 'static> BlockingPool for PoolFn<F> {
    /// Calls the function, or leaves the job to whoever is calling it.
    ///
    /// # Errors
    /// What the function says; of a job that was left to somebody, only its end is told.
    fn schedule(&self, job: BlockingJob) -> io::Result<()> {
        let mut line = self.lock();
        let Some(mut schedule) = line.schedule.take() else {
            line.waiting.push_back(job);
            return Ok(());
        };
        drop(line);
        let mut answer = Ok(());
        quietly(|| answer = schedule(job));
        loop {
            let mut line = self.lock();
            let Some(job) = line.waiting.pop_front() else {
                line.schedule = Some(schedule);
                return answer;
            };
            drop(line);
            quietly(|| drop(schedule(job)));
        }
    }
}

impl<F> fmt::Debug for PoolFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFn").field("waiting", &self.lock().waiting.len()).finish_non_exhaustive()
    }
}

/// What a runtime without a [pool](crate::Builder::blocking_pool) does with the closures of
/// [`spawn_blocking`](crate::spawn_blocking): see [`Builder::blocking_strategy`](crate::Builder::blocking_strategy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockingStrategy {
    /// Threads of the runtime's own run them.
    #[default]
    Threads,
    /// The runtime's thread runs each inside of `spawn_blocking`, and all of its tasks wait: for closures that take no
    /// time, and for programs that want no thread.
    Here,
    /// `spawn_blocking` panics: for programs that want to know who asks for it.
    Refuse,
}

/// Where a runtime's closures run.
#[derive(Debug)]
pub(super) enum Closures {
    /// On the driver's threads.
    Threads,
    Outside(Outside),
    /// On the runtime's own thread.
    Here,
    Refused,
}

impl Closures {
    pub(super) fn new(pool: Option<Pool>, strategy: BlockingStrategy) -> Closures {
        match (pool, strategy) {
            (Some(pool), _) => Closures::Outside(Outside::new(pool)),
            (None, BlockingStrategy::Threads) => Closures::Threads,
            (None, BlockingStrategy::Here) => Closures::Here,
            (None, BlockingStrategy::Refuse) => Closures::Refused,
        }
    }

    /// See [`Outside::wait`]; the driver waits for its own.
    pub(super) fn wait(&self, limit: Duration) -> usize {
        match self {
            Closures::Outside(outside) => outside.wait(limit),
            _ => 0,
        }
    }
}

/// A pool, as a builder holds it.
#[derive(Clone)]
pub(super) struct Pool(pub(super) Arc<dyn BlockingPool>);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// A runtime's way to a pool that is not its own.
#[derive(Debug)]
pub(super) struct Outside {
    pool: Pool,
    tally: Arc<Tally>,
    /// The process whose runtime this is. In a child nothing runs of what its parent's runs.
    process: u32,
}

impl Outside {
    fn new(pool: Pool) -> Outside {
        Outside { pool, tally: Arc::default(), process: process::id() }
    }

    /// Hands a closure over. A pool that panics has dropped it, or will run it: that shows.
    pub(super) fn schedule(&self, closure: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let job = BlockingJob { closure, tally: self.tally.clone() };
        let mut answer = Ok(());
        quietly(|| answer = self.pool.0.schedule(job));
        answer
    }

    /// Waits until none of this runtime's closures runs there, or `limit` has passed. Returns how many do then.
    fn wait(&self, limit: Duration) -> usize {
        if self.process != process::id() {
            return 0;
        }
        let until = Instant::now().checked_add(limit);
        let mut running = self.tally.lock();
        while *running > 0 {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let woken = self.tally.ended.wait_timeout(running, left);
            running = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *running
    }
}

/// How many closures of a runtime run outside.
#[derive(Debug, Default)]
struct Tally {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Tally {
    /// No code of others runs under the lock.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those. It is counted before it asks whether it is still wanted, so a runtime that ends either is seen to have
/// ended, or sees it run.
struct Running<'a>(&'a Tally);

impl Running<'_> {
    fn begin(tally: &Tally) -> Running<'_> {
        *tally.lock() += 1;
        Running(tally)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Builder, DriverKind, JoinHandle, Runtime,
        fs::File,
        net::lookup_host,
        spawn_blocking,
        testing::{in_child, temp_file},
        time::timeout,
    };
    use std::{
        io::Write,
        mem,
        sync::mpsc::{self, Receiver, Sender},
        thread::{self, ThreadId},
    };

    const MS: Duration = Duration::from_millis(1);
    /// Long enough for anything, and a failure when it is needed.
    const LONG: Duration = Duration::from_secs(60);

    /// Whatever a test takes for a pool.
    struct Liar<F>(F);

    impl<F: Fn(BlockingJob) -> io::Result<()> + Send + Sync + 'static> BlockingPool for Liar<F> {
        fn schedule(&self, job: BlockingJob) -> io::Result<()> {
            (self.0)(job)
        }
    }

    /// Runs `test` with runtimes of both drivers over a pool that does `schedule`.
    fn over<F>(schedule: F, test: impl Fn(Runtime))
    where
        F: Fn(BlockingJob) -> io::Result<()> + Send + Sync + 'static,
    {
        let pool = Arc::new(Liar(schedule));
        for kind in [DriverKind::Uring, DriverKind::Poll] {
            let builder = Builder::new().driver(kind).blocking_pool(pool.clone()).shutdown_deadline(LONG);
            match builder.build() {
                Ok(runtime) => test(runtime),
                Err(error) => skip("over", kind, &error),
            }
        }
    }

    /// Past the harness, which hides what a passing test prints.
    fn skip(what: &str, kind: DriverKind, error: &io::Error) {
        assert_eq!(kind, DriverKind::Uring, "{error}");
        let _ = writeln!(io::stderr(), "SKIP rt::pool::{what}::{kind}: {error}");
    }

    /// The runtime has an end, and does not use up its deadline for it.
    fn ends(runtime: Runtime) {
        let began = Instant::now();
        drop(runtime);
        assert!(began.elapsed() < LONG / 2);
    }

    /// A value that knows how many there are.
    fn counted() -> (Arc<()>, Arc<()>) {
        let one = Arc::new(());
        (one.clone(), one)
    }

    #[test]
    fn two_runtimes_share_one_thread() {
        let pool = ThreadPool::new(1).unwrap();
        let ids = |builder: Builder| -> Vec<ThreadId> {
            let runtime = builder.build().unwrap();
            let jobs = runtime.block_on(async { [(); 20].map(|()| spawn_blocking(|| thread::current().id())) });
            let ids = runtime.block_on(async {
                let mut ids = Vec::new();
                for job in jobs {
                    ids.push(job.await.unwrap());
                }
                ids
            });
            assert_eq!(runtime.metrics().pool.threads, 0, "none of its own");
            ids
        };
        let builder = || Builder::new().blocking_pool(pool.clone());
        let there = thread::spawn({
            let builder = builder();
            move || ids(builder)
        });
        let mut all = ids(builder());
        all.extend(there.join().unwrap());
        all.dedup();
        assert_eq!(all.len(), 1);
        assert!(!all.contains(&thread::current().id()));
        assert_eq!(ThreadPool::new(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn lookups_go_there_and_operations_do_not() {
        let (count, seen) = mpsc::channel();
        let schedule = move |job: BlockingJob| {
            count.send(()).unwrap();
            thread::Builder::new().spawn(|| job.run()).map(drop)
        };
        over(schedule, |runtime| {
            runtime.block_on(async {
                assert!(lookup_host("localhost:80").await.unwrap().len() > 0);
                assert_eq!(seen.try_iter().count(), 1);
                let file = File::from_std(temp_file()).unwrap();
                assert_eq!(file.read_at(vec![0; 8], 0).await.0.unwrap(), 0);
                assert_eq!(seen.try_iter().count(), 0);
            });
        });
    }

    #[test]
    fn a_job_that_is_dropped_is_cancelled() {
        fn here(job: BlockingJob) -> io::Result<()> {
            drop(job);
            Ok(())
        }
        fn elsewhere(job: BlockingJob) -> io::Result<()> {
            thread::Builder::new().spawn(|| drop(job)).map(drop)
        }
        for schedule in [here as fn(BlockingJob) -> io::Result<()>, elsewhere] {
            over(schedule, |runtime| {
                let (held, inside) = counted();
                let error = runtime.block_on(async { spawn_blocking(move || drop(inside)).await.unwrap_err() });
                assert!(error.is_cancelled() && !error.is_panic());
                ends(runtime);
                let began = Instant::now();
                while Arc::strong_count(&held) > 1 {
                    assert!(began.elapsed() < LONG, "what the closure held is still there");
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn a_job_that_is_refused_says_why() {
        over(
            |_| Err(io::ErrorKind::QuotaExceeded.into()),
            |runtime| {
                let error: io::Error = runtime.block_on(spawn_blocking_in(&runtime, || 7)).unwrap_err().into();
                assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
                let error = runtime.block_on(async { lookup_host("localhost:80").await.unwrap_err() });
                assert!(error.kind() == io::ErrorKind::QuotaExceeded && error.to_string().contains("localhost"));
            },
        );
        // It ran the job, and then says that it did not.
        let schedule = |job: BlockingJob| {
            job.run();
            Err(io::ErrorKind::QuotaExceeded.into())
        };
        over(schedule, |runtime| assert_eq!(runtime.block_on(spawn_blocking_in(&runtime, || 7)).unwrap(), 7));
    }

    fn spawn_blocking_in<R: Send + 'static>(
        runtime: &Runtime,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> JoinHandle<R> {
        let mut job = None;
        runtime.block_on(async { job = Some(spawn_blocking(f)) });
        job.expect("block_on is over")
    }

    /// Nobody can tell a job that is lost from one that takes its time; so a limit is the caller's business.
    #[test]
    fn a_job_that_is_lost_keeps_neither_the_loop_nor_its_end() {
        over(
            |job| {
                mem::forget(job);
                Ok(())
            },
            |runtime| {
                runtime.block_on(async {
                    let lost = spawn_blocking(|| 7);
                    assert!(timeout(MS * 5, lost).await.is_err());
                    assert!(timeout(MS * 5, lookup_host("localhost:80")).await.is_err());
                    drop(spawn_blocking(|| 7));
                });
                ends(runtime);
            },
        );
    }

    #[test]
    fn a_pool_that_panics_harms_nobody() {
        over(
            |_| panic!("no pool today"),
            |runtime| {
                let error = runtime.block_on(spawn_blocking_in(&runtime, || 7)).unwrap_err();
                assert!(error.is_cancelled());
                assert_eq!(runtime.block_on(async { 1 }), 1);
            },
        );
        let schedule = |job: BlockingJob| {
            thread::spawn(|| job.run());
            panic!("after all was done")
        };
        over(schedule, |runtime| assert_eq!(runtime.block_on(spawn_blocking_in(&runtime, || 7)).unwrap(), 7));
    }

    /// The job runs on the runtime's own thread, inside of `spawn_blocking`, and may do there what any code may.
    #[test]
    fn a_job_that_is_run_at_once_is_answered() {
        let schedule = |job: BlockingJob| {
            job.run();
            Ok(())
        };
        over(schedule, |runtime| {
            let here = thread::current().id();
            runtime.block_on(async {
                assert_eq!(spawn_blocking(|| thread::current().id()).await.unwrap(), here);
                assert!(spawn_blocking(|| panic!("here")).await.unwrap_err().is_panic());
                let inner = spawn_blocking(|| (spawn_blocking(|| 3), crate::spawn(async { 4 }))).await.unwrap();
                assert_eq!((inner.0.await.unwrap(), inner.1.await.unwrap()), (3, 4));
                let nested = spawn_blocking(|| crate::run(async {})).await.unwrap_err();
                assert!(nested.to_string().contains("inside block_on"), "{nested}");
            });
            ends(runtime);
        });
    }

    /// A function that runs each job at once, and is told of two more meanwhile. Red when one of them is forgotten, or
    /// comes before the first has come back.
    #[test]
    fn a_function_is_a_pool() {
        let (told, calls) = mpsc::channel();
        let mut count = 0;
        let pool = Arc::new(pool_fn(move |job: BlockingJob| {
            count += 1;
            let number = count;
            told.send(number).unwrap();
            job.run();
            told.send(-number).unwrap();
            if number == 4 { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
        }));
        for kind in [DriverKind::Poll, DriverKind::Uring] {
            let Ok(runtime) = Builder::new().driver(kind).blocking_pool(pool.clone()).build() else { continue };
            runtime.block_on(async {
                let two = spawn_blocking(|| (spawn_blocking(|| 1), spawn_blocking(|| panic!("of the third")))).await;
                let (one, other) = two.unwrap();
                assert_eq!(one.await.unwrap(), 1);
                let other: Result<(), _> = other.await;
                assert!(other.unwrap_err().is_panic());
            });
        }
        let seen: Vec<i32> = calls.try_iter().collect();
        let expected: Vec<i32> = (1..).flat_map(|number| [number, -number]).take(seen.len()).collect();
        assert!(seen.len() >= 6 && seen == expected, "{seen:?}");
    }

    /// Red when a function that panics takes no job any more, or loses those that came meanwhile.
    #[test]
    fn a_function_that_panics_is_called_again() {
        let mut calls = 0;
        let schedule = move |job: BlockingJob| {
            calls += 1;
            if calls % 3 == 1 {
                job.run();
                panic!("after the first of three");
            }
            thread::Builder::new().spawn(|| job.run()).map(drop)
        };
        let pool = pool_fn(schedule);
        over(
            move |job| pool.schedule(job),
            |runtime| {
                runtime.block_on(async {
                    let inner = spawn_blocking(|| spawn_blocking(|| 2)).await.unwrap();
                    assert_eq!((inner.await.unwrap(), spawn_blocking(|| 3).await.unwrap()), (2, 3));
                });
            },
        );
    }

    /// What a runtime that may have no ring does on both drivers.
    fn with_strategy(strategy: BlockingStrategy, f: impl Fn(&Runtime)) {
        for kind in [DriverKind::Poll, DriverKind::Uring] {
            match Builder::new().driver(kind).blocking_strategy(strategy).build() {
                Ok(runtime) => f(&runtime),
                Err(error) => skip("with_strategy", kind, &error),
            }
        }
    }

    #[test]
    fn closures_run_here_if_they_are_to() {
        with_strategy(BlockingStrategy::Here, |runtime| {
            let here = thread::current().id();
            runtime.block_on(async {
                let job = spawn_blocking(|| thread::current().id());
                assert_eq!(job.await.unwrap(), here);
                assert!(spawn_blocking(|| panic!("here")).await.unwrap_err().is_panic());
                let inner = spawn_blocking(|| spawn_blocking(|| thread::current().id())).await.unwrap();
                assert_eq!(inner.await.unwrap(), here);
            });
            assert_eq!(runtime.metrics().pool.closures_run, 0);
        });
    }

    /// Red when a lookup is taken for a closure of the program: it would keep the thread, or be refused.
    #[test]
    fn lookups_have_threads_whatever_the_strategy() {
        for strategy in [BlockingStrategy::Threads, BlockingStrategy::Here, BlockingStrategy::Refuse] {
            with_strategy(strategy, |runtime| {
                runtime.block_on(async { assert!(lookup_host("localhost:80").await.unwrap().len() > 0) });
                assert_eq!(runtime.metrics().pool.closures_run, 1);
            });
        }
    }

    /// Red when what was refused, or a lookup, makes a closure fail in another runtime of this thread.
    #[test]
    fn a_runtime_that_refuses_closures_panics_where_one_is_asked_for() {
        with_strategy(BlockingStrategy::Refuse, |runtime| {
            runtime.block_on(async {
                let spawn = || drop(spawn_blocking(|| ()));
                let panic = std::panic::catch_unwind(spawn).unwrap_err();
                let text = panic.downcast_ref::<String>().expect("a text that was put together");
                assert!(text.contains("refuse closures"), "{text}");
                assert!(lookup_host("localhost:80").await.unwrap().len() > 0);
            });
            assert_eq!(crate::run(async { spawn_blocking(|| 7).await.unwrap() }), 7);
        });
        let runtime = Builder::new()
            .blocking_strategy(BlockingStrategy::Refuse)
            .blocking_pool(ThreadPool::new(1).unwrap())
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(spawn_blocking_in(&runtime, || 7)).unwrap(), 7, "a pool outranks it");
    }

    /// A pool that puts its jobs aside.
    fn aside() -> (impl Fn(BlockingJob) -> io::Result<()> + Send + Sync, Receiver<BlockingJob>) {
        let (put, jobs): (Sender<BlockingJob>, _) = mpsc::channel();
        (move |job| put.send(job).map_err(|_| io::ErrorKind::BrokenPipe.into()), jobs)
    }

    #[test]
    fn a_job_that_comes_after_the_end_is_not_run() {
        let (schedule, jobs) = aside();
        over(schedule, |runtime| {
            let (held, inside) = counted();
            let (ran, seen) = mpsc::channel();
            let wanted = spawn_blocking_in(&runtime, move || {
                drop(inside);
                ran.send(()).unwrap();
            });
            ends(runtime);
            let job = jobs.try_recv().unwrap();
            thread::spawn(|| job.run()).join().unwrap();
            assert!(seen.try_recv().is_err() && Arc::strong_count(&held) == 1);
            drop(wanted);
        });
    }

    /// T21. Red when a child waits for closures that its parent runs.
    #[test]
    fn a_forked_child_waits_for_nobody() {
        let (schedule, jobs) = aside();
        let outside = Outside::new(Pool(Arc::new(Liar(schedule))));
        outside.schedule(Box::new(|| ())).unwrap();
        let _running = Running::begin(&outside.tally);
        let held = outside.tally.lock();
        let has_ended = in_child(|| assert_eq!(outside.wait(LONG), 0));
        drop((held, jobs));
        assert!(has_ended);
    }

    /// What runs is waited for; what takes longer than the deadline runs on, and its answer goes to nobody.
    #[test]
    fn the_end_waits_for_jobs_that_run_until_its_deadline() {
        let pool = Arc::new(Liar(|job: BlockingJob| thread::Builder::new().spawn(|| job.run()).map(drop)));
        for (deadline, in_time) in [(LONG, true), (MS * 20, false)] {
            let runtime = Builder::new().blocking_pool(pool.clone()).shutdown_deadline(deadline).build().unwrap();
            let (begun, has_begun) = mpsc::channel();
            let (release, held) = mpsc::channel::<()>();
            let (done, is_done) = mpsc::channel();
            let job = spawn_blocking_in(&runtime, move || {
                begun.send(()).unwrap();
                let _ = held.recv_timeout(if in_time { MS * 50 } else { LONG });
                done.send(()).unwrap();
            });
            has_begun.recv_timeout(LONG).unwrap();
            let ended = Instant::now();
            drop(runtime);
            assert!(ended.elapsed() < LONG / 2);
            assert_eq!(is_done.try_recv().is_ok(), in_time);
            drop(release);
            drop(job);
            if !in_time {
                is_done.recv_timeout(LONG).unwrap();
            }
        }
    }
}
