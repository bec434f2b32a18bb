//! What a runtime counts.

use crate::driver::{Counters, PoolCounts};

/// Counters of a [`Runtime`](crate::rt::Runtime), since it was built. They wrap, and they cost a plain addition each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Times the loop let the driver work.
    pub turns: u64,
    /// Polls of tasks and of the main future.
    pub polls: u64,
    /// Tasks whose future is not gone yet: a gauge, not a counter.
    pub tasks_alive: usize,
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
