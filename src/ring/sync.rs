//! The atomics of [`word`](super::word), in one place so that a model checker can put its own there.

pub(super) use std::sync::atomic::{AtomicU32, Ordering, fence};
