//! The memory of a buffer group: buffers of one size, and the ring of entries that says which of them may be filled.
//!
//! The ring has the kernel's form ([`Entries`]). The kernel takes buffers from its front when the ring is registered
//! with it; otherwise a driver in user space does, by [`Group::peek`] and [`Group::pop`].
//!
//! **Lent** holds for each buffer by its number: it is the other side's from [`Group::give`] until [`Group::take`]
//! noted that it came back in a completion, and then belongs to whoever asked for it.
//!
//! A completion may bring several buffers at once, a bundle: those that follow each other on the ring, from the one
//! that it names. Which these are, and how much is in each, is read from the ring and checked (**Kernel's word**).

use crate::sys::buf_ring::{self, Buffer, Entries};
use memmap2::MmapRaw;
use std::{cell::Cell, fmt, io, ptr::NonNull};

/// Buffers, and the ring that offers them.
pub(crate) struct Group {
    ring: Entries,
    memory: MmapRaw,
    /// Bytes in each buffer.
    size: u32,
    /// By number.
    notes: Box<[Note]>,
    out_count: Cell<u32>,
    /// The next position to offer a buffer at, and the next to take one from. Both run on for ever (**Counters
    /// wrap**): they are only masked, and compared for equality.
    tail: Cell<u16>,
    head: Cell<u16>,
    /// How many buffers were ever taken; runs on for ever.
    taken: Cell<u32>,
    /// Somebody waits for a buffer.
    starved: Cell<bool>,
}

/// What is known of a buffer.
struct Note {
    /// In how many parts it is with its user; in none, it is on offer.
    parts: Cell<u32>,
    /// Where it was offered last.
    position: Cell<u16>,
    /// Who counts the buffers that it has out, and has this one.
    holder: Cell<Option<u64>>,
}

/// What follows from a buffer's return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// Somebody waits for it, and is to be told.
    pub(crate) starved: bool,
    /// Who counted it.
    pub(crate) holder: Option<u64>,
}

impl Given {
    /// Whether nobody has to be told.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Given::default()
    }
}

impl Group {
    /// `count` buffers (a power of two) of `size` bytes, all on offer.
    ///
    /// # Errors
    /// `InvalidInput` for numbers that no group can have; `ENOMEM`.
    pub(crate) fn new(count: u32, size: u32) -> io::Result<Group> {
        let (ring, memory) = (Entries::new(count)?, buf_ring::arena(count, size)?);
        let note = |_| Note { parts: Cell::new(1), position: Cell::new(0), holder: Cell::new(None) };
        let notes = (0..count).map(note).collect();
        let (out_count, taken, starved) = (Cell::new(count), Cell::new(0), Cell::new(false));
        let (tail, head) = (Cell::new(0), Cell::new(0));
        let group = Group { ring, memory, size, notes, out_count, tail, head, taken, starved };
        for bid in 0..count as u16 {
            group.give(bid);
        }
        Ok(group)
    }

