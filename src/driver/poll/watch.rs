//! What a selector is asked for, and what it answers: the same words for epoll and for kqueue.

use crate::driver::wake::BELL;

/// The token of a selector's alarm: like the bell's, an index that no source has.
pub(super) const ALARM: u64 = BELL | 1 << 32;

/// What to watch a descriptor for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) read: bool,
    pub(super) write: bool,
    /// Once, and then no more until asked again; otherwise from edge to edge.
    pub(super) once: bool,
}

/// What became of a descriptor. An error or a hang-up counts as readiness: the call itself will tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) token: u64,
    pub(super) read: bool,
    pub(super) write: bool,
    /// An end, an error or urgent data, which is more than bytes to read.
    pub(super) odd: bool,
}
