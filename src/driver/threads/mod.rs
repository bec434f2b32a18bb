//! The thread pool: where twins run that may block, and `spawn_blocking`'s closures.
//!
//! Threads are made when a job finds none idle, and retire after ten idle seconds. Twins and closures have a queue and
//! a share of the threads each (64 for each runtime, unless the program says otherwise), so neither keeps the other
//! waiting. The queues are first in, first out, and as long as their callers make them: every twin has a slot of its
//! driver, every closure a handle. Jobs in progress cannot be stopped.
//!
//! **Nobody starves behind the stuck**: a twin may wait for ever, in an `open` of a FIFO without a peer, for a lock,
//! for a dead mount. One that has run for a second while others wait counts no longer against its share; up to twice
//! the share are excused so. Closures are not: how many of those run at once is the program's own limit. What cannot
//! move all the same is told on the standard error. All of that is noticed by the driver's turns ([`Threads::tend`]),
//! which look four times a second while jobs wait for threads, and not at all otherwise.
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

mod job;
mod replies;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    driver::{
        batch::quietly,
        sync::{Condvar, Mutex, MutexGuard, thread},
    },
    trace,
};
pub(crate) use job::Job;
pub(crate) use replies::Replies;
use state::{Kind, Stall, State};
use std::{
    cell::Cell,
    io::{self, Write},
    process,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// How many twins, and how many closures, a runtime's pool runs at once unless the program says otherwise.
pub(crate) const MAX_THREADS: usize = 64;
/// A thread's stack in bytes: what the standard library gives by default, because closures expect it.
const STACK: usize = 2 << 20;

/// When the pool does what.
#[derive(Clone, Copy)]
struct Pace {
    /// How long a thread waits for a job before it retires.
    idle: Duration,
    /// How often the owner looks after jobs that wait.
    look: Duration,
    /// How long a job runs before it counts as slow, and a twin as stuck.
    slow: Duration,
    /// How long nothing moves before that is told.
    stall: Duration,
    /// How long after the end of a stall the next one is not told.
    hush: Duration,
}

const PACE: Pace = Pace {
    idle: Duration::from_secs(10),
    look: Duration::from_millis(250),
    slow: Duration::from_secs(1),
    stall: Duration::from_secs(5),
    hush: Duration::from_secs(60),
};

/// A handle on the pool. Dropping the last one stops nothing: what is queued is done, then the threads retire.
#[derive(Clone)]
pub(crate) struct Threads {
    shared: Arc<Shared>,
    /// When to look next; `None` while no job waits for a thread. Only who pushes has to look, so this is the handle's.
    next_look: Cell<Option<Instant>>,
    /// Until when a stall is not told.
    hushed: Cell<Option<Instant>>,
    /// The process that this handle has pushed in, if it has: its threads are there. A forked child would wait for them
    /// in vain.
    process: Cell<Option<u32>>,
}

/// A pool that has no owner whose turns look after it: several push, each by a handle for the moment.
#[derive(Clone)]
pub(crate) struct Common(Arc<Shared>);

impl Common {
    /// See [`Threads::new`].
    pub(crate) fn new(share: usize) -> Common {
        Common(Threads::new(share).shared)
    }

    /// A handle on it.
    pub(crate) fn handle(&self) -> Threads {
        let (next_look, hushed, process) = Default::default();
        Threads { shared: self.0.clone(), next_look, hushed, process }
    }
}

/// What the pool has and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolCounts {
    /// Threads alive, busy or not.
    pub threads: usize,
    /// Threads that wait for a job.
    pub idle: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// For how long the oldest of them has; zero if there is none.
    pub oldest_wait: Duration,
    /// Jobs that have been running for a second or longer: stuck, or simply long.
    pub slow: usize,
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
    pace: Pace,
    /// How many stuck twins may be excused at once.
    excused: usize,
}

impl Threads {
    /// A pool that runs up to `share` twins and as many closures at once (at least one each), and has no thread yet.
    pub(crate) fn new(share: usize) -> Threads {
        Threads::with_pace(share, PACE)
    }

    fn with_pace(share: usize, pace: Pace) -> Threads {
        let share = share.max(1);
        let (work, ended) = Default::default();
        let (state, excused) = (Mutex::new(State::new(share, STACK)), share.saturating_mul(2));
        let (next_look, hushed, process) = Default::default();
        Threads { shared: Arc::new(Shared { state, work, ended, pace, excused }), next_look, hushed, process }
    }

