//! The atomics of [`handoff`](super::handoff) and of the task's state, in one place so that a model checker can put its
//! own there.

pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
