//! The words that the kernel shares.

pub(crate) mod sync {
    //! Loom's atomics.
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

#[allow(dead_code, reason = "the models have words, and no regions")]
#[path = "../../../../src/ring/word.rs"]
mod word;

pub(crate) mod models;
