//! The thread pool: where twins run that may block, and `spawn_blocking`'s closures.
//!
//! Threads are made when a job finds none idle, up to a maximum (64 for each runtime unless the program says
//! otherwise), and retire after ten idle seconds. The queue is first in, first out, and as long as its callers make it:
//! every twin in it has a slot of its driver, every closure a handle. Jobs in progress cannot be stopped.
//!
//! **Lent** covers the twins: the operation that an entry belongs to stays in its slot until the reply was drained,
//! through teardown too, so a running call keeps the memory and descriptors that it uses. If [`Threads::shutdown`] runs
//! out of time, the driver leaks the operations whose replies are owed; a thread holds nothing of the runtime but
//! [`Arc`]s, and its late reply goes to nobody. **Settled**: every twin that was accepted is answered once, by the
//! call's result or, if it was still queued at shutdown, by ECANCELED; one that [`Threads::cancel`] removed is answered
//! by the driver. **Quiet**: closures, their `Drop` and the wake run with no lock held, and a panic ends neither its
//! thread nor the process.
//!
//! The threads block no signals. A call that a handler interrupts is made again here, so a twin whose call must not be
//! repeated (close, which has let go of its number even then) does not answer EINTR.

use crate::{
    driver::{batch::quietly, slots::call},
    entry::{Cqe, Sqe, Twin},
};
use std::{
    collections::VecDeque,
    io, mem,
    panic::catch_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How many threads a runtime's pool may have unless the program says otherwise.
pub(crate) const MAX_THREADS: usize = 64;
/// How long a thread waits for a job before it retires.
const IDLE: Duration = Duration::from_secs(10);
/// A thread's stack in bytes: what the standard library gives by default, because closures expect it.
const STACK: usize = 2 << 20;

/// A handle on the pool. Dropping the last one stops nothing: what is queued is done, then the threads retire.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Shared>);

/// What the pool does.
pub(crate) enum Job {
    /// Performs an entry, and answers it.
    Twin {
        /// The entry; its `user_data` is the answer's.
        sqe: Sqe,
        /// How to perform it.
        twin: &'static Twin,
        /// Where the answer goes.
        reply: Arc<Replies>,
    },
    /// Calls a closure. Who wants its result, or wants to know that it was dropped, puts that into the closure.
    Closure(Box<dyn FnOnce() + Send>),
}

/// What the pool has and has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCounts {
    /// Threads alive, busy or not.
    pub threads: usize,
    /// Threads that wait for a job.
    pub idle: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Twins started so far.
    pub twins_run: u64,
    /// Closures started so far.
    pub closures_run: u64,
}

/// All that a thread of the pool holds.
struct Shared {
    state: Mutex<State>,
    /// A job was queued, or the pool closes: for idle threads.
    work: Condvar,
    /// A thread has ended: for `shutdown`.
    ended: Condvar,
    max: usize,
    idle_after: Duration,
}

struct State {
    queue: VecDeque<Job>,
    /// No job is accepted any more.
    closed: bool,
    running: usize,
    threads: usize,
    idle: usize,
    /// Threads made so far: the number in the next one's name.
    made: u64,
    stack: usize,
    twins_run: u64,
    closures_run: u64,
}

impl Threads {
    /// A pool of up to `max` threads (at least one), and none of them yet.
    pub(crate) fn new(max: usize) -> Threads {
        Threads::with_idle(max, IDLE)
    }

    fn with_idle(max: usize, idle_after: Duration) -> Threads {
        let state = State {
            queue: VecDeque::new(),
            closed: false,
            running: 0,
            threads: 0,
            idle: 0,
            made: 0,
            stack: STACK,
            twins_run: 0,
            closures_run: 0,
        };
        let (work, ended) = Default::default();
        Threads(Arc::new(Shared { state: Mutex::new(state), work, ended, max: max.max(1), idle_after }))
    }

