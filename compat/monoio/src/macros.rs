//! What the macros expand to, and what programs use of it.

pub use scoped_tls::ScopedKey;

/// Scoped values of a thread.
pub mod scoped_tls {
    pub use scoped_tls::ScopedKey;
}

/// Parts of macros.
pub mod support {
    pub use crate::utils::thread_rng_n;
    pub use futures_util::future::{MaybeDone, PollFn, maybe_done, poll_fn};
    pub use std::{future::Future, pin::Pin, task::Poll};
}
