//! Who may touch a ring's maps: the process that made it, and not the children it forks.
//!
//! The maps are `MADV_DONTFORK`, so a child that touched them would die of SIGSEGV, and a child that unmapped them
//! might hit something else that was put there since. A child is recognised without a system call: one page per
//! process, `MADV_WIPEONFORK` (Linux 4.14), holds a number, and the kernel itself makes it zero in a child, however
//! the child was made (`pthread_atfork` sees only `fork(3)`). A child that makes rings of its own writes a number
//! that no ancestor had.

use memmap2::{MmapMut, MmapOptions};
use std::{
    io, ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

/// When a ring was made, in forks.
#[derive(Clone, Copy)]
pub(crate) struct Birth {
    word: &'static AtomicU64,
    number: u64,
}

/// The page, once there is one: null or a leaked map. No lock, because a lock might be held while another thread forks.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// The highest number given out in this process or an ancestor of it.
static LAST: AtomicU64 = AtomicU64::new(0);
/// What is compared where no process matters.
static ZERO: AtomicU64 = AtomicU64::new(0);

impl Birth {
    /// The present process.
    pub(crate) fn now() -> io::Result<Birth> {
        let word = page()?;
        // Relaxed, here and below: a number stands for nothing but itself, and a child begins with one thread.
        let fresh = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let number = match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(number) => number,
        };
        Ok(Birth { word, number })
    }

    /// Whether this is still the process of [`Birth::now`].
    pub(crate) fn is_here(&self) -> bool {
        self.word.load(Ordering::Relaxed) == self.number
    }

    /// The same as a result.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(io::Error::other("a forked child cannot use its parent's ring: make another"))
    }

    /// For memory that a child keeps: always here.
    pub(crate) fn anywhere() -> Birth {
        Birth { word: &ZERO, number: 0 }
    }

    /// For memory that nobody is to touch again: never here.
    pub(crate) fn nowhere() -> Birth {
        Birth { word: &ZERO, number: 1 }
    }
}

/// The process's page; made by the first to ask.
fn page() -> io::Result<&'static AtomicU64> {
    // Acquire pairs with the release of whoever put the page there.
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let mut map = wiped_on_fork()?;
        let ours = map.as_mut_ptr().cast();
        page = match PAGE.compare_exchange(ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                std::mem::forget(map); // for the rest of the process
                ours
            }
            Err(theirs) => theirs,
        };
    }
    // SAFETY: Mapped: a whole zeroed page that is never unmapped; it is only ever used as this atomic.
    Ok(unsafe { &*page })
}

/// A page that reads as zero in a child.
fn wiped_on_fork() -> io::Result<MmapMut> {
    let mut map = MmapOptions::new().len(size_of::<AtomicU64>()).map_anon()?;
    // SAFETY: the advice covers a map made just now; the kernel rounds its length up to the page that it has.
    let failed = unsafe { libc::madvise(map.as_mut_ptr().cast(), map.len(), libc::MADV_WIPEONFORK) };
    if failed == 0 { Ok(map) } else { Err(io::Error::last_os_error()) }
}
