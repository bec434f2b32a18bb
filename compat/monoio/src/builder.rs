//! How a runtime is to be.

#[cfg(all(target_os = "linux", feature = "iouring"))]
use crate::IoUringDriver;
#[cfg(feature = "legacy")]
use crate::LegacyDriver;
use crate::{
    Driver, Runtime,
    blocking::{BlockingStrategy, ThreadPool},
    driver::{Kind, TimeDriver, TimeWrapable},
};
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
use crate::{FusionDriver, FusionRuntime, driver::chosen_by_environment};
use std::{fmt, io, marker::PhantomData};

/// Makes a runtime on the driver `D`.
#[must_use = "a builder does nothing until `build`"]
pub struct RuntimeBuilder<D> {
    annulus: annulus::Builder,
    driver: PhantomData<D>,
}

/// Drivers that a runtime can be made over.
pub trait Buildable: Sized {
    /// Makes the runtime, on the thread that will run it.
    ///
    /// # Errors
    /// If the driver cannot be had here.
    fn build(this: RuntimeBuilder<Self>) -> io::Result<Runtime<Self>>;
}

impl<D> Default for RuntimeBuilder<D> {
    fn default() -> RuntimeBuilder<D> {
        RuntimeBuilder::new()
    }
}

impl<D> RuntimeBuilder<D> {
    /// 1024 entries, and closures that block on threads of the runtime's own.
    pub fn new() -> RuntimeBuilder<D> {
        RuntimeBuilder { annulus: annulus::Builder::new().cached_reads(false), driver: PhantomData }
    }

    /// How many entries the ring's submission queue has: 256 at least.
    pub fn with_entries(mut self, entries: u32) -> RuntimeBuilder<D> {
        self.annulus = self.annulus.entries(entries.max(256));
        self
    }

    /// Has `pool` run what [`spawn_blocking`](crate::spawn_blocking) is given.
    pub fn attach_thread_pool(mut self, pool: Box<dyn ThreadPool + Send + 'static>) -> RuntimeBuilder<D> {
        self.annulus = self.annulus.blocking_pool(annulus::rt::pool_fn(move |task| {
            pool.schedule_task(task);
            Ok(())
        }));
        self
    }

    /// What [`spawn_blocking`](crate::spawn_blocking) does without a pool. Unless it is said here, closures run on
    /// threads of the runtime's own, which keeps nobody waiting.
    pub fn with_blocking_strategy(mut self, strategy: BlockingStrategy) -> RuntimeBuilder<D> {
        self.annulus = self.annulus.blocking_strategy(strategy.into());
        self
    }

    /// Takes how the crate io-uring would make a ring, and does nothing with it: annulus has a ring of its own, and asks
    /// for the best setup that there is.
    ///
    /// ```
    /// # #![allow(deprecated)]
    /// let mut ring = monoio::IoUring::builder();
    /// ring.setup_sqpoll(1000);
    /// let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring);
    /// ```
    #[cfg(all(target_os = "linux", feature = "iouring", feature = "io-uring"))]
    #[deprecated(note = "annulus makes its ring itself, and asks for the best setup that there is: leave the call out")]
    pub fn uring_builder(self, _ring: io_uring::Builder) -> RuntimeBuilder<D> {
        self
    }

    fn with_driver<T>(self) -> RuntimeBuilder<T> {
        RuntimeBuilder { annulus: self.annulus, driver: PhantomData }
    }
}

impl<D: TimeWrapable> RuntimeBuilder<D> {
    /// Changes the type, and nothing else: there are always timers.
    pub fn enable_all(self) -> RuntimeBuilder<TimeDriver<D>> {
        self.with_driver()
    }

    /// Changes the type, and nothing else: there are always timers.
    pub fn enable_timer(self) -> RuntimeBuilder<TimeDriver<D>> {
        self.with_driver()
    }
}

impl<D: Driver + Kind> Buildable for D {
    fn build(this: RuntimeBuilder<D>) -> io::Result<Runtime<D>> {
        this.annulus.driver(D::KIND).build().map(Runtime::new)
    }
}

/// `build` as a method, for each type that has it in monoio.
#[allow(unused_macros, reason = "there may be no driver's name")]
macro_rules! build {
    ($($driver:ty => $runtime:ty: $build:expr;)*) => {$(
        impl RuntimeBuilder<$driver> {
            /// Makes the runtime, on the thread that will run it.
            ///
            /// # Errors
            /// If the driver cannot be had here.
            pub fn build(self) -> io::Result<$runtime> {
                $build(self)
            }
        }
    )*};
}

#[cfg(all(target_os = "linux", feature = "iouring"))]
build! {
    IoUringDriver => Runtime<IoUringDriver>: Buildable::build;
    TimeDriver<IoUringDriver> => Runtime<TimeDriver<IoUringDriver>>: Buildable::build;
}

#[cfg(feature = "legacy")]
build! {
    LegacyDriver => Runtime<LegacyDriver>: Buildable::build;
    TimeDriver<LegacyDriver> => Runtime<TimeDriver<LegacyDriver>>: Buildable::build;
}

#[cfg(all(target_os = "linux", feature = "iouring", feature = "legacy"))]
build! {
    FusionDriver => FusionRuntime<IoUringDriver, LegacyDriver>: fusion;
    TimeDriver<FusionDriver> => FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>: fusion;
}

#[cfg(all(target_os = "linux", feature = "iouring", not(feature = "legacy")))]
build! {
    FusionDriver => FusionRuntime<IoUringDriver>: fusion;
    TimeDriver<FusionDriver> => FusionRuntime<TimeDriver<IoUringDriver>>: fusion;
}

#[cfg(all(feature = "legacy", not(all(target_os = "linux", feature = "iouring"))))]
build! {
    FusionDriver => FusionRuntime<LegacyDriver>: fusion;
    TimeDriver<FusionDriver> => FusionRuntime<TimeDriver<LegacyDriver>>: fusion;
}

/// The driver that the environment names, or the best there is.
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
fn fusion<D, R: From<annulus::Runtime>>(builder: RuntimeBuilder<D>) -> io::Result<R> {
    chosen_by_environment(builder.annulus).build().map(R::from)
}

impl<D> fmt::Debug for RuntimeBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.annulus.fmt(f)
    }
}
