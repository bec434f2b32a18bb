//! Odds and ends.

use crate::driver::forced_legacy;
use annulus::DriverKind;

#[cfg(feature = "utils")]
mod bind_to_cpu_set;
#[cfg(feature = "signal")]
mod ctrlc;

#[cfg(feature = "signal")]
pub use self::ctrlc::{CtrlC, CtrlCError};
#[cfg(feature = "utils")]
pub use bind_to_cpu_set::{BindError, bind_to_cpu_set};

/// A number below `n`, quick and good for nothing but fairness; 0 if `n` is.
#[must_use]
pub fn thread_rng_n(n: u32) -> u32 {
    annulus::__private::below(n as usize) as u32
}

/// Whether a runtime on a [`FusionDriver`](crate::FusionDriver) would have the kernel's ring: a ring is made for a
/// moment, and the features and the environment are asked.
#[must_use]
pub fn detect_uring() -> bool {
    !forced_legacy() && annulus::probe().driver().is_ok_and(|driver| driver.kind() == DriverKind::Uring)
}

/// Whether this thread's runtime has the ring in user space.
///
/// # Panics
/// Outside a runtime.
#[must_use]
#[track_caller]
pub fn is_legacy() -> bool {
    annulus::driver().kind() == DriverKind::Poll
}
