//! The refill ring of zero-copy receive: we write entries and move the tail, the kernel reads them and moves the head.

use super::{
    index::Index,
    layout::{LayoutError, Span, check_spans},
    word::{Region, Word},
};
use crate::sys::{io_uring_zcrx_offsets, io_uring_zcrx_rqe};
use memmap2::{MmapOptions, MmapRaw};
use std::{
    io,
    mem::{align_of, size_of},
    ptr::NonNull,
};

/// What stands before the entries is much smaller than this, on every machine.
const HEADER: usize = 4096;

/// Our end of a refill ring.
pub(crate) struct Refill {
    entries: NonNull<u8>,
    mask: u32,
    head: Word,
    tail: Word,
    /// Where the tail is; nobody else writes it.
    next: Index,
    /// What the words and the entries lie in.
    _memory: MmapRaw,
}

// SAFETY: the memory is the ring's own, the words in it are atomic, and no thread is special to it.
unsafe impl Send for Refill {}

impl Refill {
    /// The most entries there can be.
    pub(crate) const MOST: u32 = 1 << 15;

    /// Memory for a ring of so many entries, for the kernel to lay out.
    pub(crate) fn memory(entries: u32) -> io::Result<MmapRaw> {
        let len = HEADER + entries as usize * size_of::<io_uring_zcrx_rqe>();
        // Whole pages, whatever their size, without asking for it: it is 64 KiB at most.
        Ok(MmapRaw::from(MmapOptions::new().len(len.next_multiple_of(1 << 16)).map_anon()?))
    }

    /// Takes over a ring as the kernel laid it out.
    pub(crate) fn new(memory: MmapRaw, at: &io_uring_zcrx_offsets, entries: u32) -> io::Result<Refill> {
        check(at, entries, memory.len())?;
        let base = NonNull::new(memory.as_mut_ptr()).expect("mmap gives no null");
        // SAFETY: Mapped: the map is kept beside what is made of it, is page-aligned, and is nobody else's.
        let region = unsafe { Region::new(base, memory.len()) };
        // SAFETY: Laid out: just checked, with the offset of the entries. Mapped, as above.
        let word = |offset| unsafe { region.word(offset) };
        let (head, tail) = (word(at.head), word(at.tail));
        let next = Index(tail.peek());
        Ok(Refill { entries: region.at(at.rqes as usize), mask: entries - 1, head, tail, next, _memory: memory })
    }

    /// Gives memory back, if there is room to say so. A head that is where it cannot be leaves none.
    pub(crate) fn push(&mut self, offset: u64, len: u32) -> bool {
        let waiting = self.next.since(Index(self.head.moved()));
        if waiting > self.mask {
            return false;
        }
        let place = self.next.slot(self.mask) * size_of::<io_uring_zcrx_rqe>();
        // SAFETY: Laid out: a slot below the number of entries lies inside their array.
        let place = unsafe { self.entries.add(place) };
        let entry = io_uring_zcrx_rqe { off: offset, len, ..io_uring_zcrx_rqe::default() };
        // SAFETY: Mapped; the kernel reads no entry beyond the tail, and its head has passed this one.
        unsafe { place.cast::<io_uring_zcrx_rqe>().write(entry) };
        self.next = self.next.plus(1);
        self.tail.publish(self.next.0);
        true
    }
}

/// Checks where the kernel says that it put what; pure, of numbers that come from outside.
fn check(at: &io_uring_zcrx_offsets, entries: u32, len: usize) -> Result<(), LayoutError> {
    if !entries.is_power_of_two() || entries > Refill::MOST {
        return Err(LayoutError::Entries { queue: "refill", entries });
    }
    let bytes = u64::from(entries) * size_of::<io_uring_zcrx_rqe>() as u64;
    let array = Span { what: "refill entries", offset: at.rqes, bytes, align: align_of::<io_uring_zcrx_rqe>() };
    check_spans(&[Span::word("refill head", at.head), Span::word("refill tail", at.tail), array], len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets() -> io_uring_zcrx_offsets {
        io_uring_zcrx_offsets { head: 0, tail: 4, rqes: 64, ..io_uring_zcrx_offsets::default() }
    }

    fn refused(change: impl FnOnce(&mut io_uring_zcrx_offsets)) -> LayoutError {
        let mut at = offsets();
        change(&mut at);
        check(&at, 8, 4096).unwrap_err()
    }

    /// Red when anything is trusted to be where the kernel says.
    #[test]
    fn what_the_kernel_laid_out_is_checked() {
        assert_eq!(check(&offsets(), 8, 64 + 8 * 16), Ok(()));
        assert_eq!(check(&offsets(), 6, 4096), Err(LayoutError::Entries { queue: "refill", entries: 6 }));
        let entries = "refill entries";
        assert_eq!(check(&offsets(), 8, 64 + 8 * 16 - 1), Err(LayoutError::Outside { what: entries, offset: 64 }));
        assert_eq!(refused(|at| at.rqes = 68), LayoutError::Misaligned { what: entries, offset: 68 });
        assert_eq!(refused(|at| at.rqes = 0), LayoutError::Overlap { first: "refill head", second: entries });
        assert_eq!(refused(|at| at.tail = 0), LayoutError::Overlap { first: "refill head", second: "refill tail" });
        assert_eq!(refused(|at| at.head = 4096), LayoutError::Outside { what: "refill head", offset: 4096 });
        let outside = io_uring_zcrx_offsets { tail: 1 << 20, ..offsets() };
        assert!(Refill::new(Refill::memory(8).unwrap(), &outside, 8).is_err());
        assert_eq!(refused(|at| at.head = 2), LayoutError::Misaligned { what: "refill head", offset: 2 });
    }

    /// A kernel made of plain memory. Red when an entry is overwritten that was not read, or written elsewhere.
    #[test]
    fn entries_go_round_and_a_full_ring_takes_none() {
        let memory = Refill::memory(4).unwrap();
        let base = memory.as_mut_ptr();
        let mut refill = Refill::new(memory, &offsets(), 4).unwrap();
        let entry = |n: usize| {
            // SAFETY: the map is the refill ring's, which lives; nobody else writes it meanwhile.
            let entry = unsafe { base.wrapping_add(64 + 16 * (n % 4)).cast::<io_uring_zcrx_rqe>().read() };
            (entry.off, entry.len)
        };
        for round in 0..5_u32 {
            let first = round * 3;
            assert!((first..first + 3).all(|n| refill.push(n.into(), n + 1)));
            assert!((first..first + 3).all(|n| entry(n as usize) == (n.into(), n + 1)));
            assert!(refill.push(99, 99) && !refill.push(98, 98));
            // The kernel takes all, and forgets the fourth, so that the rounds begin at other places.
            refill.head.publish(first + 3);
            refill.tail.publish(first + 3);
            refill.next = Index(first + 3);
        }
        refill.head.publish(16); // beyond the tail
        assert!(!refill.push(1, 1));
    }
}
