//! The submission queue: we write entries and move the tail, the kernel reads them and moves the head.

use super::{
    fork::Birth,
    index::Index,
    layout::{Layout, LayoutError},
    word::{Region, Word},
};
use crate::{entry::Sqe, sys};
use std::{error, fmt, io, ptr::NonNull};

/// The submission queue has no room; the entry was not taken and nothing is lost. Submit, then push again.
///
/// A ring that cannot be used (in a forked child, or after the kernel broke its word) says this as well: the submit
/// that follows gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the submission queue is full: submit, then push again")
    }
}

impl error::Error for Full {}

impl From<Full> for io::Error {
    fn from(full: Full) -> io::Error {
        io::Error::new(io::ErrorKind::WouldBlock, full)
    }
}

/// Our end of the submission queue, over any memory that is laid out like one.
pub(crate) struct Sq {
    sqes: NonNull<u8>,
    shift: u32,
    mask: u32,
    head_word: Word,
    tail_word: Word,
    flags: Word,
    dropped: Word,
    /// The kernel's position when we last looked.
    head: Index,
    /// Ours; nobody else writes the word.
    tail: Index,
    poisoned: bool,
    birth: Birth,
}

impl Sq {
    /// Takes the queue over at its present positions.
    ///
    /// # Safety
    /// Mapped: `rings` and `sqes` have at least the layout's lengths and outlive the queue. Nobody else writes the
    /// tail, the array of indices or free entries.
    pub(crate) unsafe fn new(rings: Region, sqes: Region, at: &Layout, birth: Birth) -> Result<Sq, LayoutError> {
        assert!(rings.len() >= at.ring_len && sqes.len() >= at.sqes_len, "the maps are as long as the layout says");
        // SAFETY: Mapped by this function's contract; Laid out by `Layout::new`.
        let word = |offset| unsafe { rings.word(offset) };
        let mask = at.sq_entries - 1;
        let (head_word, tail_word) = (word(at.sq.head), word(at.sq.tail));
        let (head, tail) = (Index(head_word.moved()), Index(tail_word.peek()));
        let sizes = word(at.sq.ring_mask).peek() == mask && word(at.sq.ring_entries).peek() == at.sq_entries;
        if !sizes || tail.since(head) > at.sq_entries {
            return Err(LayoutError::Disagrees { queue: "submission" });
        }
        if at.has_array {
            // Slot i of the array names entry i, once and for all. The tail's next release publishes it.
            (0..at.sq_entries).for_each(|i| word(at.sq.array + 4 * i).publish(i));
        }
        let (flags, dropped) = (word(at.sq.flags), word(at.sq.dropped));
        let (sqes, shift) = (sqes.at(0), at.sqe_shift);
        Ok(Sq { sqes, shift, mask, head_word, tail_word, flags, dropped, head, tail, poisoned: false, birth })
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.mask + 1
    }

    /// Queues a copy of `sqe`.
    ///
    /// # Safety
    /// Lent: memory and descriptors that the entry names belong to the kernel until its final completion.
    pub(crate) unsafe fn push(&mut self, sqe: &Sqe) -> Result<(), Full> {
        // The kernel is asked only when the queue looks full: its head stands in a cache line that it writes.
        if self.tail.since(self.head) == self.capacity() || !self.usable() {
            self.look();
            if self.tail.since(self.head) == self.capacity() || !self.usable() {
                return Err(Full);
            }
        }
        let offset = self.tail.slot(self.mask) << self.shift;
        // SAFETY: Laid out: a slot below the entry count lies inside the map of the entries.
        let slot = unsafe { self.sqes.add(offset) };
        // SAFETY: Mapped; the kernel reads no slot beyond the tail, and its head has passed this one.
        unsafe { slot.cast::<Sqe>().write(*sqe) };
        self.tail = self.tail.plus(1);
        self.tail_word.publish(self.tail.0);
        Ok(())
    }

    /// How many entries the kernel has not taken yet.
    pub(crate) fn queued(&mut self) -> u32 {
        self.look();
        if self.usable() { self.tail.since(self.head) } else { 0 }
    }

    /// How many entries can be pushed.
    pub(crate) fn space_left(&mut self) -> u32 {
        let queued = self.queued();
        if self.usable() { self.capacity() - queued } else { 0 }
    }

    /// Reads the kernel's head. It only moves forward, and never past our tail; anything else poisons the queue.
    fn look(&mut self) {
        if !self.usable() {
            return;
        }
        let head = Index(self.head_word.moved());
        if self.tail.since(head) > self.tail.since(self.head) {
            self.poisoned = true;
        } else {
            self.head = head;
        }
    }

