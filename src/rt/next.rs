//! What a runtime has to do next, for whoever turns it in a loop of his own.

use crate::driver::Wait;
use std::time::{Duration, Instant};

/// What comes after a [`Runtime::turn`](super::Runtime::turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is something to do: turn again, at once or after the loop's other work.
    Now,
    /// Nothing, until the runtime's descriptor is readable, or until this moment at the latest.
    Until(Instant),
    /// Nothing, until the runtime's descriptor is readable.
    Idle,
}

impl Next {
    pub(super) fn after(wait: Wait) -> Next {
        match wait {
            Wait::Not => Next::Now,
            // A time that the clock cannot say does not come.
            Wait::For(time) => Instant::now().checked_add(time).map_or(Next::Idle, Next::Until),
            Wait::Forever => Next::Idle,
        }
    }

    /// How long the loop may wait for the descriptor, as a timeout of `poll(2)` or `epoll_wait(2)`; `None` means as
    /// long as it likes.
    #[must_use]
    pub fn timeout(self) -> Option<Duration> {
        match self {
            Next::Now => Some(Duration::ZERO),
            Next::Until(time) => Some(time.saturating_duration_since(Instant::now())),
            Next::Idle => None,
        }
    }
}
