//! The ring's table of registered buffers: memory that the kernel has looked up and pinned once, and not for every
//! request.

use crate::{
    entry::BufIndex,
    ring::{IoVec, Ring},
};
use slab::Slab;
use std::{io, ops::Range};

/// The places in a ring's table. It cannot grow: where unregistering waits for requests (before Linux 6.13), a larger
/// one could only be had when none is in flight. So it is made large enough at once, for 8 bytes each in the kernel.
const PLACES: u32 = 1024;

/// Which places are taken.
#[derive(Default)]
pub(super) struct Registered {
    /// It is made when something is registered for the first time.
    is_there: bool,
    taken: Slab<()>,
}

impl Registered {
    /// Puts memory in a free place, and says which.
    ///
    /// # Errors
    /// What the kernel says, and what to do about it.
    ///
    /// # Safety
    /// Lent: the memory may be written to, and stays mapped until [`Registered::remove`].
    pub(super) unsafe fn insert(&mut self, ring: &Ring, memory: Range<*mut u8>) -> io::Result<u16> {
        if !self.is_there {
            ring.register_buffers_sparse(PLACES).map_err(explain)?;
            self.is_there = true;
        }
        let place = self.taken.vacant_entry();
        let Some(index) = u16::try_from(place.key()).ok().filter(|&index| u32::from(index) < PLACES) else {
            let why = format!("a runtime's ring knows {PLACES} parts of memory at most: make fewer, larger pools");
            return Err(io::Error::other(why));
        };
        let memory = IoVec::new(memory.start, memory.end.addr().saturating_sub(memory.start.addr()));
        // SAFETY: Lent: the memory stays mapped until `remove`; no entry names the place before it is told.
        unsafe { ring.update_buffers(BufIndex(index), &[memory], &[]) }.map_err(explain)?;
        place.insert(());
        Ok(index)
    }

    /// Takes memory out that no operation uses any more. A place that the kernel would not clear is not used again.
    pub(super) fn remove(&mut self, ring: &Ring, index: u16) {
        if ring.remove_buffer(BufIndex(index)).is_ok() {
            self.taken.try_remove(index.into());
        }
    }
}

/// The answer where there is no table.
pub(super) fn no_table() -> io::Error {
    let why = "this kernel has no table of registered buffers that can be filled later; Linux 5.19 has";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// The kernel's refusal in words.
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EINVAL) => no_table(),
        Some(libc::ENOMEM) => {
            let why = "the kernel may not lock so much memory (ENOMEM): raise RLIMIT_MEMLOCK (`ulimit -l`, \
                       `LimitMEMLOCK=`), or make a smaller pool";
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        }
        _ => error,
    }
}