    /// Queues a job.
    ///
    /// # Errors
    /// If the pool was shut down, or has no thread and cannot make one; the job is dropped then and, if it is a twin,
    /// not answered.
    pub(crate) fn push(&self, job: Job) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.closed {
            drop(state);
            quietly(|| drop(job));
            return Err(io::Error::other("the runtime's thread pool was shut down"));
        }
        state.queue.push_back(job);
        // One idle thread for each queued job, counting those that were notified and have not come to it yet.
        if state.queue.len() <= state.idle {
            self.0.work.notify_one();
            return Ok(());
        }
        if state.threads == self.0.max {
            return Ok(());
        }
        let Err(error) = self.0.grow(&mut state) else { return Ok(()) };
        if state.threads > 0 {
            return Ok(());
        }
        // Threads retire only when the queue is empty, so without threads the only job is this one.
        let job = state.queue.pop_back();
        drop(state);
        quietly(|| drop(job));
        Err(error)
    }

    /// Removes a twin that has not been started. It gets no reply: `true` tells the driver to answer it.
    pub(crate) fn cancel(&self, user_data: u64, reply: &Arc<Replies>) -> bool {
        let this = |job: &Job| match job {
            Job::Twin { sqe, reply: theirs, .. } => sqe.user_data == user_data && Arc::ptr_eq(theirs, reply),
            Job::Closure(_) => false,
        };
        let mut state = self.0.lock();
        let removed = state.queue.iter().position(this).and_then(|at| state.queue.remove(at));
        drop(state);
        removed.is_some()
    }

    /// Refuses new jobs, drops what is queued, and waits until the threads have ended or `deadline` has passed.
    /// Returns how many jobs are still running.
    ///
    /// Queued twins are answered by ECANCELED, queued closures are dropped here.
    pub(crate) fn shutdown(&self, deadline: Duration) -> usize {
        let until = Instant::now().checked_add(deadline);
        let mut state = self.0.lock();
        state.closed = true;
        let queued = mem::take(&mut state.queue);
        self.0.work.notify_all();
        drop(state);
        queued.into_iter().for_each(Job::refuse);
        let mut state = self.0.lock();
        while state.threads > 0 {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.running
    }

    /// What the pool has and has done.
    pub(crate) fn counts(&self) -> PoolCounts {
        let state = self.0.lock();
        let State { threads, idle, twins_run, closures_run, .. } = *state;
        PoolCounts { threads, idle, queued: state.queue.len(), twins_run, closures_run }
    }
}

impl Shared {
    /// No code of others runs under the lock, so a poisoned one guards a state that is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a thread. Under the lock, so that nobody counts on a thread that then could not be made.
    fn grow(self: &Arc<Shared>, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(self);
        let builder = thread::Builder::new().name(format!("annulus-pool-{}", state.made)).stack_size(state.stack);
        builder.spawn(move || shared.work())?;
        state.made += 1;
        state.threads += 1;
        Ok(())
    }

    /// A thread's life: jobs while there are any, then waiting, then the end.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.started(&job);
                drop(state);
                job.run();
                state = self.lock();
                state.running -= 1;
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let wait = self.work.wait_timeout(state, self.idle_after);
            let (woken, waited) = wait.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        self.ended.notify_all();
    }
}

impl State {
    /// Counts a job before it can be seen to have an effect.
    fn started(&mut self, job: &Job) {
        self.running += 1;
        match job {
            Job::Twin { .. } => self.twins_run += 1,
            Job::Closure(_) => self.closures_run += 1,
        }
    }
}

impl Job {
    fn run(self) {
        match self {
            Job::Twin { sqe, twin, reply } => reply.push(Cqe::new(sqe.user_data, perform(&sqe, twin))),
            Job::Closure(closure) => quietly(closure),
        }
    }

    /// Ends a job that will not be run.
    fn refuse(self) {
        match self {
            Job::Twin { sqe, reply, .. } => reply.push(Cqe::new(sqe.user_data, -libc::ECANCELED)),
            Job::Closure(closure) => quietly(|| drop(closure)),
        }
    }
}

/// Makes a twin's call, until it is not interrupted. One that panics is broken, but answered.
///
/// The operation stays in its slot until the reply is drained, which is after this call; at teardown it stays there, or
/// is leaked, for as long as the reply is owed (Lent).
fn perform(sqe: &Sqe, twin: &Twin) -> i32 {
    catch_unwind(|| call(twin, sqe, 0)).unwrap_or(-libc::EIO)
}

/// The answers of one driver's twins, on their way home.
///
/// The driver drains them in its turns. Before it goes to sleep it [asks](Replies::ask) to be woken: the next reply,
/// and only that one, calls the wake. Both sides do so under one lock, so none can slip between asking and sleeping.
pub(crate) struct Replies {
    inbox: Mutex<Inbox>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Inbox {
    ready: Vec<Cqe>,
    asked: bool,
}

impl Replies {
    /// No replies yet. `wake` is called on any thread, also after the driver's end.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Replies> {
        Arc::new(Replies { inbox: Mutex::default(), wake: Box::new(wake) })
    }

    /// Moves all replies into `out`, which is empty, and takes back what was asked.
    ///
    /// The two vectors change places, so in steady state nothing is allocated.
    pub(crate) fn drain(&self, out: &mut Vec<Cqe>) {
        debug_assert!(out.is_empty(), "replies that nobody handled would be handed to other threads");
        let mut inbox = self.lock();
        inbox.asked = false;
        mem::swap(&mut inbox.ready, out);
    }

