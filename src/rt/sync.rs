//! The atomics of [`handoff`](super::handoff) and of the task's state, and the locks of [`blocking`](super::blocking),
//! in one place so that a model checker can put its own there.

pub(super) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence},
};
