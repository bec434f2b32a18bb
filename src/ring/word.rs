//! Memory shared with the kernel: regions, and the 32-bit words that both sides read and write.
//!
//! Two invariants of `annulus::ring` live here. **Laid out**: an offset comes from a checked
//! [`Layout`](super::layout::Layout), so it is aligned, inside its region and overlaps nothing. **Mapped**: a region
//! outlives every [`Word`] made from it; a `Ring` keeps its maps until its queues are gone, and a forked child, which
//! has no maps, stops at its [`Birth`](super::fork::Birth) before it comes here. No reference to memory that the
//! kernel writes is ever made, except to an atomic.

use super::sync::{AtomicU32, Ordering, fence};
use std::ptr::NonNull;

/// A stretch of memory that somebody else writes too.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

impl Region {
    /// The `len` bytes from `base`.
    ///
    /// # Safety
    /// Mapped: they stay readable and writable while this region or anything made from it is used, are aligned to 8
    /// bytes, and nobody holds a Rust reference to them.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize) -> Region {
        Region { base, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the byte at `offset`, at most one past the end.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.len, "the layout and its map disagree");
        // SAFETY: Laid out: just checked that it stays inside the region.
        unsafe { self.base.add(offset) }
    }

    /// The `len` bytes from `offset`.
    pub(crate) fn part(&self, offset: usize, len: usize) -> Region {
        assert!(self.len.checked_sub(offset).is_some_and(|rest| len <= rest), "a part lies inside its whole");
        Region { base: self.at(offset), len }
    }

    /// The control word at `offset`.
    ///
    /// # Safety
    /// Mapped: for as long as the word is used. Laid out: a control word is at `offset`.
    pub(crate) unsafe fn word(&self, offset: u32) -> Word {
        Word(self.at(offset as usize).cast())
    }
}

/// A control word of a queue. Each method says whom it pairs with.
#[derive(Clone, Copy)]
pub(crate) struct Word(NonNull<AtomicU32>);

impl Word {
    /// A word of our own, where the kernel shares none.
    ///
    /// # Safety
    /// Mapped: `word` stays where it is for as long as this is used.
    pub(crate) unsafe fn over(word: &AtomicU32) -> Word {
        Word(NonNull::from(word))
    }

    fn get(&self) -> &AtomicU32 {
        // SAFETY: Mapped and Laid out, by the contract of `Region::word`; an atomic may be written by others.
        unsafe { self.0.as_ref() }
    }

    /// A position that the kernel moves. Acquire: pairs with the kernel's release store, so that completions up to a
    /// tail can be read, and entries up to a head written over.
    pub(crate) fn moved(&self) -> u32 {
        self.get().load(Ordering::Acquire)
    }

    /// A position that we move. Release: pairs with the kernel's acquire load, so that entries up to a tail are
    /// written, and completions up to a head read, before it sees this.
    pub(crate) fn publish(&self, position: u32) {
        self.get().store(position, Ordering::Release);
    }

    /// A hint or a counter. Relaxed: no other memory is read because of it; whoever acts on it enters the kernel.
    pub(crate) fn peek(&self) -> u32 {
        self.get().load(Ordering::Relaxed)
    }

    /// Says something that the kernel asks for after it has moved its tail, and before whoever calls looks at that. The
    /// fence (SeqCst) pairs with the kernel's full barrier between the two: either it hears this, or we see its tail.
    pub(crate) fn say(&self, bits: u32) {
        self.get().store(bits, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes back or gives a hint of the kernel's, which it sets and clears bit by bit. Acquire: whoever takes it back
    /// enters the kernel next, to look for what it stood for. If that look came first, a hint that the kernel sets in
    /// between would be taken back unanswered.
    pub(crate) fn hint(&self, bits: u32, on: bool) {
        match on {
            true => self.get().fetch_or(bits, Ordering::Acquire),
            false => self.get().fetch_and(!bits, Ordering::Acquire),
        };
    }

    /// A hint that the kernel sets before it looks at our tail a last time. The fence (SeqCst) pairs with the kernel's
    /// full barrier between the two: either it sees the tail published before, or we see its hint.
    pub(crate) fn peek_after_publish(&self) -> u32 {
        fence(Ordering::SeqCst);
        self.peek()
    }
}
