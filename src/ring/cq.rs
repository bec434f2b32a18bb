//! The completion queue: the kernel writes completions and moves the tail, we read them and move the head.

use super::{
    flags::SetupFlags,
    fork::Birth,
    index::Index,
    layout::{Layout, LayoutError},
    word::{Region, Word},
};
use crate::{
    entry::{BigCqe, Cqe, CqeFlags},
    sys,
};
use std::{fmt, iter::FusedIterator, ptr::NonNull};

/// The array of completions.
#[derive(Clone, Copy)]
struct Slots {
    cqes: NonNull<u8>,
    shift: u32,
    mask: u32,
}

impl Slots {
    #[inline]
    fn at(&self, position: Index) -> NonNull<u8> {
        // SAFETY: Laid out: a slot below the entry count lies inside the array of completions.
        unsafe { self.cqes.add(position.slot(self.mask) << self.shift) }
    }
}

/// Our end of the completion queue, over any memory that is laid out like one.
pub(crate) struct Cq {
    slots: Slots,
    /// Whether a completion may take two slots, or be none.
    mixed: bool,
    head_word: Word,
    tail_word: Word,
    overflow: Word,
    /// Ours; Linux 5.8 brought it.
    flags: Option<Word>,
    /// Ours; nobody else writes the word, which may lag behind until a [`Completions`] ends.
    head: Index,
    /// The kernel's position when we last looked.
    tail: Index,
    poisoned: bool,
    birth: Birth,
    /// The same, until the queue is poisoned: one look tells both.
    open: Birth,
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
        Ok(Cq {
            slots: Slots { cqes: rings.at(at.cq.cqes as usize), shift: at.cqe_shift, mask },
            mixed: at.flags.contains(SetupFlags::CQE_MIXED),
            head_word,
            tail_word,
            overflow: word(at.cq.overflow),
            flags: (at.cq.flags != 0).then(|| word(at.cq.flags)),
            head,
            tail: head,
            poisoned: false,
            birth,
            open: birth,
        })
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.slots.mask + 1
    }

    /// How many slots can be read.
    pub(crate) fn ready(&mut self) -> u32 {
        if self.look() { self.tail.since(self.head) } else { 0 }
    }

    /// Whether something seems to be there to read: a look at a position that is not checked, for whoever reads next.
    #[inline]
    pub(crate) fn has_come(&self) -> bool {
        self.usable() && self.tail_word.peek() != self.head.0
    }

    /// Whether no kernel loses completions when it gives the queue another size; as for the other queue.
    pub(crate) fn survives(&mut self, plain: bool) -> bool {
        self.ready() == 0 || (plain && self.head.0 < self.tail.0)
    }

    /// Gives the room of all that was read back to the kernel.
    pub(crate) fn publish(&self) {
        if self.usable() {
            self.head_word.publish(self.head.0);
        }
    }

    /// The completions that are ready now.
    pub(crate) fn completions(&mut self) -> Completions<'_> {
        let ready = self.ready();
        let (left, uneven) = if self.mixed { (0, ready) } else { (ready, 0) };
        let (slots, open) = (self.slots, self.open);
        Completions { cq: self, left, uneven, slots, open }
    }

    /// Takes all completions that are ready, and gives their room back. Nobody forks between the look and the end, so
    /// one tells for all; but whose the allocator is, nobody knows.
    pub(crate) fn take_all(&mut self, into: &mut Vec<Cqe>) {
        if self.mixed {
            return into.extend(self.completions());
        }
        let mut ready = self.ready();
        if into.capacity() - into.len() < ready as usize {
            ready = self.make_room(into, ready);
        }
        if ready > 0 {
            let slots = self.slots;
            into.extend((0..ready).map(|_| self.take(slots)));
            self.head_word.publish(self.head.0);
        }
    }

    /// Makes room for so many completions, and gives how many of them are ready then.
    #[cold]
    fn make_room(&mut self, into: &mut Vec<Cqe>, ready: u32) -> u32 {
        into.reserve(ready as usize);
        self.ready().min(ready)
    }

    /// How many completions the kernel lost for good.
    pub(crate) fn overflow(&self) -> u32 {
        if self.birth.is_here() { self.overflow.peek() } else { 0 }
    }

    /// Says whether the kernel is to raise no eventfd; gives whether there is a word to say it with.
    pub(crate) fn mute(&mut self, muted: bool) -> bool {
        let here = self.birth.is_here();
        match self.flags {
            Some(word) if here => word.say(if muted { sys::IORING_CQ_EVENTFD_DISABLED } else { 0 }),
            _ => return false,
        }
        true
    }

    /// Whether the kernel broke its word.
    pub(crate) fn poisoned(&self) -> bool {
        self.poisoned
    }

    /// Shuts the queue for good: no completion in it could be believed.
    #[cold]
    pub(crate) fn poison(&mut self) {
        (self.poisoned, self.open) = (true, Birth::nowhere());
    }

    #[inline]
    pub(crate) fn usable(&self) -> bool {
        self.open.is_here()
    }

    /// Reads the kernel's tail. It only moves forward, and never more than the queue's size past our head; anything
    /// else poisons the queue. Whether the queue can be used.
    fn look(&mut self) -> bool {
        if !self.usable() {
            return false;
        }
        let tail = Index(self.tail_word.moved());
        let ready = tail.since(self.head);
        if ready > self.capacity() || ready < self.tail.since(self.head) {
            self.poison();
            return false;
        }
        self.tail = tail;
        true
    }

    /// Takes the slot at the head, which must be before the tail.
    #[inline]
    fn take(&mut self, slots: Slots) -> Cqe {
        // SAFETY: Mapped; the acquire of the tail came after the kernel wrote this slot, and it writes the slot again
        // only after our head has passed. Kernel's word: every bit pattern is a `Cqe`.
        let cqe = unsafe { slots.at(self.head).cast().read() };
        self.head = self.head.plus(1);
        cqe
    }

    /// The second half of the slot that was taken last, where slots have two.
    fn taken_extra(&self) -> [u64; 2] {
        // SAFETY: Laid out: a slot of 32 bytes has another 16 after its completion.
        let half = unsafe { self.slots.at(self.head.minus(1)).add(size_of::<Cqe>()) };
        // SAFETY: Mapped, and the head is published after this, so that the slot is still ours. Kernel's word: numbers.
        unsafe { half.cast().read() }
    }

    /// Takes the slot at the head, which must be before the tail, as the second half of the one before it.
    fn take_extra(&mut self) -> [u64; 2] {
        // SAFETY: Mapped, and ours until the head is published, as in `take`. Kernel's word: numbers.
        let extra = unsafe { self.slots.at(self.head).cast().read() };
        self.head = self.head.plus(1);
        extra
    }

    /// Takes the next completion of a mixed ring that means something, of `left` slots that are ready, and gives how
    /// many are left. The kernel puts no completion across the queue's end, nor half of one before the tail; if it did,
    /// all after it would be misread.
    ///
    /// A call of its own with a number alone, so that a loop over the completions of other rings keeps its own in
    /// registers.
    #[cold]
    fn take_uneven(&mut self, mut left: u32) -> (Option<BigCqe>, u32) {
        while left > 0 && self.usable() {
            left -= 1;
            let (cqe, mut extra) = (self.take(self.slots), [0; 2]);
            if cqe.flags.contains(CqeFlags::BIG) {
                if left == 0 || self.head.slot(self.slots.mask) == 0 {
                    self.poison();
                    return (None, 0);
                }
                left -= 1;
                extra = self.take_extra();
            }
            if !cqe.flags.contains(CqeFlags::SKIP) {
                return (Some(BigCqe { cqe, extra }), left);
            }
        }
        (None, left)
    }
}