    /// Asks for a wake at the next reply. `false` if replies are there: drain them instead of sleeping.
    pub(crate) fn ask(&self) -> bool {
        let mut inbox = self.lock();
        inbox.asked = inbox.ready.is_empty();
        inbox.asked
    }

    fn push(&self, cqe: Cqe) {
        let mut inbox = self.lock();
        inbox.ready.push(cqe);
        let wake = mem::take(&mut inbox.asked);
        drop(inbox);
        if wake {
            (self.wake)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::{
        io::{PipeReader, PipeWriter, Write, pipe},
        os::fd::AsRawFd,
        sync::mpsc,
    };

    const LONG: Duration = Duration::from_secs(20);

    /// Waits until `what` holds, and fails when it takes too long.
    fn until(what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < LONG, "waited too long");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until everything is done and every thread waits, too.
    fn rest(pool: &Threads) {
        until(|| {
            let counts = pool.counts();
            counts.queued == 0 && counts.idle == counts.threads
        });
    }

    fn silent() -> Arc<Replies> {
        Replies::new(|| ())
    }

    fn drained(replies: &Replies) -> Vec<Cqe> {
        let mut out = Vec::new();
        replies.drain(&mut out);
        out
    }

    /// `read(fd, addr, len)`.
    static READ: Twin = Twin::pool(read);

    unsafe fn read(sqe: &Sqe, _: u32) -> i32 {
        // SAFETY: Lent, in these tests by leaking the buffer.
        crate::sys::unix::ret(unsafe { libc::read(sqe.fd, sqe.addr as *mut libc::c_void, sqe.len as usize) })
    }

    /// Answers with `len`.
    static ECHO: Twin = Twin::pool(echo);

    unsafe fn echo(sqe: &Sqe, _: u32) -> i32 {
        sqe.len as i32
    }

    /// Is interrupted three times; `addr` is where it counts.
    static RESTLESS: Twin = Twin::pool(restless);

    unsafe fn restless(sqe: &Sqe, attempt: u32) -> i32 {
        // SAFETY: Lent, in these tests by leaking the counter.
        let calls = unsafe { &mut *(sqe.addr as *mut i32) };
        *calls += 1;
        if *calls <= 3 { -libc::EINTR } else { attempt as i32 }
    }

    static BROKEN: Twin = Twin::pool(broken);

    unsafe fn broken(_: &Sqe, _: u32) -> i32 {
        panic!("a broken twin, as the test wants it")
    }

    fn job(twin: &'static Twin, user_data: u64, sqe: Sqe, reply: &Arc<Replies>) -> Job {
        Job::Twin { sqe: sqe.user_data(user_data), twin, reply: reply.clone() }
    }

    fn echo_job(user_data: u64, reply: &Arc<Replies>) -> Job {
        job(&ECHO, user_data, Sqe { len: user_data as u32, ..Sqe::default() }, reply)
    }

    /// A job that is stuck until somebody writes into the pipe.
    fn stuck(user_data: u64, pipe: &(PipeReader, PipeWriter), reply: &Arc<Replies>) -> Job {
        let buf: &'static mut [u8; 1] = Box::leak(Box::new([0]));
        let sqe = Sqe { fd: pipe.0.as_raw_fd(), addr: buf.as_mut_ptr() as u64, len: 1, ..Sqe::default() };
        job(&READ, user_data, sqe, reply)
    }

    #[test]
    fn the_pool_grows_while_all_are_stuck_and_stops_at_its_bound() {
        let (pool, replies, mut pipe) = (Threads::new(3), silent(), pipe().unwrap());
        assert_eq!(pool.counts().threads, 0, "threads are made when they are needed");
        for n in 0..10 {
            pool.push(stuck(n, &pipe, &replies)).unwrap();
            assert_eq!(pool.counts().threads, (n as usize + 1).min(3));
        }
        until(|| pool.counts().queued == 7);
        assert_eq!(pool.counts(), PoolCounts { threads: 3, idle: 0, queued: 7, twins_run: 3, closures_run: 0 });
        pipe.1.write_all(&[1; 10]).unwrap();
        rest(&pool);
        let out = drained(&replies);
        assert!(out.len() == 10 && out.iter().all(|cqe| cqe.res == 1), "{out:?}");
        let start = Instant::now();
        assert_eq!((pool.shutdown(LONG), pool.counts().threads), (0, 0));
        assert!(start.elapsed() < IDLE / 2, "idle threads are told to go");
    }

    #[test]
    fn an_idle_thread_is_used_before_another_is_made() {
        let (pool, replies) = (Threads::new(8), silent());
        for n in 0..50 {
            pool.push(echo_job(n, &replies)).unwrap();
            rest(&pool);
        }
        assert_eq!(pool.counts(), PoolCounts { threads: 1, idle: 1, queued: 0, twins_run: 50, closures_run: 0 });
    }

    /// An idle thread that was notified, and has not come to it yet, is not there for a second job.
    #[test]
    fn two_jobs_do_not_count_on_the_same_idle_thread() {
        let (pool, replies, mut pipe) = (Threads::new(8), silent(), pipe().unwrap());
        pool.push(echo_job(0, &replies)).unwrap();
        rest(&pool);
        pool.push(stuck(1, &pipe, &replies)).unwrap();
        pool.push(stuck(2, &pipe, &replies)).unwrap();
        until(|| pool.counts().twins_run == 3);
        pipe.1.write_all(&[1; 2]).unwrap();
        rest(&pool);
        assert_eq!(drained(&replies).len(), 3);
    }

    #[test]
    fn one_thread_answers_in_order() {
        let (pool, replies) = (Threads::new(1), silent());
        for n in 0..1000 {
            pool.push(echo_job(n, &replies)).unwrap();
        }
        rest(&pool);
        let order: Vec<(u64, i32)> = drained(&replies).iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
        assert_eq!(order, (0..1000).map(|n| (n, n as i32)).collect::<Vec<_>>());
    }

    #[test]
    fn idle_threads_retire_and_come_back() {
        let pool = Threads::with_idle(4, Duration::from_millis(20));
        for round in 1..=2 {
            let (tell, told) = mpsc::channel();
            pool.push(Job::Closure(Box::new(move || tell.send(thread::current().name().map(String::from)).unwrap())))
                .unwrap();
            let name = told.recv_timeout(LONG).unwrap().expect("pool threads have names");
            assert_eq!(name, format!("annulus-pool-{}", round - 1));
            until(|| pool.counts().threads == 0);
            assert_eq!(pool.counts().closures_run, round);
        }
    }

    #[test]
    fn a_queued_twin_can_be_cancelled_and_a_started_one_not() {
        let (pool, replies, other, mut pipe) = (Threads::new(1), silent(), silent(), pipe().unwrap());
        pool.push(stuck(1, &pipe, &replies)).unwrap();
        until(|| pool.counts().queued == 0);
        pool.push(echo_job(2, &other)).unwrap();
        pool.push(echo_job(2, &replies)).unwrap();
        pool.push(echo_job(3, &replies)).unwrap();
        assert!(!pool.cancel(1, &replies), "it has been started");
        assert!(!pool.cancel(3, &other), "it belongs to another driver");
        assert!(pool.cancel(2, &replies));
        assert!(!pool.cancel(2, &replies), "it is gone");
        pipe.1.write_all(&[1]).unwrap();
        rest(&pool);
        let order: Vec<u64> = drained(&replies).iter().map(|cqe| cqe.user_data).collect();
        assert_eq!(order, [1, 3]);
        assert_eq!(drained(&other).len(), 1, "the same number of another driver is left alone");
    }

    #[test]
    fn shutdown_answers_what_is_queued_and_reports_what_is_stuck() {
        let (pool, replies, mut pipe) = (Threads::new(1), silent(), pipe().unwrap());
        pool.push(stuck(1, &pipe, &replies)).unwrap();
        until(|| pool.counts().queued == 0);
        let held = Arc::new(());
        let inside = held.clone();
        pool.push(echo_job(2, &replies)).unwrap();
        pool.push(Job::Closure(Box::new(move || drop(inside)))).unwrap();
        let start = Instant::now();
        assert_eq!(pool.shutdown(Duration::from_millis(50)), 1, "one is stuck");
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert_eq!(drained(&replies), [Cqe::new(2, -libc::ECANCELED)]);
        assert_eq!((Arc::strong_count(&held), pool.counts().closures_run), (1, 0), "dropped, not run");
        assert!(pool.push(echo_job(4, &replies)).unwrap_err().to_string().contains("shut down"));
        pipe.1.write_all(&[1]).unwrap();
        assert_eq!(pool.shutdown(LONG), 0);
        assert_eq!((drained(&replies), pool.counts().threads), (vec![Cqe::new(1, 1)], 0));
    }

    #[test]
    fn a_panic_ends_neither_thread_nor_process() {
        struct Grenade;
        impl Drop for Grenade {
            fn drop(&mut self) {
                panic!("a panic in a drop, as the test wants it");
            }
        }
        let (pool, replies) = (Threads::new(1), silent());
        pool.push(Job::Closure(Box::new(|| panic!("a panic, as the test wants it")))).unwrap();
        pool.push(Job::Closure(Box::new(|| std::panic::panic_any(Grenade)))).unwrap();
        pool.push(job(&BROKEN, 5, Sqe::default(), &replies)).unwrap();
        rest(&pool);
        assert_eq!(pool.counts(), PoolCounts { threads: 1, idle: 1, queued: 0, twins_run: 1, closures_run: 2 });
        assert_eq!(drained(&replies), [Cqe::new(5, -libc::EIO)]);
        assert_eq!(pool.shutdown(LONG), 0);
        let grenade = Grenade;
        assert!(pool.push(Job::Closure(Box::new(move || drop(grenade)))).is_err(), "refused, and its drop contained");
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let (pool, replies) = (Threads::new(1), silent());
        let calls: &'static mut i32 = Box::leak(Box::new(0));
        let sqe = Sqe { addr: calls as *mut i32 as u64, ..Sqe::default() };
        pool.push(job(&RESTLESS, 6, sqe, &replies)).unwrap();
        rest(&pool);
        assert_eq!(drained(&replies), [Cqe::new(6, 0)], "and each time as the first attempt");
    }

    #[test]
    fn ten_thousand_jobs_of_several_pushers_are_done_once_each() {
        let (pool, replies) = (Threads::new(4), silent());
        thread::scope(|scope| {
            for pusher in 0..4 {
                let (pool, replies) = (pool.clone(), &replies);
                scope.spawn(move || (0..2500).for_each(|n| pool.push(echo_job(pusher * 2500 + n, replies)).unwrap()));
            }
        });
        rest(&pool);
        let mut numbers: Vec<u64> = drained(&replies).iter().map(|cqe| cqe.user_data).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
        assert!(pool.counts().threads <= 4);
    }

    #[test]
    fn a_thread_that_cannot_be_made_is_an_error_only_if_there_is_no_other() {
        let (pool, replies, mut pipe) = (Threads::new(2), silent(), pipe().unwrap());
        let impossible = 1 << (usize::BITS - 2);
        pool.0.lock().stack = impossible;
        assert!(pool.push(echo_job(1, &replies)).is_err());
        assert_eq!(pool.counts(), PoolCounts { threads: 0, idle: 0, queued: 0, twins_run: 0, closures_run: 0 });
        pool.0.lock().stack = STACK;
        pool.push(stuck(2, &pipe, &replies)).unwrap();
        pool.0.lock().stack = impossible;
        pool.push(echo_job(3, &replies)).expect("it waits for the thread that is there");
        pipe.1.write_all(&[1]).unwrap();
        rest(&pool);
        assert_eq!(drained(&replies).len(), 2);
    }

    #[test]
    fn the_owner_is_woken_once_and_only_if_it_asked() {
        let wakes = Arc::new(Mutex::new(0));
        let counter = wakes.clone();
        let (pool, replies) = (Threads::new(1), Replies::new(move || *counter.lock().unwrap() += 1));
        let push = |n| {
            pool.push(echo_job(n, &replies)).unwrap();
            rest(&pool);
        };
        push(1);
        assert_eq!(*wakes.lock().unwrap(), 0, "nobody asked");
        assert!(!replies.ask(), "there is something to drain");
        push(2);
        assert_eq!((*wakes.lock().unwrap(), drained(&replies).len()), (0, 2));
        assert!(replies.ask());
        push(3);
        push(4);
        assert_eq!((*wakes.lock().unwrap(), drained(&replies).len()), (1, 2), "one wake for two replies");
        assert!(replies.ask());
        assert!(drained(&replies).is_empty());
        push(5);
        assert_eq!(*wakes.lock().unwrap(), 1, "draining takes the question back");
    }

    #[test]
    fn draining_swaps_two_vectors_and_allocates_nothing() {
        let (pool, replies) = (Threads::new(1), silent());
        let (mut out, mut places) = (Vec::with_capacity(8), Vec::new());
        for n in 0..40 {
            pool.push(echo_job(n, &replies)).unwrap();
            rest(&pool);
            replies.drain(&mut out);
            assert_eq!(out.len(), 1);
            places.push(out.as_ptr());
            out.clear();
        }
        places[2..].sort_unstable();
        let mut steady = places[2..].to_vec();
        steady.dedup();
        assert_eq!(steady.len(), 2, "the same two vectors all the time");
    }
}
