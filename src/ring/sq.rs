//! The submission queue: we write entries and move the tail, the kernel reads them and moves the head.

use super::{
    flags::SetupFlags,
    fork::Birth,
    index::Index,
    layout::{Layout, LayoutError},
    word::{Region, Word},
};
use crate::{
    entry::{Sqe, Sqe128, SqeFlags},
    sys,
};
use std::{
    error, fmt, io,
    ptr::NonNull,
    sync::{Arc, atomic::AtomicU32},
};

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

/// The `user_data` of the padding that [`Ring::push128`](super::Ring::push128) puts into the last slot of a mixed ring.
///
/// It completes in silence, but for one case: as a part of a chain that was broken before it, it is answered with
/// `-ECANCELED`, like the rest of the chain. Such an answer is nobody's.
pub const PADDING: u64 = u64::MAX;

/// Our end of the submission queue, over any memory that is laid out like one.
pub(crate) struct Sq {
    sqes: NonNull<u8>,
    shift: u32,
    /// Whether an entry may take two slots.
    mixed: bool,
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
    /// The same, until the queue is poisoned: one look tells both.
    open: Birth,
    /// With `SQ_REWIND`: the positions, which the kernel neither reads nor moves, and which must not be in its memory.
    rewind: Option<Arc<Positions>>,
    /// The end of the last entry that took two slots, and its flags.
    big: Option<(Index, SqeFlags)>,
}

