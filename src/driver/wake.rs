//! Waking a driver from afar.

#[cfg(not(annulus_kqueue))]
mod kernel;
#[cfg(annulus_kqueue)]
mod user_event;

#[cfg(not(annulus_kqueue))]
use kernel::Bell;
#[cfg(not(annulus_kqueue))]
pub(super) use kernel::DEAF;
use std::{io, sync::Arc};
#[cfg(annulus_kqueue)]
use user_event::Bell;

/// The token of a driver's own bell: an index that no source has.
pub(super) const BELL: u64 = u32::MAX as u64;

/// The remote end of a driver's sleep: makes a blocked turn return, or else the next one.
///
/// A descriptor that it has is its own, together with the driver, and a ring's number is taken away from it before the
/// ring closes. So ringing after the driver is gone is harmless: no number that it has can have become somebody else's.
#[derive(Clone, Debug)]
pub(crate) struct WakeHandle(Arc<Bell>);

impl WakeHandle {
    pub(crate) fn new() -> io::Result<WakeHandle> {
        Ok(WakeHandle(Arc::new(Bell::new()?)))
    }

    /// Rings. Two rings before an answer count as one.
    pub(crate) fn wake(&self) {
        self.0.ring();
    }

    /// Whether this is the process whose driver it is, and not a child that was forked since.
    pub(crate) fn is_here(&self) -> bool {
        self.0.is_here()
    }

    /// The same as a result.
    pub(crate) fn check_here(&self) -> io::Result<()> {
        let refusal = || io::Error::other("a forked child cannot use its parent's runtime: make another");
        if self.is_here() { Ok(()) } else { Err(refusal()) }
    }

    /// Takes back all rings so far.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
