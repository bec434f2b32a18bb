//! What a runtime counts.

use crate::{
    driver::{Counters, Histogram, PoolCounts},
    sys::names::OPCODES,
};
use std::{
    cell::{Cell, RefCell},
    fmt,
    time::Instant,
};

/// Counters of a [`Runtime`](crate::rt::Runtime), since it was built. They wrap, and they cost a plain addition each.
///
/// Printed with `{}`, they are a few lines for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Times the loop let the driver work.
    pub turns: u64,
    /// Polls of tasks and of the main future.
    pub polls: u64,
    /// How many of them were polls of tasks in the [background](crate::task::Class::Background).
    pub background_polls: u64,
    /// How long polls took, in nanoseconds: of those that were measured. Empty unless
    /// [`Builder::poll_time_histogram`](crate::Builder::poll_time_histogram) asked for it.
    pub poll_times: Histogram,
    /// Tasks whose future is not gone yet: a gauge, not a counter.
    pub tasks_alive: usize,
    /// Tasks that wait for their turn now, but for those in the background: a gauge.
    pub runnable: usize,
    /// Tasks in the background that wait for their turn now: a gauge.
    pub runnable_background: usize,
    /// Tasks made by `spawn` and `spawn_blocking`.
    pub tasks_spawned: u64,
    /// Wakes that queued a task from the runtime's own thread.
    pub local_wakes: u64,
    /// Wakes from other threads that had to rouse the sleeping runtime.
    pub remote_wakes_sent: u64,
    /// Wakes from other threads that found it awake.
    pub remote_wakes_elided: u64,
    /// Panics of tasks whose handle was dropped without being awaited.
    pub unawaited_panics: u64,
    /// Closures given to `spawn_blocking`.
    pub blocking_jobs: u64,
    /// What the driver has done: turns of its own, enters, entries by opcode, twins by place.
    pub driver: Counters,
    /// What the pool has and has done.
    pub pool: PoolCounts,
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (driver, pool) = (&self.driver, &self.pool);
        writeln!(
            f,
            "tasks    {} alive, {} spawned, {} panics unheard",
            self.tasks_alive, self.tasks_spawned, self.unawaited_panics
        )?;
        write!(f, "polls    {} in {} turns", self.polls, self.turns)?;
        if let Some((median, rare)) = self.poll_times.quantile(0.5).zip(self.poll_times.quantile(0.99)) {
            write!(f, ", half of them below {}, 99 % below {}", Nanos(*median.end()), Nanos(*rare.end()))?;
        }
        let (sent, elided) = (self.remote_wakes_sent, self.remote_wakes_elided);
        writeln!(f, "\nwakes    {} here, {sent} from other threads, {elided} more while awake", self.local_wakes)?;
        write!(f, "entries  {} on the ring", driver.sqes_total())?;
        let mut used = driver.sqes.iter().zip(OPCODES).filter(|&(&n, _)| n > 0);
        used.try_for_each(|(n, name)| write!(f, ", {name} {n}"))?;
        let (ready, here) = (driver.twins_ready, driver.twins_here);
        writeln!(f, "\ntwins    {here} at once, {ready} when ready, {} on the pool", driver.twins_pool)?;
        write!(f, "answers  {} in {} enters", driver.cqes, driver.enters)?;
        if let Some(median) = driver.batches.quantile(0.5) {
            write!(f, ", half of the batches up to {}", median.end())?;
        }
        writeln!(f, "\nflight   {} operations, {} at most", driver.slots, driver.slots_max)?;
        let (overflows, lost) = (driver.overflows, driver.lost);
        let (backlogged, strays) = (driver.backlogged, driver.strays);
        writeln!(f, "trouble  {overflows} overruns, {lost} lost, {backlogged} backlogged, {strays} strays")?;
        let (threads, idle, queued, slow) = (pool.threads, pool.idle, pool.queued, pool.slow);
        write!(f, "pool     {threads} threads, {idle} idle, {queued} jobs wait, {slow} are slow")
    }
}

/// Nanoseconds in a unit that suits them.
struct Nanos(u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("a long time"),
            n @ 0..10_000 => write!(f, "{n} ns"),
            n @ 10_000..10_000_000 => write!(f, "{} us", n / 1000),
            n => write!(f, "{} ms", n / 1_000_000),
        }
    }
}

/// Measures every so-manieth poll. Between those, and without it, no clock is read.
#[derive(Debug)]
pub(super) struct PollTimes {
    every: u32,
    left: Cell<u32>,
    times: RefCell<Histogram>,
}

impl PollTimes {
    /// Measures each poll whose number is a multiple of `every`, which is not 0.
    pub(super) fn new(every: u32) -> PollTimes {
        PollTimes { every, left: Cell::new(every), times: RefCell::new(Histogram::new()) }
    }

    /// Runs a poll, and measures it if it is its turn.
    pub(super) fn measure<R>(&self, poll: impl FnOnce() -> R) -> R {
        let left = self.left.get() - 1;
        if left > 0 {
            self.left.set(left);
            return poll();
        }
        self.left.set(self.every);
        let began = Instant::now();
        let result = poll();
        let took = began.elapsed().as_nanos();
        self.times.borrow_mut().add(took.try_into().unwrap_or(u64::MAX));
        result
    }

    pub(super) fn times(&self) -> Histogram {
        *self.times.borrow()
    }
}
