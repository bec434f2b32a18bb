//! The completion queue: the kernel writes completions and moves the tail, we read them and move the head.

use super::{
    fork::Birth,
    index::Index,
    layout::{Layout, LayoutError},
    word::{Region, Word},
};
use crate::entry::Cqe;
use std::{fmt, iter::FusedIterator, ptr::NonNull};

/// Our end of the completion queue, over any memory that is laid out like one.
pub(crate) struct Cq {
    cqes: NonNull<u8>,
    shift: u32,
    mask: u32,
    head_word: Word,
    tail_word: Word,
    overflow: Word,
    /// Ours; nobody else writes the word, which may lag behind until a [`Completions`] ends.
    head: Index,
    /// The kernel's position when we last looked.
    tail: Index,
    poisoned: bool,
    birth: Birth,
}

impl Cq {
    /// Takes the queue over at its present positions.
    ///
    /// # Safety
    /// Mapped: `rings` has at least the layout's length and outlives the queue. Nobody else writes the head.
    pub(crate) unsafe fn new(rings: Region, at: &Layout, birth: Birth) -> Result<Cq, LayoutError> {
        assert!(rings.len() >= at.ring_len, "the map is as long as the layout says");
        // SAFETY: Mapped by this function's contract; Laid out by `Layout::new`.
        let word = |offset| unsafe { rings.word(offset) };
        let mask = at.cq_entries - 1;
        if word(at.cq.ring_mask).peek() != mask || word(at.cq.ring_entries).peek() != at.cq_entries {
            return Err(LayoutError::Disagrees { queue: "completion" });
        }
        let (head_word, tail_word) = (word(at.cq.head), word(at.cq.tail));
        let head = Index(head_word.peek());
        let overflow = word(at.cq.overflow);
        let (cqes, shift) = (rings.at(at.cq.cqes as usize), at.cqe_shift);
        Ok(Cq { cqes, shift, mask, head_word, tail_word, overflow, head, tail: head, poisoned: false, birth })
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.mask + 1
    }

    /// How many completions can be read.
    pub(crate) fn ready(&mut self) -> u32 {
        self.look();
        if self.usable() { self.tail.since(self.head) } else { 0 }
    }

    /// The completions that are ready now.
    pub(crate) fn completions(&mut self) -> Completions<'_> {
        let left = self.ready();
        Completions { cq: self, left }
    }

    /// How many completions the kernel lost for good.
    pub(crate) fn overflow(&self) -> u32 {
        if self.birth.is_here() { self.overflow.peek() } else { 0 }
    }

    /// Whether the kernel broke its word.
    pub(crate) fn poisoned(&self) -> bool {
        self.poisoned
    }

    fn usable(&self) -> bool {
        !self.poisoned && self.birth.is_here()
    }

    /// Reads the kernel's tail. It only moves forward, and never more than the queue's size past our head; anything
    /// else poisons the queue, because no completion in it could be believed.
    fn look(&mut self) {
        if !self.usable() {
            return;
        }
        let tail = Index(self.tail_word.moved());
        let ready = tail.since(self.head);
        if ready > self.capacity() || ready < self.tail.since(self.head) {
            self.poisoned = true;
        } else {
            self.tail = tail;
        }
    }

    /// Takes the completion at the head, which must be before the tail.
    fn take(&mut self) -> Cqe {
        let offset = self.head.slot(self.mask) << self.shift;
        // SAFETY: Laid out: a slot below the entry count lies inside the array of completions.
        let slot = unsafe { self.cqes.add(offset) };
        // SAFETY: Mapped; the acquire of the tail came after the kernel wrote this slot, and it writes the slot again
        // only after our head has passed. Kernel's word: every bit pattern is a `Cqe`.
        let cqe = unsafe { slot.cast::<Cqe>().read() };
        self.head = self.head.plus(1);
        cqe
    }
}

/// The completions that were ready when this was made, oldest first.
///
/// Their room is given back to the kernel when the iterator is dropped, whether or not it was read to its end; what
/// was not read stays for the next one.
pub struct Completions<'a> {
    cq: &'a mut Cq,
    left: u32,
}

impl fmt::Debug for Completions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("left", &self.left).finish()
    }
}

impl Iterator for Completions<'_> {
    type Item = Cqe;

    fn next(&mut self) -> Option<Cqe> {
        // Asked each time: a loop over completions may fork.
        if self.left == 0 || !self.cq.usable() {
            return None;
        }
        self.left -= 1;
        Some(self.cq.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

impl FusedIterator for Completions<'_> {}

impl Drop for Completions<'_> {
    fn drop(&mut self) {
        if self.cq.usable() {
            self.cq.head_word.publish(self.cq.head.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ring::fake::Fake;

    fn rings() -> impl Iterator<Item = Fake> {
        [u32::MAX - 2, u32::MAX, 0].into_iter().flat_map(|at| [Fake::new(4, 8, at, true), Fake::new(4, 8, at, false)])
    }

    fn read(ring: &mut Fake) -> Vec<u64> {
        ring.cq.completions().map(|cqe| cqe.user_data).collect()
    }

    #[test]
    fn completions_arrive_once_and_in_order_across_the_wrap() {
        for mut ring in rings() {
            let mut next = 0;
            for round in 0..20 {
                let n = 1 + round % 8;
                (next..next + n).for_each(|i| ring.post(i));
                assert_eq!(ring.cq.ready(), n as u32);
                assert_eq!(read(&mut ring), (next..next + n).collect::<Vec<_>>());
                assert_eq!(ring.cq_head(), ring.cq_tail());
                next += n;
            }
        }
    }

    #[test]
    fn an_iterator_dropped_half_way_keeps_the_rest() {
        for mut ring in rings() {
            (0..8).for_each(|i| ring.post(i));
            let head = ring.cq_head();
            assert_eq!(ring.cq.completions().take(3).map(|cqe| cqe.user_data).collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(ring.cq_head(), head.wrapping_add(3));
            drop(ring.cq.completions());
            assert_eq!(ring.cq_head(), head.wrapping_add(3));
            assert_eq!(read(&mut ring), [3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn a_forgotten_iterator_reads_nothing_twice() {
        for mut ring in rings() {
            (0..4).for_each(|i| ring.post(i));
            let mut completions = ring.cq.completions();
            completions.next().unwrap();
            std::mem::forget(completions);
            assert_eq!(read(&mut ring), [1, 2, 3]);
            assert_eq!(ring.cq_head(), ring.cq_tail());
        }
    }

    #[test]
    fn more_ready_than_there_is_room_poisons() {
        for mut ring in rings() {
            let head = ring.cq_head();
            ring.set_cq_tail(head.wrapping_add(9));
            assert_eq!(read(&mut ring), []);
            assert!(ring.cq.poisoned());
            ring.set_cq_tail(head.wrapping_add(1));
            assert_eq!((read(&mut ring), ring.cq_head()), (vec![], head));
        }
    }

    #[test]
    fn a_full_queue_is_no_poison() {
        for mut ring in rings() {
            (0..8).for_each(|i| ring.post(i));
            assert_eq!((ring.cq.ready(), ring.cq.poisoned()), (8, false));
        }
    }

    #[test]
    fn a_tail_that_goes_back_poisons() {
        for mut ring in rings() {
            (0..4).for_each(|i| ring.post(i));
            assert_eq!(ring.cq.ready(), 4);
            ring.set_cq_tail(ring.cq_tail().wrapping_sub(1));
            assert_eq!((ring.cq.ready(), ring.cq.poisoned()), (0, true));
        }
    }
}
