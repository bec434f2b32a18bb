//! The types that name drivers. They have no values: the driver is annulus's, and inside of its runtime.

use annulus::DriverKind;
use std::{convert::Infallible, env, io, marker::PhantomData, time::Duration};

/// What a runtime is made over. Nobody has a value of a driver, so that its methods cannot be called; what they would
/// do is done by the runtime.
#[allow(missing_docs, reason = "they cannot be called")]
pub trait Driver {
    type Unpark: unpark::Unpark;
    fn with<R>(&self, f: impl FnOnce() -> R) -> R;
    fn submit(&self) -> io::Result<()>;
    fn park(&self) -> io::Result<()>;
    fn park_timeout(&self, duration: Duration) -> io::Result<()>;
    fn unpark(&self) -> Self::Unpark;
}

pub(crate) mod unpark {
    /// What wakes a driver from another thread.
    #[allow(unreachable_pub, reason = "it is named by a public trait, and nobody else may implement that")]
    pub trait Unpark {
        fn unpark(&self) -> std::io::Result<()>;
    }

    /// Nothing does: there is no driver to wake.
    impl Unpark for std::convert::Infallible {
        fn unpark(&self) -> std::io::Result<()> {
            match *self {}
        }
    }
}

/// Which driver of annulus a type stands for.
#[allow(unreachable_pub, reason = "it is the bound of a public method")]
pub trait Kind {
    const KIND: DriverKind;
}

/// Which driver the arguments of a macro name.
#[allow(missing_docs, unreachable_pub, reason = "macros name it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Uring,
    Legacy,
    Fusion,
}

/// What gets a timer by another type.
#[allow(unreachable_pub, reason = "it is the bound of a public method")]
pub trait TimeWrapable {}

/// A ring of the kernel's.
#[cfg(all(target_os = "linux", feature = "iouring"))]
#[derive(Debug)]
pub struct IoUringDriver(Infallible);

/// A ring in user space, over epoll or kqueue.
#[cfg(feature = "legacy")]
#[derive(Debug)]
pub struct LegacyDriver(Infallible);

/// The kernel's ring where it can be had, and else the other one.
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
#[derive(Debug)]
pub struct FusionDriver(Infallible);

/// A driver with timers, as each of annulus's is.
#[derive(Debug)]
pub struct TimeDriver<D>(Infallible, PhantomData<D>);

macro_rules! impl_driver {
    ($driver:ty $(, $d:ident: $bound:ident)?) => {
        impl$(<$d: $bound>)? Driver for $driver {
            type Unpark = Infallible;

            fn with<R>(&self, _: impl FnOnce() -> R) -> R {
                match self.0 {}
            }

            fn submit(&self) -> io::Result<()> {
                match self.0 {}
            }

            fn park(&self) -> io::Result<()> {
                match self.0 {}
            }

            fn park_timeout(&self, _: Duration) -> io::Result<()> {
                match self.0 {}
            }

            fn unpark(&self) -> Infallible {
                self.0
            }
        }
    };
}

#[cfg(all(target_os = "linux", feature = "iouring"))]
impl_driver!(IoUringDriver);
#[cfg(feature = "legacy")]
impl_driver!(LegacyDriver);
impl_driver!(TimeDriver<D>, D: Driver);

#[cfg(all(target_os = "linux", feature = "iouring"))]
impl Kind for IoUringDriver {
    const KIND: DriverKind = DriverKind::Uring;
}

#[cfg(feature = "legacy")]
impl Kind for LegacyDriver {
    const KIND: DriverKind = DriverKind::Poll;
}

impl<D: Kind> Kind for TimeDriver<D> {
    const KIND: DriverKind = D::KIND;
}

#[cfg(all(target_os = "linux", feature = "iouring"))]
impl TimeWrapable for IoUringDriver {}
#[cfg(feature = "legacy")]
impl TimeWrapable for LegacyDriver {}
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
impl TimeWrapable for FusionDriver {}

/// Whether the package was built without the ring, or the environment asks for the poll driver, as it does with monoio.
pub(crate) fn forced_legacy() -> bool {
    if cfg!(not(all(target_os = "linux", feature = "iouring"))) {
        return true;
    }
    let value = env::var("MONOIO_FORCE_LEGACY_DRIVER").unwrap_or_default();
    matches!(value.to_lowercase().as_str(), "1" | "true" | "yes")
}

/// annulus's builder, with what the features and the environment say of drivers.
pub(crate) fn chosen_by_environment(builder: annulus::Builder) -> annulus::Builder {
    if forced_legacy() { builder.driver(DriverKind::Poll) } else { builder }
}