/// The completions that were ready when this was made, oldest first.
///
/// Their room is given back to the kernel when the iterator is dropped, whether or not it was read to its end; what
/// was not read stays for the next one. The padding of a mixed ring is never seen.
pub struct Completions<'a> {
    cq: &'a mut Cq,
    /// How many slots of one size are left; none on a mixed ring.
    left: u32,
    /// How many slots of a mixed ring are left.
    uneven: u32,
    // What does not change meanwhile, so that it need not be read again for each.
    slots: Slots,
    open: Birth,
}

impl Completions<'_> {
    /// The next completion with its second half, on rings with `CQE32` or `CQE_MIXED`; `next` gives the first half
    /// alone. What has no second half comes with zeros.
    pub fn next_big(&mut self) -> Option<BigCqe> {
        let Some(cqe) = self.even() else { return self.uneven() };
        let wide = self.slots.shift == size_of::<BigCqe>().ilog2();
        Some(BigCqe { cqe, extra: if wide { self.cq.taken_extra() } else { [0; 2] } })
    }

    /// The next completion of a ring where each takes one slot.
    #[inline]
    fn even(&mut self) -> Option<Cqe> {
        // Asked each time: a loop over completions may fork.
        if self.left == 0 || !self.open.is_here() {
            return None;
        }
        self.left -= 1;
        Some(self.cq.take(self.slots))
    }

    /// The next completion of a mixed ring.
    #[inline]
    fn uneven(&mut self) -> Option<BigCqe> {
        let (big, left) = self.cq.take_uneven(self.uneven);
        self.uneven = left;
        big
    }
}