    /// Queues a job.
    ///
    /// # Errors
    /// If the pool was shut down, or has no thread and cannot make one; the job is dropped then and, if it is a twin,
    /// not answered.
    pub(crate) fn push(&self, job: Job) -> io::Result<()> {
        let (kind, now) = (Kind::of(&job), Instant::now());
        if self.process.get().is_none() {
            self.process.set(Some(process::id()));
        }
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            quietly(|| drop(job));
            return Err(io::Error::other("the runtime's thread pool was shut down"));
        }
        state.push(job, now);
        let staffed = self.shared.staff(&mut state);
        if state.runnable() > 0 {
            self.shared.work.notify_one();
        }
        let attended = state.runnable().min(state.idle());
        if state.queued() > attended && self.next_look.get().is_none() {
            self.next_look.set(Some(now + self.shared.pace.look));
        }
        let Err(error) = staffed else { return Ok(()) };
        if state.threads > 0 {
            return Ok(());
        }
        // Threads retire only when nothing is runnable, so without threads the only job is this one.
        let job = state.take_back(kind);
        drop(state);
        quietly(|| drop(job));
        Err(error)
    }

    /// Whether this process has the threads: a forked child has not, and one of them may have had the lock.
    fn is_here(&self) -> bool {
        self.process.get().is_none_or(|process| process == process::id())
    }

    /// Removes a twin that has not been started. It gets no reply: `true` tells the driver to answer it.
    pub(crate) fn cancel(&self, user_data: u64, reply: &Arc<Replies>) -> bool {
        if !self.is_here() {
            return false;
        }
        let removed = self.shared.lock().remove(user_data, reply);
        removed.is_some()
    }

    /// Looks after jobs that wait, and says after what time that has to be done again. `None`: no job waits.
    ///
    /// For the turns of whoever pushes. Where nothing waits, or it was done a moment ago, no lock is taken.
    pub(crate) fn tend(&self) -> Option<Duration> {
        let (due, now, pace) = (self.next_look.get()?, Instant::now(), self.shared.pace);
        if now < due {
            return Some(due - now);
        }
        if !self.is_here() {
            return None;
        }
        let mut state = self.shared.lock();
        if state.queued() == 0 {
            self.next_look.set(None);
            return None;
        }
        state.excuse(now, pace.slow, self.shared.excused);
        // That no thread can be made shows as a stall, if the others do not come to it.
        let _ = self.shared.staff(&mut state);
        self.shared.work.notify_all();
        let stall = state.stall(now, pace.stall);
        drop(state);
        self.next_look.set(Some(now + pace.look));
        if let Some(stall) = stall {
            let hushed = self.hushed.replace(Some(now + pace.hush)).is_some_and(|until| now < until);
            if !hushed {
                tell(stall, pace.stall);
            }
        }
        Some(pace.look)
    }

    /// Refuses new jobs, drops what is queued, and waits until the threads have ended or `deadline` has passed.
    /// Returns how many closures are still running; twins are the driver's to count.
    ///
    /// Queued twins are answered by ECANCELED, queued closures are dropped here. In a forked child nothing is done.
    pub(crate) fn shutdown(&self, deadline: Duration) -> usize {
        if !self.is_here() {
            return 0;
        }
        let mut state = self.shared.lock();
        state.closed = true;
        if state.threads == 0 {
            // Nothing runs, and what was queued got a thread.
            return 0;
        }
        let until = Instant::now().checked_add(deadline);
        let queued = state.clear();
        self.shared.work.notify_all();
        drop(state);
        queued.for_each(Job::refuse);
        let mut state = self.shared.lock();
        while state.threads > 0 {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.running(Some(Kind::Closure))
    }

    /// What the pool has and has done. A forked child has none.
    pub(crate) fn counts(&self) -> PoolCounts {
        if !self.is_here() {
            return PoolCounts::default();
        }
        let now = Instant::now();
        let state = self.shared.lock();
        let (twins_run, closures_run) = state.begun();
        PoolCounts {
            threads: state.threads,
            idle: state.idle(),
            queued: state.queued(),
            oldest_wait: state.oldest_wait(now),
            slow: state.slow(now, self.shared.pace.slow),
            twins_run,
            closures_run,
        }
    }
}

/// Says that nothing moves, and what may be done about it.
fn tell(stall: Stall, limit: Duration) {
    let Stall { kind, running, waiting } = stall;
    let (what, why) = match kind {
        Kind::Twin => ("calls for operations", "is there a FIFO without a peer, a lock that is held, a dead mount?"),
        Kind::Closure => ("closures of spawn_blocking", "do they wait for one another, or for ever?"),
    };
    let text = format!(
        "{waiting} {what} wait for a thread of the pool, and the {running} that run have done so for {limit:?}: {why} \
         Builder::max_blocking_threads allows more"
    );
    trace::warning(&text);
    // Not eprintln: it panics when the other end is closed.
    let _ = writeln!(io::stderr(), "annulus: {text}");
}

impl Shared {
    /// No code of others runs under the lock, so a poisoned one guards a state that is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a thread for every job that may run and would find none idle.
    fn staff(self: &Arc<Shared>, state: &mut State) -> io::Result<()> {
        while state.runnable() > state.idle() {
            self.grow(state)?;
        }
        Ok(())
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
        let mut rested = false;
        loop {
            if let Some((name, job)) = state.begin(Instant::now()) {
                drop(state);
                job.run();
                state = self.lock();
                state.end(name);
                rested = false;
                continue;
            }
            if state.closed || rested {
                break;
            }
            let wait = self.work.wait_timeout(state, self.pace.idle);
            let (woken, waited) = wait.unwrap_or_else(PoisonError::into_inner);
            (state, rested) = (woken, waited.timed_out());
        }
        state.threads -= 1;
        self.ended.notify_all();
    }
}