    fn usable(&self) -> bool {
        !self.poisoned && self.birth.is_here()
    }

    pub(crate) fn poisoned(&self) -> bool {
        self.poisoned
    }

    /// Whether completions wait in the kernel for an enter, because the queue had no room.
    pub(crate) fn cq_overflow(&self) -> bool {
        self.has(sys::IORING_SQ_CQ_OVERFLOW)
    }

    /// Whether completions wait to be run by an enter. Means something only with `TASKRUN_FLAG`.
    pub(crate) fn taskrun(&self) -> bool {
        self.has(sys::IORING_SQ_TASKRUN)
    }

    /// Whether the kernel's thread sleeps and has perhaps not seen the tail. Means something only with `SQPOLL`.
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.birth.is_here() && self.flags.peek_after_publish() & sys::IORING_SQ_NEED_WAKEUP != 0
    }

    /// How many entries the kernel threw away because of a bad index. Ours are never bad.
    pub(crate) fn dropped(&self) -> u32 {
        if self.birth.is_here() { self.dropped.peek() } else { 0 }
    }

    fn has(&self, flag: u32) -> bool {
        self.birth.is_here() && self.flags.peek() & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::fake::Fake;

    /// Just below the wrap, and with and without the array of indices.
    fn rings() -> impl Iterator<Item = Fake> {
        [u32::MAX - 2, u32::MAX, 0].into_iter().flat_map(|at| [Fake::new(4, 8, at, true), Fake::new(4, 8, at, false)])
    }

    fn nop(n: u64) -> Sqe {
        Sqe::nop().user_data(n)
    }

    #[test]
    fn entries_arrive_once_and_in_order_across_the_wrap() {
        for mut ring in rings() {
            let mut next = 0;
            for round in 0..20 {
                let n = 1 + round % 4;
                // SAFETY: Lent: a NOP names nothing.
                (next..next + n).for_each(|i| unsafe { ring.sq.push(&nop(i)) }.unwrap());
                assert_eq!(ring.sq.queued(), n as u32);
                assert_eq!(ring.take(4), (next..next + n).collect::<Vec<_>>());
                next += n;
            }
        }
    }

    #[test]
    fn full_is_exactly_the_capacity_and_loses_nothing() {
        for mut ring in rings() {
            // SAFETY: Lent: a NOP names nothing, here and below.
            (0..4).for_each(|i| unsafe { ring.sq.push(&nop(i)) }.unwrap());
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push(&nop(9)) }, Err(Full));
            assert_eq!(ring.take(1), [0]);
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push(&nop(4)) }, Ok(()));
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push(&nop(9)) }, Err(Full));
            assert_eq!(ring.take(9), [1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_head_past_the_tail_poisons() {
        for mut ring in rings() {
            // SAFETY: Lent: a NOP names nothing.
            unsafe { ring.sq.push(&nop(1)) }.unwrap();
            let tail = ring.sq_tail();
            ring.set_sq_head(tail.wrapping_add(1));
            ring.sq.queued();
            assert!(ring.sq.poisoned());
            // SAFETY: Lent: a NOP names nothing.
            assert_eq!(unsafe { ring.sq.push(&nop(2)) }, Err(Full));
            assert_eq!(ring.sq_tail(), tail);
        }
    }

    #[test]
    fn a_head_that_goes_back_poisons() {
        for mut ring in rings() {
            // SAFETY: Lent: a NOP names nothing.
            unsafe { ring.sq.push(&nop(1)) }.unwrap();
            assert_eq!((ring.take(1), ring.sq.queued()), (vec![1], 0));
            ring.set_sq_head(ring.sq_tail().wrapping_sub(1));
            ring.sq.queued();
            assert!(ring.sq.poisoned());
        }
    }

    #[test]
    fn flags_and_counters_are_the_kernels() {
        let ring = Fake::new(4, 8, 0, false);
        assert!(!ring.sq.cq_overflow() && !ring.sq.taskrun() && !ring.sq.needs_wakeup());
        ring.set_sq_flags(sys::IORING_SQ_CQ_OVERFLOW);
        assert!(ring.sq.cq_overflow() && !ring.sq.taskrun() && !ring.sq.needs_wakeup());
        ring.set_sq_flags(sys::IORING_SQ_TASKRUN);
        assert!(!ring.sq.cq_overflow() && ring.sq.taskrun() && !ring.sq.needs_wakeup());
        ring.set_sq_flags(sys::IORING_SQ_NEED_WAKEUP);
        assert!(!ring.sq.cq_overflow() && !ring.sq.taskrun() && ring.sq.needs_wakeup());
        assert_eq!(ring.sq.dropped(), 0);
    }
}