    /// Where the ring lies, as an address that is page-aligned.
    #[allow(dead_code, reason = "where no kernel has rings, nobody registers one")]
    pub(crate) fn ring(&self) -> u64 {
        self.ring.address()
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> u32 {
        self.notes.len() as u32
    }

    /// Bytes in each buffer.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// How many buffers are on offer.
    pub(crate) fn offered(&self) -> u32 {
        self.count() - self.out_count.get()
    }

    /// Where buffer `bid` lies.
    pub(crate) fn buffer(&self, bid: u16) -> NonNull<u8> {
        let offset = usize::from(bid) * self.size as usize;
        assert!(offset < self.memory.len(), "annulus: a buffer that the group does not have");
        // SAFETY: Laid out: just checked that the buffer lies in the map, which is there as long as `self`.
        let at = unsafe { self.memory.as_mut_ptr().add(offset) };
        NonNull::new(at).expect("mmap gives no null")
    }

    /// Asks to be told of the next buffer that is given.
    pub(crate) fn starve(&self) {
        self.starved.set(true);
    }

    /// Notes that a buffer is with its user in one part more.
    pub(crate) fn share(&self, bid: u16) {
        let parts = &self.notes[usize::from(bid)].parts;
        assert!(parts.get() > 0, "annulus: a part of a buffer that is on offer");
        parts.set(parts.get().checked_add(1).expect("annulus: a buffer in 2^32 parts"));
    }

    /// Takes a part of a buffer back from its user, and offers the buffer if that was the last. Does nothing with one
    /// that is on offer already.
    pub(crate) fn give(&self, bid: u16) -> Given {
        let Some(note) = self.notes.get(usize::from(bid)).filter(|note| note.parts.get() > 0) else {
            return Given::default();
        };
        note.parts.set(note.parts.get() - 1);
        if note.parts.get() > 0 {
            return Given::default();
        }
        self.out_count.set(self.out_count.get() - 1);
        self.offer(bid);
        Given { starved: self.starved.replace(false), holder: note.holder.take() }
    }

    /// Puts a buffer at the ring's end.
    fn offer(&self, bid: u16) {
        let tail = self.tail.get();
        self.notes[usize::from(bid)].position.set(tail);
        self.ring.write(tail, Buffer { addr: self.buffer(bid).as_ptr() as u64, len: self.size, bid });
        self.tail.set(tail.wrapping_add(1));
        self.ring.publish(self.tail.get());
    }

    /// Notes that a completion brought buffer `bid` back, for `holder` to count. `false` when it cannot have: the group
    /// has no such buffer, or it is with its user already.
    pub(crate) fn take(&self, bid: u16, holder: Option<u64>) -> bool {
        let Some(note) = self.notes.get(usize::from(bid)).filter(|note| note.parts.get() == 0) else { return false };
        note.parts.set(1);
        note.holder.set(holder);
        self.out_count.set(self.out_count.get() + 1);
        self.taken.set(self.taken.get().wrapping_add(1));
        true
    }

    /// A number that is another one when a buffer was taken since.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.get()
    }

    /// Notes that a completion brought `bytes` back in a bundle that begins with buffer `bid`. Tells of each buffer how
    /// much is in it. `false` when it cannot have, and then it has brought nothing.
    pub(crate) fn take_bundle(
        &self,
        bid: u16,
        bytes: u32,
        holder: Option<u64>,
        mut each: impl FnMut(u16, u32),
    ) -> bool {
        let Some(first) = self.notes.get(usize::from(bid)).map(|note| note.position.get()) else { return false };
        let Some(count) = self.length(first, bytes) else { return false };
        let mut left = bytes;
        for position in (0..count).map(|n| first.wrapping_add(n)) {
            let Some((bid, room)) = self.offered_at(position) else { return false };
            self.take(bid, holder);
            each(bid, left.min(room));
            left = left.saturating_sub(room);
        }
        true
    }

    /// How many of the buffers that are on offer from the position `first` on are filled by `bytes`; one by none.
    fn length(&self, first: u16, bytes: u32) -> Option<u16> {
        let (mut left, mut count) = (bytes, 0);
        while u32::from(count) < self.count() {
            left = left.saturating_sub(self.offered_at(first.wrapping_add(count))?.1);
            count += 1;
            if left == 0 {
                return Some(count);
            }
        }
        None
    }

    /// Which buffer is on offer at a position of the ring, and how much fits into it: some kernels make it less there.
    fn offered_at(&self, position: u16) -> Option<(u16, u32)> {
        let Buffer { len, bid, .. } = self.ring.read(position);
        let note = self.notes.get(usize::from(bid))?;
        let is_there = note.parts.get() == 0 && note.position.get() == position;
        (is_there && len > 0).then_some((bid, len.min(self.size)))
    }

    /// The first buffer on offer, for a driver in user space.
    pub(crate) fn peek(&self) -> Option<u16> {
        if self.head.get() == self.tail.get() {
            return None;
        }
        Some(self.ring.read(self.head.get()).bid)
    }