/// A head and a tail.
type Positions = [AtomicU32; 2];

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
        let rewind = at.flags.contains(SetupFlags::SQ_REWIND).then(Arc::<Positions>::default);
        // SAFETY: Mapped: an `Arc` keeps its words in place, and this one goes with the queue.
        let own = |word: &AtomicU32| unsafe { Word::over(word) };
        let (head_word, tail_word) = match rewind.as_deref() {
            Some([head, tail]) => (own(head), own(tail)),
            None => (word(at.sq.head), word(at.sq.tail)),
        };
        let (head, tail) = (Index(head_word.moved()), Index(tail_word.peek()));
        let sizes = word(at.sq.ring_mask).peek() == mask && word(at.sq.ring_entries).peek() == at.sq_entries;
        if !sizes || tail.since(head) > at.sq_entries {
            return Err(LayoutError::Disagrees { queue: "submission" });
        }
        if at.has_array {
            // Slot i of the array names entry i, once and for all. The tail's next release publishes it.
            (0..at.sq_entries).for_each(|i| word(at.sq.array + 4 * i).publish(i));
        }
        Ok(Sq {
            sqes: sqes.at(0),
            shift: at.sqe_shift,
            mixed: at.flags.contains(SetupFlags::SQE_MIXED),
            mask,
            head_word,
            tail_word,
            flags: word(at.sq.flags),
            dropped: word(at.sq.dropped),
            head,
            tail,
            poisoned: false,
            birth,
            open: birth,
            rewind,
            big: None,
        })
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.mask + 1
    }

    /// Queues a copy of `sqe`.
    ///
    /// # Safety
    /// Lent: memory and descriptors that the entry names belong to the kernel until its final completion.
    #[inline]
    pub(crate) unsafe fn push(&mut self, sqe: &Sqe) -> Result<(), Full> {
        self.room(1)?;
        self.write(sqe);
        self.publish();
        Ok(())
    }

    /// Queues entries that are published together.
    #[inline]
    pub(crate) fn submissions(&mut self) -> Submissions<'_> {
        let (tail, left) = (self.tail, self.capacity() - self.tail.since(self.head));
        Submissions { sq: self, tail, left }
    }

    /// Queues copies of all `sqes`, which the kernel sees at once, or of none.
    ///
    /// # Safety
    /// Lent, as for [`Sq::push`], for each.
    pub(crate) unsafe fn push_all(&mut self, sqes: &[Sqe]) -> Result<(), Full> {
        self.room(u32::try_from(sqes.len()).map_err(|_| Full)?)?;
        sqes.iter().for_each(|sqe| self.write(sqe));
        self.publish();
        Ok(())
    }

    /// Queues a copy of an entry of 128 bytes, which takes two slots where 64 bytes are one.
    ///
    /// # Safety
    /// Lent, as for [`Sq::push`].
    pub(crate) unsafe fn push128(&mut self, entry: &Sqe128) -> Result<(), Full> {
        assert!(self.mixed || self.is_wide(), "entries of 128 bytes need a ring with SQE128 or SQE_MIXED");
        // Of any other the kernel takes 64 bytes, and the second half for the next entry.
        assert!(self.is_wide() || is_big(&entry.sqe), "on a ring with SQE_MIXED this opcode has 64 bytes: push() it");
        if self.is_wide() {
            self.room(1)?;
            self.write(&entry.sqe);
            self.write_second(self.tail.minus(1), &entry.rest);
        } else {
            if self.tail.slot(self.mask) == self.mask as usize {
                // The kernel takes no entry in two pieces.
                self.room(1)?;
                self.write(&self.padding());
                self.publish();
            }
            self.room(2)?;
            self.write(&entry.sqe);
            self.write_half(self.tail, &entry.rest);
            self.tail = self.tail.plus(1);
            self.big = Some((self.tail, entry.sqe.flags));
        }
        self.publish();
        Ok(())
    }

    /// What fills the last slot: nothing, as part of the chain that it may stand in.
    fn padding(&self) -> Sqe {
        let before = match self.big {
            Some((end, flags)) if end == self.tail => flags,
            // SAFETY: Mapped; the kernel writes no entries, and every bit pattern is an `Sqe`.
            _ => unsafe { self.slot(self.tail.minus(1)).cast::<Sqe>().read() }.flags,
        };
        let mut flags = before & (SqeFlags::IO_LINK | SqeFlags::IO_HARDLINK);
        if self.tail == self.head {
            flags = SqeFlags::empty(); // what was before is not queued any more
        }
        // A NOP is all zeros.
        Sqe { user_data: PADDING, ..Sqe::default() }.flags(flags | SqeFlags::CQE_SKIP_SUCCESS)
    }

    /// Whether there is room for `n` slots. The kernel is asked only when there seems to be none: its head stands in a
    /// cache line that it writes.
    #[inline]
    fn room(&mut self, n: u32) -> Result<(), Full> {
        if self.has_room(n) {
            return Ok(());
        }
        if self.look() && self.has_room(n) { Ok(()) } else { Err(Full) }
    }

    /// How many slots are free after all, behind what was written up to `tail`. A call of its own with numbers alone,
    /// so that the loop that asks for it keeps its own in registers.
    #[cold]
    fn room_after(&mut self, tail: Index) -> u32 {
        if self.look() { self.capacity() - tail.since(self.head) } else { 0 }
    }

    #[inline]
    fn has_room(&self, n: u32) -> bool {
        self.capacity() - self.tail.since(self.head) >= n && self.usable()
    }

    /// Writes the slot at the tail, which must be free, and goes on to the next.
    #[inline]
    fn write(&mut self, sqe: &Sqe) {
        self.write_at(self.tail, sqe);
        self.tail = self.tail.plus(1);
    }

    /// Writes a slot that is free. Where slots have another half, that one means nothing.
    #[inline]
    fn write_at(&mut self, position: Index, sqe: &Sqe) {
        self.write_half(position, sqe);
        if self.is_wide() {
            self.write_second(position, &[0; 8]);
        }
    }

    /// Writes the first 64 bytes of a slot that is free.
    #[inline]
    fn write_half<T: Copy>(&mut self, position: Index, half: &T) {
        const { assert!(size_of::<T>() == size_of::<Sqe>()) };
        // SAFETY: Mapped; the kernel reads no slot beyond the tail, and its head has passed this one.
        unsafe { self.slot(position).cast::<T>().write(*half) };
    }

    /// Writes the second half of a slot of 128 bytes, which was written and not yet published.
    #[cold]
    fn write_second(&mut self, position: Index, rest: &[u64; 8]) {
        // SAFETY: Laid out: a slot of 128 bytes has another 64 after its first.
        let half = unsafe { self.slot(position).add(size_of::<Sqe>()) };
        // SAFETY: Mapped; the kernel has not been told of this slot.
        unsafe { half.cast().write(*rest) };
    }

    #[inline]
    fn slot(&self, position: Index) -> NonNull<u8> {
        // SAFETY: Laid out: a slot below the entry count lies inside the map of the entries.
        unsafe { self.sqes.add(position.slot(self.mask) << self.shift) }
    }

    #[inline]
    fn publish(&self) {
        self.tail_word.publish(self.tail.0);
    }

    /// Whether all slots have 128 bytes.
    #[inline]
    fn is_wide(&self) -> bool {
        self.shift == size_of::<Sqe128>().ilog2()
    }

    /// The kernel took `n` slots. With `SQ_REWIND` it tells nowhere else, and begins with the first slot again: what is
    /// left moves there.
    pub(crate) fn taken(&mut self, n: u32) {
        if self.rewind.is_none() || !self.usable() {
            return;
        }
        let Some(left) = self.tail.0.checked_sub(n) else { return self.poison() };
        let from = self.slot(Index(n));
        // SAFETY: Mapped, and Laid out: `n` and the rest are the slots that were written. No enter is on its way, so
        // the kernel reads none of them.
        unsafe { self.sqes.copy_from(from, (left as usize) << self.shift) };
        (self.tail, self.big) = (Index(left), None);
        self.publish();
    }
    /// How many entries the kernel has not taken yet.
    pub(crate) fn queued(&mut self) -> u32 {
        if self.look() { self.tail.since(self.head) } else { 0 }
    }

    /// Whether there seem to be any: a look at a position that is not checked.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        self.usable() && self.head_word.peek() != self.tail.0
    }

    /// How many slots the kernel is to take so that it gets `n` of those that are queued, and no entry by half: it
    /// would take the other half for an entry.
    pub(crate) fn whole(&mut self, n: u32) -> u32 {
        let queued = self.queued();
        if !self.mixed || n >= queued {
            return n.min(queued);
        }
        let mut end = 0;
        while end < n {
            // SAFETY: Mapped; the kernel writes no entries, and every bit pattern is an `Sqe`.
            let sqe = unsafe { self.slot(self.head.plus(end)).cast::<Sqe>().read() };
            end += if is_big(&sqe) { 2 } else { 1 };
        }
        end.min(queued)
    }

    /// Whether no kernel loses entries when it gives the queue another size, as far as that is known. Those that do
    /// take positions for plain numbers, and slots for plain entries.
    pub(crate) fn survives(&mut self, plain: bool) -> bool {
        self.queued() == 0 || (plain && self.head.0 < self.tail.0)
    }

    /// How many entries can be pushed.
    pub(crate) fn space_left(&mut self) -> u32 {
        let queued = self.queued();
        if self.usable() { self.capacity() - queued } else { 0 }
    }

    /// Reads the kernel's head. It only moves forward, and never past our tail; anything else poisons the queue.
    /// Whether the queue can be used.
    fn look(&mut self) -> bool {
        if !self.usable() {
            return false;
        }
        let head = Index(self.head_word.moved());
        if self.tail.since(head) > self.tail.since(self.head) {
            self.poison();
            return false;
        }
        self.head = head;
        true
    }

    /// Shuts the queue for good.
    #[cold]
    pub(crate) fn poison(&mut self) {
        (self.poisoned, self.open) = (true, Birth::nowhere());
    }

    #[inline]
    pub(crate) fn usable(&self) -> bool {
        self.open.is_here()
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

    /// Says what [`Sq::taskrun`] is to answer, until the kernel says something else.
    pub(crate) fn set_taskrun(&self, on: bool) {
        self.flags.hint(sys::IORING_SQ_TASKRUN, on);
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

/// Whether the kernel takes two slots of a mixed queue for an entry. It goes by the opcode.
fn is_big(sqe: &Sqe) -> bool {
    [sys::IORING_OP_NOP128, sys::IORING_OP_URING_CMD128].contains(&u32::from(sqe.opcode))
}

/// Entries that are queued one after the other and published together: by
/// [`Ring::submissions`](super::Ring::submissions).
///
/// What was pushed is queued when this is dropped. If it is forgotten, nothing is.
pub struct Submissions<'a> {
    sq: &'a mut Sq,
    /// Where the next entry goes. The queue's own tail is moved at the end.
    tail: Index,
    /// How many slots are known to be free.
    left: u32,
}

impl fmt::Debug for Submissions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submissions").field("pushed", &self.tail.since(self.sq.tail)).finish()
    }
}

