//! A bell that is a counter in the kernel, which any backend can watch.

use super::WakeHandle;
use crate::sys::linux;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, RawFd},
};

#[derive(Debug)]
pub(super) struct Bell(File);

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell(File::from(linux::eventfd()?)))
    }

    pub(super) fn ring(&self) {
        // A full counter (EAGAIN) rings just as well, and there is no other way to fail that could be mended here.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    pub(super) fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl WakeHandle {
    /// What a backend watches for readability.
    pub(crate) fn raw(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}
