//! When a task has its turn.

/// Which of a runtime's two queues a task waits in.
///
/// A runtime first runs what is [`Latency`](Class::Latency), and then as much of what is
/// [`Background`](Class::Background) as its share of the time allows
/// ([`Builder::background_share`](crate::Builder::background_share)): when both have more to do than there is time,
/// each has its share, and when one is idle the other has everything. A class is about who runs next, not about what
/// was begun: a poll that takes long keeps everybody waiting, whatever its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// For whoever is waited for: requests, their answers, timers that matter.
    #[default]
    Latency,
    /// For what can wait: compaction, statistics, the filling of caches.
    Background,
}
