//! The place that the included files expect around them.

pub(crate) mod sync {
    //! Loom's atomics.
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
}

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../src/rt/handoff.rs"]
pub(crate) mod handoff;

pub(crate) mod task;
