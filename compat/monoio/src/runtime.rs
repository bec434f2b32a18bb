//! Runtimes, by the names of their drivers.

use crate::Driver;
use std::{fmt, future::Future, marker::PhantomData};

/// A runtime of one thread on the driver `D`.
pub struct Runtime<D> {
    annulus: annulus::Runtime,
    driver: PhantomData<D>,
}

impl<D> Runtime<D> {
    pub(crate) fn new(annulus: annulus::Runtime) -> Runtime<D> {
        Runtime { annulus, driver: PhantomData }
    }

    /// Runs `future` until it is ready, and the runtime's tasks as long as that takes.
    ///
    /// # Panics
    /// If `future` does, and inside of another runtime.
    #[track_caller]
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output
    where
        D: Driver,
    {
        self.annulus.block_on(future)
    }
}

impl<D> fmt::Debug for Runtime<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.annulus.fmt(f)
    }
}

/// A runtime on the driver that was found.
#[cfg(all(target_os = "linux", feature = "iouring", feature = "legacy"))]
#[derive(Debug)]
pub enum FusionRuntime<L, R> {
    /// On the kernel's ring.
    Uring(Runtime<L>),
    /// On epoll.
    Legacy(Runtime<R>),
}

/// A runtime on the driver that was found.
#[cfg(all(target_os = "linux", feature = "iouring", not(feature = "legacy")))]
#[derive(Debug)]
pub enum FusionRuntime<L> {
    /// On the kernel's ring.
    Uring(Runtime<L>),
}

/// A runtime on the driver that was found.
#[cfg(all(feature = "legacy", not(all(target_os = "linux", feature = "iouring"))))]
#[derive(Debug)]
pub enum FusionRuntime<R> {
    /// On epoll or kqueue.
    Legacy(Runtime<R>),
}

#[cfg(all(target_os = "linux", feature = "iouring", feature = "legacy"))]
mod both {
    use super::*;
    use crate::{IoUringDriver, LegacyDriver, time::TimeDriver};
    use annulus::DriverKind;

    impl<L: Driver, R: Driver> FusionRuntime<L, R> {
        /// [`Runtime::block_on`].
        ///
        /// # Panics
        /// As there.
        #[track_caller]
        pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
            match self {
                FusionRuntime::Uring(runtime) => runtime.block_on(future),
                FusionRuntime::Legacy(runtime) => runtime.block_on(future),
            }
        }
    }

    impl<L, R> From<annulus::Runtime> for FusionRuntime<L, R> {
        fn from(annulus: annulus::Runtime) -> FusionRuntime<L, R> {
            match annulus.driver().kind() {
                DriverKind::Uring => FusionRuntime::Uring(Runtime::new(annulus)),
                _ => FusionRuntime::Legacy(Runtime::new(annulus)),
            }
        }
    }

    type Plain = FusionRuntime<IoUringDriver, LegacyDriver>;
    type Timed = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

    impl From<Runtime<IoUringDriver>> for Plain {
        fn from(runtime: Runtime<IoUringDriver>) -> Plain {
            FusionRuntime::Uring(runtime)
        }
    }

    impl From<Runtime<LegacyDriver>> for Plain {
        fn from(runtime: Runtime<LegacyDriver>) -> Plain {
            FusionRuntime::Legacy(runtime)
        }
    }

    impl From<Runtime<TimeDriver<IoUringDriver>>> for Timed {
        fn from(runtime: Runtime<TimeDriver<IoUringDriver>>) -> Timed {
            FusionRuntime::Uring(runtime)
        }
    }

    impl From<Runtime<TimeDriver<LegacyDriver>>> for Timed {
        fn from(runtime: Runtime<TimeDriver<LegacyDriver>>) -> Timed {
            FusionRuntime::Legacy(runtime)
        }
    }
}

/// One driver's name alone. annulus has both all the same: the variant is the one there is.
#[allow(unused_macros, reason = "there may be both")]
macro_rules! alone {
    ($variant:ident) => {
        impl<D: Driver> FusionRuntime<D> {
            /// [`Runtime::block_on`].
            ///
            /// # Panics
            /// As there.
            #[track_caller]
            pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
                let FusionRuntime::$variant(runtime) = self;
                runtime.block_on(future)
            }
        }

        impl<D> From<annulus::Runtime> for FusionRuntime<D> {
            fn from(annulus: annulus::Runtime) -> FusionRuntime<D> {
                FusionRuntime::$variant(Runtime::new(annulus))
            }
        }

        impl<D> From<Runtime<D>> for FusionRuntime<D> {
            fn from(runtime: Runtime<D>) -> FusionRuntime<D> {
                FusionRuntime::$variant(runtime)
            }
        }
    };
}

#[cfg(all(target_os = "linux", feature = "iouring", not(feature = "legacy")))]
alone!(Uring);
#[cfg(all(feature = "legacy", not(all(target_os = "linux", feature = "iouring"))))]
alone!(Legacy);
