//! A part of a pool's memory: one map, and one place in the ring's table.

use crate::{driver::Driver, sys::unix};
use memmap2::{MmapOptions, MmapRaw};
use std::{io, ptr::NonNull, rc::Rc};

/// The most that the kernel registers in one piece.
pub(super) const MOST: usize = 1 << 30;

/// The pages of a pool's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Pages {
    /// The system's usual ones.
    Usual,
    /// Usual ones, of which the kernel was asked to make huge ones (`MADV_HUGEPAGE`) where it can. How far it could is
    /// in `/proc/self/smaps`, as `AnonHugePages`.
    Preferred,
    /// Huge ones of 2 MiB, which the system had set aside (`vm.nr_hugepages`).
    Huge,
}

/// Memory that stays where it is.
pub(super) struct Arena {
    map: MmapRaw,
    pages: Pages,
    /// Where it is in the table of the driver's ring, or why it is not.
    place: io::Result<u16>,
    driver: Rc<Driver>,
}

impl Arena {
    /// `len` bytes, registered with the driver's ring if that is to be had.
    ///
    /// # Errors
    /// `ENOMEM` when there is no memory.
    pub(super) fn new(len: usize, huge: bool, driver: &Rc<Driver>) -> io::Result<Arena> {
        let (map, pages) = if huge { map_huge(len)? } else { (map(len)?, Pages::Usual) };
        // Where that is refused, a child has copies.
        let _ = unix::wipe_on_fork(&map);
        let start = map.as_mut_ptr();
        // SAFETY: Lent: an anonymous map can be written to, and it is unmapped by the drop, after `unregister`.
        let place = unsafe { driver.register(start..start.wrapping_add(map.len())) };
        Ok(Arena { map, pages, place, driver: driver.clone() })
    }

    /// The byte at `offset`.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.map.len(), "annulus: a buffer outside of its arena");
        NonNull::new(self.map.as_mut_ptr().wrapping_add(offset)).expect("mmap gives no null")
    }

    pub(super) fn pages(&self) -> Pages {
        self.pages
    }

    pub(super) fn place(&self) -> Result<u16, &io::Error> {
        self.place.as_ref().copied()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Ok(index) = self.place {
            self.driver.unregister(index);
        }
    }
}

fn map(len: usize) -> io::Result<MmapRaw> {
    Ok(MmapOptions::new().len(len).map_anon()?.into())
}

/// Memory of the largest pages that there are for it.
fn map_huge(len: usize) -> io::Result<(MmapRaw, Pages)> {
    let whole = len.next_multiple_of(unix::HUGE);
    if let Ok(map) = unix::map_huge(whole) {
        return Ok((map, Pages::Huge));
    }
    let map = map(whole)?;
    let pages = if unix::prefer_huge(&map).is_ok() { Pages::Preferred } else { Pages::Usual };
    Ok((map, pages))
}