impl fmt::Debug for Completions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("left", &(self.left + self.uneven)).finish()
    }
}

impl Iterator for Completions<'_> {
    type Item = Cqe;

    #[inline]
    fn next(&mut self) -> Option<Cqe> {
        if let Some(cqe) = self.even() {
            return Some(cqe);
        }
        // Elsewhere the flags that this goes by are a message's, whose sender may set them all.
        if self.uneven == 0 { None } else { self.uneven().map(|big| big.cqe) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.left + self.uneven) as usize))
    }
}

impl FusedIterator for Completions<'_> {}

impl Drop for Completions<'_> {
    fn drop(&mut self) {
        self.cq.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::fake::Fake;

    /// Just below the wrap, with and without the array of indices, and of every width.
    fn rings() -> impl Iterator<Item = Fake> {
        let widths = [SetupFlags::empty(), SetupFlags::CQE32, SetupFlags::CQE_MIXED];
        widths.into_iter().flat_map(|width| of(width).chain(of(width | SetupFlags::NO_SQARRAY)))
    }

    fn of(flags: SetupFlags) -> impl Iterator<Item = Fake> {
        [u32::MAX - 2, u32::MAX, 0].into_iter().map(move |at| Fake::new(4, 8, at, flags))
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

    /// Red when one is lost or comes twice, and when what cannot be believed is taken.
    #[test]
    fn all_that_are_ready_are_taken_at_once() {
        for mut ring in rings() {
            let (mut all, mut next) = (Vec::new(), 0);
            for round in 0..20 {
                (next..next + round % 8).for_each(|i| ring.post(i));
                next += round % 8;
                ring.cq.take_all(&mut all);
                assert_eq!((ring.cq_head(), all.len() as u64), (ring.cq_tail(), next));
            }
            assert!(all.iter().map(|cqe| cqe.user_data).eq(0..next));
            let head = ring.cq_head();
            ring.set_cq_tail(head.wrapping_add(9));
            ring.cq.take_all(&mut all);
            assert_eq!((all.len() as u64, ring.cq_head(), ring.cq.poisoned()), (next, head, true));
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

    fn big(user_data: u64) -> [u64; 2] {
        [user_data + 100, user_data + 200]
    }

    /// Red when a second half is another's, or `next` and `next_big` go different ways.
    #[test]
    fn wide_completions_keep_their_halves_together_across_the_wrap() {
        for mut ring in of(SetupFlags::CQE32).chain(of(SetupFlags::CQE_MIXED)) {
            for round in (0..60).step_by(3) {
                ring.post_big(round, big(round));
                ring.post_big(round + 1, big(round + 1));
                let mut ready = ring.cq.completions();
                let first = ready.next_big().unwrap();
                assert_eq!((first.cqe.user_data, first.extra), (round, big(round)));
                assert_eq!(ready.next().map(|cqe| cqe.user_data), Some(round + 1));
                assert_eq!(ready.next_big(), None);
                drop(ready);
                assert_eq!((ring.cq_head(), ring.cq.poisoned()), (ring.cq_tail(), false));
                ring.post(round + 2);
                let last = ring.cq.completions().next_big().unwrap();
                assert_eq!((last.cqe.user_data, last.extra), (round + 2, [0; 2]));
            }
        }
    }

    /// Red when padding is seen, small completions get a second half, or one that is read half way is read again.
    #[test]
    fn a_mixed_queue_is_read_one_by_one() {
        for mut ring in of(SetupFlags::CQE_MIXED) {
            for round in 0..40 {
                ring.post(2 * round);
                ring.post_big(2 * round + 1, big(round));
                let small = ring.cq.completions().next_big();
                assert_eq!(small.map(|small| (small.cqe.user_data, small.extra)), Some((2 * round, [0; 2])));
                let head = ring.cq_head();
                assert_eq!(ring.cq.completions().next_big().map(|big| big.extra), Some(big(round)));
                assert_eq!(ring.cq_head().wrapping_sub(head), 2 + u32::from(head & 7 == 7));
            }
        }
    }

    /// Red when padding that the kernel posted alone ends the walk or is given out.
    #[test]
    fn padding_alone_is_nothing() {
        for mut ring in of(SetupFlags::CQE_MIXED) {
            ring.scribble(ring.cq_tail(), Cqe { flags: CqeFlags::SKIP, ..Cqe::default() });
            ring.set_cq_tail(ring.cq_tail().wrapping_add(1));
            assert_eq!((ring.cq.ready(), ring.cq.completions().next()), (1, None));
            assert_eq!((ring.cq_head(), ring.cq.poisoned()), (ring.cq_tail(), false));
        }
    }

    /// Red when the half of a completion is read from the queue's start, or from beyond the tail.
    #[test]
    fn half_a_completion_poisons() {
        for (at, slots) in [(7, 2), (3, 1), (7, 1)] {
            let takes: [fn(&mut Completions<'_>) -> Option<Cqe>; 2] =
                [|ready| ready.next(), |ready| ready.next_big().map(|big| big.cqe)];
            for take in takes {
                let mut ring = Fake::new(4, 8, at, SetupFlags::CQE_MIXED);
                ring.scribble(at, Cqe { flags: CqeFlags::BIG, ..Cqe::default() });
                ring.set_cq_tail(at + slots);
                let mut ready = ring.cq.completions();
                assert_eq!((take(&mut ready), take(&mut ready)), (None, None));
                drop(ready);
                assert_eq!((ring.cq.poisoned(), ring.cq_head()), (true, at));
            }
        }
    }

    /// A message's sender may set every flag. Red when one can make a plain ring skip or swallow completions.
    #[test]
    fn a_queue_that_is_not_mixed_has_neither_padding_nor_halves() {
        for mut ring in of(SetupFlags::empty()).chain(of(SetupFlags::CQE32)) {
            for n in 0..20 {
                ring.scribble(
                    ring.cq_tail(),
                    Cqe { user_data: n, flags: CqeFlags::SKIP | CqeFlags::BIG, ..Cqe::default() },
                );
                ring.set_cq_tail(ring.cq_tail().wrapping_add(1));
                assert_eq!((read(&mut ring), ring.cq.poisoned()), (vec![n], false));
            }
        }
    }
}