    /// Takes the first buffer off the ring.
    pub(crate) fn pop(&self) {
        self.head.set(self.head.get().wrapping_add(1));
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} buffers of {} bytes on offer", self.offered(), self.count(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_go_round_in_their_order_across_the_wrap() {
        let group = Group::new(4, 10).unwrap();
        for round in 0..70_000u32 {
            let bid = group.peek().unwrap();
            assert_eq!(u32::from(bid), round % 4);
            group.pop();
            assert!(group.take(bid, None) && group.offered() == 3);
            group.give(bid);
        }
        assert_eq!(group.offered(), 4);
    }

    #[test]
    fn an_empty_group_says_so() {
        let group = Group::new(2, 1).unwrap();
        for _ in 0..2 {
            let bid = group.peek().unwrap();
            group.pop();
            assert!(group.take(bid, None));
        }
        assert_eq!((group.peek(), group.offered()), (None, 0));
        group.give(1);
        assert_eq!((group.peek(), group.offered()), (Some(1), 1));
    }

    #[test]
    fn numbers_that_lie_find_nothing() {
        let group = Group::new(2, 8).unwrap();
        assert!(!group.take(2, None) && !group.take(u16::MAX, None), "the group has no such buffers");
        assert!(group.take(0, None) && !group.take(0, None), "twice");
        group.give(1);
        group.give(7);
        assert_eq!(group.offered(), 1, "what is on offer is not offered again");
    }

    #[test]
    fn a_buffer_in_parts_is_on_offer_after_the_last() {
        let group = Group::new(1, 8).unwrap();
        assert!(group.take(0, Some(7)));
        group.share(0);
        assert!(group.give(0).is_silent());
        assert!(!group.take(0, None), "a part is still out");
        assert_eq!(group.offered(), 0);
        assert_eq!(group.give(0), Given { starved: false, holder: Some(7) });
        assert_eq!((group.offered(), group.take(0, None)), (1, true));
        assert!(group.give(0).is_silent());
    }

    /// What a bundle brought, or nothing.
    fn bundle(group: &Group, bid: u16, bytes: u32) -> Option<Vec<(u16, u32)>> {
        let mut parts = Vec::new();
        group.take_bundle(bid, bytes, Some(1), |bid, len| parts.push((bid, len))).then_some(parts)
    }

    /// Puts `len` into a buffer's entry, as some kernels do.
    fn shorten(group: &Group, bid: u16, len: u32) {
        let position = group.notes[usize::from(bid)].position.get();
        group.ring.write(position, Buffer { len, ..group.ring.read(position) });
    }

    /// Red when a bundle goes by numbers and not by places, or past the ring's end.
    #[test]
    fn a_bundle_follows_the_ring() {
        let group = Group::new(4, 10).unwrap();
        assert_eq!(bundle(&group, 0, 25), Some(vec![(0, 10), (1, 10), (2, 5)]));
        for bid in [1, 2, 0] {
            assert_eq!(group.give(bid).holder, Some(1));
        }
        assert_eq!(bundle(&group, 3, 40), Some(vec![(3, 10), (1, 10), (2, 10), (0, 10)]));
        for bid in 0..4 {
            group.give(bid);
        }
        assert_eq!(bundle(&group, 0, 0), Some(vec![(0, 0)]), "one that was chosen for nothing");
        shorten(&group, 1, 4);
        assert_eq!(bundle(&group, 1, 12), Some(vec![(1, 4), (2, 8)]));
        assert_eq!(group.offered(), 1);
    }

    /// Red when a lie takes a buffer away, or one is given out twice, or a length is believed.
    #[test]
    fn a_bundle_that_lies_brings_nothing() {
        let group = Group::new(4, 10).unwrap();
        assert_eq!(bundle(&group, 4, 10), None, "no such buffer");
        assert_eq!(bundle(&group, 2, 21), None, "more than is on offer from there on");
        assert_eq!(bundle(&group, 0, u32::MAX), None);
        assert_eq!(group.offered(), 4);
        assert!(group.take(1, None));
        assert_eq!(bundle(&group, 0, 11), None, "the next one is with its user");
        assert_eq!(bundle(&group, 1, 1), None, "and the first");
        shorten(&group, 0, 0);
        assert_eq!(bundle(&group, 0, 5), None, "no room at all");
        shorten(&group, 0, u32::MAX);
        assert_eq!(bundle(&group, 0, 10), Some(vec![(0, 10)]));
        group.give(1);
        assert_eq!(bundle(&group, 1, 11), None, "it is the last on offer");
        assert_eq!(group.offered(), 3);
    }

    #[test]
    fn buffers_do_not_overlap() {
        let group = Group::new(4, 3).unwrap();
        let places: Vec<usize> = (0..4).map(|bid| group.buffer(bid).as_ptr() as usize).collect();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == 3));
        assert_eq!(group.ring() % 4096, 0);
    }

    #[test]
    fn absurd_groups_are_refused() {
        for (count, size) in [(0, 8), (3, 8), (1 << 16, 8), (1, 0), (1, 1 << 31), (1 << 15, i32::MAX as u32)] {
            let made = Group::new(count, size);
            if size != i32::MAX as u32 {
                assert_eq!(made.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{count} of {size}");
            }
        }
    }
}
