//! The twin: what an entry means, spelled as an ordinary system call.

use crate::{entry::Sqe, sys::unix::ETIME};

/// The ordinary system call that performs the same [`Sqe`].
///
/// A twin is a plain function over plain data: it runs no user code, so it may run on any thread, and its safety
/// argument is word for word the kernel's: somebody else reads and writes the memory until completion.
#[derive(Debug)]
pub struct Twin {
    /// Where the call may run.
    pub place: Place,
    /// Performs what the entry says and returns what the completion's `res` would hold: a result or `-errno`.
    ///
    /// `attempt` is 0 at first and grows with each call after a wait: connect's second call asks for the outcome.
    ///
    /// # Safety
    /// The memory and descriptors that the entry names obey the Lent invariant during the call.
    pub call: unsafe fn(&Sqe, attempt: u32) -> i32,
    /// The twin to go on with when this one answers `EOPNOTSUPP`: a descriptor that cannot promise not to block.
    pub otherwise: Option<&'static Twin>,
    /// The twin that may have the answer sooner than one that may block, if the descriptor is known to keep what a read
    /// gives: it does not block, and answers `EOPNOTSUPP` when it has done nothing. The
    /// entry's `off` is a place in the descriptor's file, or `u64::MAX`.
    pub sooner: Option<&'static Twin>,
}

impl Twin {
    /// A call that does not block.
    #[must_use]
    pub const fn here(call: unsafe fn(&Sqe, u32) -> i32) -> Twin {
        Twin { place: Place::Here, call, otherwise: None, sooner: None }
    }

    /// A call that answers `EAGAIN` instead of blocking, to be repeated when there is `interest`.
    #[must_use]
    pub const fn ready(interest: Interest, call: unsafe fn(&Sqe, u32) -> i32) -> Twin {
        Twin { place: Place::Ready(interest), call, otherwise: None, sooner: None }
    }

    /// A call that may block.
    #[must_use]
    pub const fn pool(call: unsafe fn(&Sqe, u32) -> i32) -> Twin {
        Twin { place: Place::Pool, call, otherwise: None, sooner: None }
    }

    /// A call that answers `EAGAIN` instead of blocking, and whose descriptor cannot tell when to repeat it.
    #[must_use]
    pub const fn retry(call: unsafe fn(&Sqe, u32) -> i32) -> Twin {
        Twin { place: Place::Retry, call, otherwise: None, sooner: None }
    }

    /// No call at all, but a time to pass.
    #[must_use]
    pub const fn timer() -> Twin {
        Twin { place: Place::Timer, call: |_, _| -ETIME, otherwise: None, sooner: None }
    }

    /// The same, with another to go on with at `EOPNOTSUPP`.
    #[must_use]
    pub const fn or(mut self, otherwise: &'static Twin) -> Twin {
        self.otherwise = Some(otherwise);
        self
    }

    /// The same, after one that may have the answer sooner.
    ///
    /// # Panics
    /// If that may wait.
    #[must_use]
    pub const fn after(mut self, sooner: &'static Twin) -> Twin {
        assert!(matches!(sooner.place, Place::Here));
        self.sooner = Some(sooner);
        self
    }
}

/// Where a twin may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the driver's own thread: the call does not block.
    Here,
    /// On the driver's own thread: the call does not block, and on `EAGAIN` it is repeated when the descriptor is
    /// ready.
    Ready(Interest),
    /// On the driver's own thread: the call does not block, and on `EAGAIN` it is repeated after a pause, of a
    /// millisecond at first and a tenth of a second at last.
    Retry,
    /// Nowhere: the driver lets the time pass that a `__kernel_timespec` at the entry's `addr` says, and then makes
    /// the call for the answer.
    Timer,
    /// On a thread of the pool: the call may block.
    Pool,
}

/// The readiness that a twin waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Until the descriptor can be read, or a peer has gone.
    Read,
    /// Until the descriptor can be written, or a peer has gone.
    Write,
}
