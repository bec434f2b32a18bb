//! A ring's memory: the two maps that the kernel gives, both queues in one and the entries in the other, or memory that
//! the kernel was given.

use super::{fork::Birth, layout::Layout, memory::Place, word::Region};
use crate::sys;
use memmap2::{Advice, MmapOptions, MmapRaw};
use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::NonNull,
};

/// A ring's memory. Each map of the kernel's holds a reference to the ring, so the maps go before the descriptor:
/// closing it while they live would leave the ring running.
pub(crate) struct Maps {
    rings: Region,
    sqes: Region,
    /// What is unmapped in the end; nothing of the caller's.
    own: [Option<MmapRaw>; 2],
    birth: Birth,
}

impl Maps {
    /// Maps what `layout` describes.
    pub(crate) fn new(fd: BorrowedFd<'_>, layout: &Layout, birth: Birth) -> io::Result<Maps> {
        let rings = map(fd, sys::IORING_OFF_SQ_RING.into(), layout.ring_len)?;
        let sqes = map(fd, sys::IORING_OFF_SQES.into(), layout.sqes_len)?;
        Ok(Maps { rings: region(&rings), sqes: region(&sqes), own: [Some(rings), Some(sqes)], birth })
    }

    /// Takes over what the kernel was given, if what `layout` describes is inside.
    pub(crate) fn given(place: Place, layout: &Layout, birth: Birth) -> io::Result<Maps> {
        if layout.ring_len > place.rings.len() || layout.sqes_len > place.sqes.len() {
            let why = "the kernel put the queues over the end of the memory that it was given";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(Maps { rings: place.rings, sqes: place.sqes, own: [place.own, None], birth })
    }

    /// Both queues. Mapped until `self` is dropped.
    pub(crate) fn rings(&self) -> Region {
        self.rings
    }

    /// The entries. Mapped until `self` is dropped.
    pub(crate) fn sqes(&self) -> Region {
        self.sqes
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        if !self.birth.is_here() {
            // A child has no such maps; something else may be at their addresses by now.
            mem::forget(mem::take(&mut self.own));
        }
    }
}

/// `MAP_SHARED | MAP_POPULATE`, and gone in a child.
pub(super) fn map(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<MmapRaw> {
    let map = MmapOptions::new().offset(offset).len(len).populate().map_raw(fd.as_raw_fd())?;
    map.advise(Advice::DontFork)?;
    Ok(map)
}

fn region(map: &MmapRaw) -> Region {
    let base = NonNull::new(map.as_mut_ptr()).expect("mmap gives no null");
    // SAFETY: Mapped: a map is page-aligned, readable, writable and given out as raw memory only; whoever keeps the
    // region keeps the maps.
    unsafe { Region::new(base, map.len()) }
}
