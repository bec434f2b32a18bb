//! The place that the included files expect around them.

pub(crate) mod sync {
    //! Loom's atomics and locks.
    pub(crate) use loom::sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence},
    };
}

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../src/rt/handoff.rs"]
pub(crate) mod handoff;

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../src/rt/blocking.rs"]
pub(crate) mod blocking;

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../src/rt/elsewhere.rs"]
mod elsewhere;

pub(crate) mod remote {
    //! The half of a runtime that counts the panics which nobody awaits.
    use super::task::{About, JoinError};
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    pub(crate) struct Remote(pub(crate) AtomicUsize);

    impl Remote {
        pub(crate) fn is_here(&self) -> bool {
            true
        }

        pub(crate) fn unawaited_panic(&self, _: &About, error: &JoinError) {
            assert!(error.is_panic());
            self.0.fetch_add(1, Relaxed);
        }
    }
}

pub(crate) mod spawn {
    //! No model spawns.
    use super::task::JoinHandle;

    pub(crate) struct Builder;

    impl Builder {
        pub(crate) fn new() -> Builder {
            Builder
        }

        pub(crate) fn spawn_blocking<F, R>(self, _: F) -> JoinHandle<R> {
            unreachable!("there is no runtime here")
        }
    }
}

pub(crate) mod answers;
pub(crate) mod task;
