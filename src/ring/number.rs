//! Numbers for what has no other name that lasts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is given out once in a process, and is not 0.
pub(super) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only that the numbers differ matters.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
