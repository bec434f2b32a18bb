//! The two maps of a ring: both queues in one, the entries in the other.

use super::{fork::Birth, layout::Layout, word::Region};
use crate::sys;
use memmap2::{Advice, MmapOptions, MmapRaw};
use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::NonNull,
};

/// A ring's memory. Each map holds a reference to the ring, so the maps go before the descriptor: closing it while
/// they live would leave the ring running.
pub(crate) struct Maps {
    rings: Option<MmapRaw>,
    sqes: Option<MmapRaw>,
    birth: Birth,
}

impl Maps {
    /// Maps what `layout` describes.
    pub(crate) fn new(fd: BorrowedFd<'_>, layout: &Layout, birth: Birth) -> io::Result<Maps> {
        let rings = map(fd, sys::IORING_OFF_SQ_RING.into(), layout.ring_len)?;
        let sqes = map(fd, sys::IORING_OFF_SQES.into(), layout.sqes_len)?;
        Ok(Maps { rings: Some(rings), sqes: Some(sqes), birth })
    }

    /// Both queues. Mapped until `self` is dropped.
    pub(crate) fn rings(&self) -> Region {
        region(&self.rings)
    }

    /// The entries. Mapped until `self` is dropped.
    pub(crate) fn sqes(&self) -> Region {
        region(&self.sqes)
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            // A child has no such maps; something else may be at their addresses by now.
            mem::forget(self.rings.take());
            mem::forget(self.sqes.take());
        }
    }
}

/// `MAP_SHARED | MAP_POPULATE`, and gone in a child.
pub(super) fn map(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<MmapRaw> {
    let map = MmapOptions::new().offset(offset).len(len).populate().map_raw(fd.as_raw_fd())?;
    map.advise(Advice::DontFork)?;
    Ok(map)
}

fn region(map: &Option<MmapRaw>) -> Region {
    let map = map.as_ref().expect("the maps stay until the drop");
    let base = NonNull::new(map.as_mut_ptr()).expect("mmap gives no null");
    // SAFETY: Mapped: a map is page-aligned, readable, writable and given out as raw memory only; whoever keeps the
    // region keeps the maps.
    unsafe { Region::new(base, map.len()) }
}