impl Submissions<'_> {
    /// Queues a copy of `sqe`, as [`Ring::push`](super::Ring::push) does.
    ///
    /// # Errors
    /// [`Full`] if there is no room; the entry was not taken.
    ///
    /// # Safety
    /// Lent, as for [`Ring::push`](super::Ring::push).
    #[inline]
    pub unsafe fn push(&mut self, sqe: &Sqe) -> Result<(), Full> {
        // Asked each time: whoever pushes in a loop may fork.
        if self.left == 0 || !self.sq.usable() {
            self.left = self.sq.room_after(self.tail);
            if self.left == 0 {
                return Err(Full);
            }
        }
        self.sq.write_at(self.tail, sqe);
        self.tail = self.tail.plus(1);
        self.left -= 1;
        Ok(())
    }
}

impl Drop for Submissions<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.sq.usable() {
            self.sq.tail = self.tail;
            self.sq.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::fake::Fake;

    /// Just below the wrap, with and without the array of indices, and of every width.
    fn rings() -> impl Iterator<Item = Fake> {
        let widths = [SetupFlags::empty(), SetupFlags::SQE128, SetupFlags::SQE_MIXED];
        widths.into_iter().flat_map(|width| of(width).chain(of(width | SetupFlags::NO_SQARRAY)))
    }

