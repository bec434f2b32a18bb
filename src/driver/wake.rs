//! Waking a driver from afar.

use crate::sys::unix;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
};

/// The remote end of a driver's sleep: makes a blocked turn return, or else the next one.
///
/// It owns the descriptor together with the driver, so ringing after the driver is gone is harmless: the number cannot
/// have become somebody else's.
#[derive(Clone, Debug)]
pub(crate) struct WakeHandle(Arc<File>);

impl WakeHandle {
    pub(crate) fn new() -> io::Result<WakeHandle> {
        Ok(WakeHandle(Arc::new(File::from(unix::eventfd()?))))
    }

    /// Rings. Two rings before an answer count as one.
    pub(crate) fn wake(&self) {
        // A full counter (EAGAIN) rings just as well, and there is no other way to fail that could be mended here.
        let _ = (&*self.0).write(&1u64.to_ne_bytes());
    }

    /// Takes back all rings so far.
    pub(crate) fn clear(&self) {
        let _ = (&*self.0).read(&mut [0; 8]);
    }

    /// What a backend watches for readability.
    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