    fn of(flags: SetupFlags) -> impl Iterator<Item = Fake> {
        [u32::MAX - 2, u32::MAX, 0].into_iter().map(move |at| Fake::new(4, 8, at, flags))
    }

    fn wide(n: u64, rest: u64) -> Sqe128 {
        let opcode = sys::IORING_OP_NOP128 as u8;
        Sqe128 { sqe: Sqe { opcode, user_data: n, ..Sqe::default() }, rest: [rest; 8] }
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
    fn what_is_pushed_together_is_published_together() {
        for mut ring in rings() {
            for round in 0..10 {
                let (before, mut batch) = (ring.sq_tail(), ring.sq.submissions());
                for n in 0..4 {
                    // SAFETY: Lent: a NOP names nothing, here and below.
                    unsafe { batch.push(&nop(10 * round + n)) }.unwrap();
                }
                // SAFETY: Lent: see above.
                assert_eq!(unsafe { batch.push(&nop(9)) }, Err(Full));
                std::mem::forget(batch);
                assert_eq!((ring.sq_tail(), ring.sq.queued()), (before, 0), "what is forgotten is not queued");
                let mut batch = ring.sq.submissions();
                // SAFETY: Lent: see above.
                (0..3).for_each(|n| unsafe { batch.push(&nop(10 * round + n)) }.unwrap());
                drop(batch);
                assert_eq!(ring.take(4), (0..3).map(|n| 10 * round + n).collect::<Vec<_>>());
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

    /// Red when some are taken although not all fit, or the kernel could see some before the others.
    #[test]
    fn a_batch_is_queued_whole_or_not_at_all() {
        for mut ring in rings() {
            let batch: Vec<Sqe> = (0..5).map(nop).collect();
            let tail = ring.sq_tail();
            // SAFETY: Lent: a NOP names nothing, here and below.
            assert_eq!(unsafe { ring.sq.push_all(&batch) }, Err(Full));
            assert_eq!((ring.sq_tail(), ring.sq.queued()), (tail, 0));
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push_all(&batch[..3]) }, Ok(()));
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push_all(&batch[..2]) }, Err(Full));
            assert_eq!((ring.take(1), ring.sq.space_left()), (vec![0], 2));
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push_all(&batch[3..]) }, Ok(()));
            // SAFETY: Lent: see above.
            assert_eq!(unsafe { ring.sq.push_all(&[]) }, Ok(()));
            assert_eq!(ring.take(9), [1, 2, 3, 4]);
        }
    }

    /// Red when the second half of a slot keeps what an entry before had there.
    #[test]
    fn a_short_entry_in_a_wide_slot_has_nothing_behind_it() {
        for mut ring in of(SetupFlags::SQE128) {
            for n in 0..4 {
                let at = ring.sq_tail();
                // SAFETY: Lent: a NOP names nothing.
                unsafe { ring.sq.push128(&wide(n, u64::MAX)) }.unwrap();
                assert_eq!(ring.entry128(at), wide(n, u64::MAX));
            }
            // SAFETY: Lent: a NOP names nothing.
            assert_eq!(unsafe { ring.sq.push128(&wide(9, 1)) }, Err(Full));
            assert_eq!(ring.take(4), [0, 1, 2, 3]);
            for n in 4..8 {
                let at = ring.sq_tail();
                // SAFETY: Lent: a NOP names nothing.
                unsafe { ring.sq.push(&nop(n)) }.unwrap();
                assert_eq!(ring.entry128(at), nop(n).into());
            }
        }
    }

    /// Red when an entry of two slots is put into the last and the first, or is published by halves.
    #[test]
    fn no_entry_of_a_mixed_queue_crosses_its_end() {
        for mut ring in of(SetupFlags::SQE_MIXED | SetupFlags::NO_SQARRAY) {
            let mut next = 0;
            for round in 0..24 {
                if round % 3 == 0 {
                    // SAFETY: Lent: a NOP names nothing.
                    unsafe { ring.sq.push(&nop(next)) }.unwrap();
                    assert_eq!(ring.take(9), [next]);
                    next += 1;
                }
                let padded = ring.sq_tail() & 3 == 3;
                // SAFETY: Lent: a NOP names nothing.
                unsafe { ring.sq.push128(&wide(next, next)) }.unwrap();
                let start = ring.sq_tail().wrapping_sub(2);
                assert_eq!(ring.entry128(start), wide(next, next));
                let expected = if padded { vec![PADDING, next] } else { vec![next] };
                assert_eq!(ring.take(9), expected);
                next += 1;
            }
        }
    }

    /// Red when a queue of two slots, of which an entry needs both, is never found to have room.
    #[test]
    fn the_smallest_mixed_queue_takes_every_entry() {
        let mut ring = Fake::new(2, 2, 1, SetupFlags::SQE_MIXED);
        // SAFETY: Lent: a NOP names nothing, here and below.
        assert_eq!(unsafe { ring.sq.push128(&wide(1, 1)) }, Err(Full));
        assert_eq!(ring.take(9), [PADDING]);
        // SAFETY: Lent: see above.
        assert_eq!(unsafe { ring.sq.push128(&wide(1, 1)) }, Ok(()));
        assert_eq!(ring.take(9), [1]);
    }

    /// Red when the padding ends the chain that it stands in, or makes one where none is.
    #[test]
    fn padding_is_a_link_of_its_chain() {
        use SqeFlags as F;
        let silent = F::CQE_SKIP_SUCCESS;
        let link = [
            (F::empty(), silent),
            (F::IO_LINK | F::ASYNC, silent | F::IO_LINK),
            (F::IO_HARDLINK, silent | F::IO_HARDLINK),
        ];
        for (before, expected) in link {
            let mut ring = Fake::new(8, 8, 6, SetupFlags::SQE_MIXED);
            // SAFETY: Lent: a NOP names nothing, here and below.
            unsafe { ring.sq.push(&nop(1).flags(before)) }.unwrap();
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push128(&wide(2, 0)) }.unwrap();
            assert_eq!((ring.entry(7).flags, ring.entry(7).user_data), (expected, PADDING));
            assert_eq!(ring.take(9), [1, PADDING, 2]);
            // The second half of an entry is no entry, whatever is in it; what has been taken is no part of a chain.
            let mut ring = Fake::new(8, 8, 5, SetupFlags::SQE_MIXED);
            let mut entry = wide(1, u64::MAX);
            entry.sqe.flags = before;
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push128(&entry) }.unwrap();
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push128(&wide(2, 0)) }.unwrap();
            assert_eq!(ring.entry(7).flags, expected);
            let mut ring = Fake::new(8, 8, 6, SetupFlags::SQE_MIXED);
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push(&nop(1).flags(before)) }.unwrap();
            assert_eq!((ring.take(1), ring.sq.queued()), (vec![1], 0));
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push128(&wide(2, 0)) }.unwrap();
            assert_eq!(ring.entry(7).flags, silent);
        }
    }

    /// Red when the kernel is told of half an entry, whose rest it would take for the next one.
    #[test]
    fn no_entry_of_a_mixed_queue_is_submitted_by_half() {
        for mut ring in of(SetupFlags::SQE_MIXED | SetupFlags::NO_SQARRAY) {
            while ring.sq_tail() & 3 != 0 {
                // SAFETY: Lent: a NOP names nothing, here and below.
                unsafe { ring.sq.push(&nop(0)) }.unwrap();
                ring.take(9);
            }
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push(&nop(1)) }.unwrap();
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push128(&wide(2, u64::MAX)) }.unwrap();
            // SAFETY: Lent: see above.
            unsafe { ring.sq.push(&nop(3)) }.unwrap();
            assert_eq!([0, 1, 2, 3, 4, 9].map(|n| ring.sq.whole(n)), [0, 1, 3, 3, 4, 4]);
            assert_eq!(ring.take(1), [1]);
            let n = ring.sq.whole(1);
            assert_eq!((n, ring.take(n), ring.sq.whole(u32::MAX)), (2, vec![2], 1));
        }
    }

    #[test]
    #[should_panic(expected = "has 64 bytes")]
    fn a_mixed_queue_takes_no_short_entry_for_a_long_one() {
        // SAFETY: Lent: a NOP names nothing.
        let _ = unsafe { Fake::new(4, 8, 0, SetupFlags::SQE_MIXED).sq.push128(&nop(0).into()) };
    }

    #[test]
    #[should_panic(expected = "SQE128 or SQE_MIXED")]
    fn a_narrow_queue_takes_no_wide_entry() {
        // SAFETY: Lent: a NOP names nothing.
        let _ = unsafe { Fake::new(4, 8, 0, SetupFlags::empty()).sq.push128(&wide(0, 0)) };
    }

    /// Red when the shared positions move, or what was not taken is lost, doubled or out of order.
    #[test]
    fn a_queue_that_rewinds_begins_with_its_first_slot() {
        for width in [SetupFlags::empty(), SetupFlags::SQE128, SetupFlags::SQE_MIXED] {
            let mut ring = Fake::new(4, 8, 0, SetupFlags::SQ_REWIND | SetupFlags::NO_SQARRAY | width);
            for round in 0..5 {
                // SAFETY: Lent: a NOP names nothing, here and below.
                (0..4).for_each(|n| unsafe { ring.sq.push(&nop(10 * round + n)) }.unwrap());
                // SAFETY: Lent: see above.
                assert_eq!(unsafe { ring.sq.push(&nop(9)) }, Err(Full));
                assert_eq!(ring.take(3), [0, 1, 2].map(|n| 10 * round + n));
                assert_eq!((ring.sq.queued(), ring.sq.space_left()), (1, 3));
                // SAFETY: Lent: see above.
                unsafe { ring.sq.push(&nop(10 * round + 4)) }.unwrap();
                assert_eq!(ring.take(9), [3, 4].map(|n| 10 * round + n));
                assert_eq!((ring.sq_tail(), ring.sq.queued(), ring.sq.poisoned()), (0, 0, false));
            }
            ring.sq.taken(1);
            assert!(ring.sq.poisoned(), "more than there was");
        }
    }

    #[test]
    fn flags_and_counters_are_the_kernels() {
        let ring = Fake::new(4, 8, 0, SetupFlags::NO_SQARRAY);
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
