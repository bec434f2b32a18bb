//! What we know ourselves of the buffers of a group: which are on offer, where on the ring, and how far each is filled.
//!
//! The kernel tells only the first buffer of a completion, and writes over the entries of an incremental ring. So what
//! a completion brings is found by this account, and what cannot be is refused (**Kernel's word**). It is pure.

use super::buf_ring::Lie;

/// The account.
#[derive(Debug)]
pub(super) struct Shadow {
    /// By the buffer's number.
    notes: Box<[Note]>,
    /// Which buffer was offered at each place of the ring, last.
    order: Box<[u16]>,
    /// The next position to offer a buffer at; runs on for ever (**Counters wrap**).
    tail: u16,
    on_offer: u32,
    /// The kernel goes on with a buffer while at least so much of it is left.
    min_left: Option<u32>,
}

/// What is known of a buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    on_offer: bool,
    /// Where it was offered last.
    position: u16,
    len: u32,
    /// How much of it was brought.
    used: u32,
}

/// What of a buffer a completion brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The buffer's number.
    pub bid: u16,
    /// Where in the buffer it begins: only an incremental group has others than 0.
    pub offset: u32,
    /// How many bytes it is.
    pub len: u32,
    /// Whether the buffer is not the kernel's any more. If not, more of it follows with other completions.
    pub done: bool,
}

/// The buffers that follow each other in a completion, from [`BufRing::take_bundle`](super::BufRing::take_bundle).
#[derive(Debug)]
pub struct Parts<'a> {
    shadow: &'a Shadow,
    /// The next buffer.
    bid: u16,
    offset: u32,
    left: u32,
    count: u16,
}

/// What a completion says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The first buffer.
    pub(super) bid: u16,
    pub(super) bytes: u32,
    /// The kernel says that it goes on with the last one.
    pub(super) more: bool,
    /// No other request, nor this one, has taken anything since.
    pub(super) is_final: bool,
    /// The bytes may lie in several.
    pub(super) bundle: bool,
}

impl Shadow {
    /// No buffer of `count` is on offer, and the first is to be at the position `tail`.
    pub(super) fn new(count: u32, tail: u16, min_left: Option<u32>) -> Shadow {
        let notes = vec![Note::default(); count as usize].into();
        let order = vec![0; count as usize].into();
        Shadow { notes, order, tail, on_offer: 0, min_left }
    }

    pub(super) fn count(&self) -> u32 {
        self.notes.len() as u32
    }

    pub(super) fn on_offer(&self) -> u32 {
        self.on_offer
    }

    pub(super) fn tail(&self) -> u16 {
        self.tail
    }

    /// Whether a buffer can be offered: there is such a number, and it is not on offer. Then there is a place for it,
    /// as there are as many of them as numbers.
    pub(super) fn can_offer(&self, bid: u16) -> bool {
        self.notes.get(usize::from(bid)).is_some_and(|note| !note.on_offer)
    }

    /// Notes that a buffer that can be offered was, at the tail.
    pub(super) fn offer(&mut self, bid: u16, len: u32) {
        let slot = self.slot(self.tail);
        self.notes[usize::from(bid)] = Note { on_offer: true, position: self.tail, len, used: 0 };
        self.order[slot] = bid;
        self.tail = self.tail.wrapping_add(1);
        self.on_offer += 1;
    }

    /// How much of a buffer is ours: the whole of what was offered, or what was brought so far.
    pub(super) fn ours(&self, bid: u16) -> Option<u32> {
        let note = self.notes.get(usize::from(bid))?;
        Some(if note.on_offer { note.used } else { note.len })
    }

    /// Notes what a completion brought. `room` says how long the kernel thinks that the buffer at a position is: some
    /// kernels make it shorter there.
    ///
    /// # Errors
    /// When it cannot be true, and then it has brought nothing.
    pub(super) fn take(&mut self, answer: Answer, room: impl Fn(u16) -> u32) -> Result<Parts<'_>, Lie> {
        let note = self.notes.get_mut(usize::from(answer.bid)).filter(|note| note.on_offer).ok_or(Lie)?;
        let first = note.position;
        if self.min_left.is_none() {
            if answer.more {
                return Err(Lie);
            }
            // Its place may be another's by now: the kernel went past it when it took the buffer, and its request may
            // be answered long after one that came later. A worker, of which alone this is so, takes no more than one.
            let is_alone = self.order[usize::from(first) & (self.order.len() - 1)] != answer.bid;
            if answer.bundle && is_alone && answer.bytes > note.len {
                return Err(Lie);
            }
            if !answer.bundle || is_alone {
                (note.on_offer, note.used) = (false, note.len);
                self.on_offer -= 1;
                return Ok(Parts { shadow: self, bid: answer.bid, offset: 0, left: answer.bytes, count: 1 });
            }
        }
        let (mut left, mut count) = (answer.bytes, 0_u16);
        loop {
            if u32::from(count) == self.count() {
                return Err(Lie);
            }
            let position = first.wrapping_add(count);
            let space = self.space(position, room(position)).ok_or(Lie)?;
            if count > 0 && self.is_begun(position) {
                return Err(Lie);
            }
            count += 1;
            if left <= space || !answer.bundle {
                // A message that was cut is told with its whole length.
                left = left.min(space);
                break;
            }
            left -= space;
        }
        let offset = self.notes[usize::from(answer.bid)].used;
        for position in (0..count - 1).map(|n| first.wrapping_add(n)) {
            self.finish(position, room(position));
        }
        let last = first.wrapping_add(count - 1);
        self.advance(last, left, room(last), answer);
        let bytes = if answer.bundle { answer.bytes } else { left };
        Ok(Parts { shadow: self, bid: answer.bid, offset, left: bytes, count })
    }

    /// What a completion without a buffer brought.
    pub(super) fn nothing(&self) -> Parts<'_> {
        Parts { shadow: self, bid: 0, offset: 0, left: 0, count: 0 }
    }

    /// How much the buffer that is on offer at a position has left.
    fn space(&self, position: u16, room: u32) -> Option<u32> {
        let note = self.notes[usize::from(self.order[self.slot(position)])];
        let is_there = note.on_offer && note.position == position;
        let space = self.length(note, room).saturating_sub(note.used);
        (is_there && space > 0).then_some(space)
    }

    /// Whether a part of the buffer at a position was brought before: the kernel begins none before the last is full.
    fn is_begun(&self, position: u16) -> bool {
        self.notes[usize::from(self.order[self.slot(position)])].used > 0
    }

    /// How long a buffer is: in an incremental ring, what the kernel writes there is what is left.
    fn length(&self, note: Note, room: u32) -> u32 {
        if self.min_left.is_some() { note.len } else { note.len.min(room) }
    }

    /// Takes the buffer at a position off the ring.
    fn finish(&mut self, position: u16, room: u32) {
        let bid = usize::from(self.order[self.slot(position)]);
        let len = self.length(self.notes[bid], room);
        self.notes[bid] = Note { on_offer: false, len, used: len, position };
        self.on_offer -= 1;
    }

    /// Notes that `bytes` more of the buffer at a position were brought, and whether it is off the ring by that.
    fn advance(&mut self, position: u16, bytes: u32, room: u32, answer: Answer) {
        let bid = usize::from(self.order[self.slot(position)]);
        let note = &mut self.notes[bid];
        note.used += bytes;
        if answer.is_final && self.min_left.is_some() {
            // A read of a file takes what it asked for, and may have found less.
            note.used = note.used.max(note.len.saturating_sub(room));
        }
        let left = note.len - note.used;
        // Some kernels forget to say that they go on with a buffer (6.12 before 6.12.81, at the end of a file).
        let goes_on = self.min_left.is_some_and(|min_left| answer.more || left >= min_left.max(1));
        if !goes_on {
            self.finish(position, room);
        }
    }

    fn slot(&self, position: u16) -> usize {
        usize::from(position) & (self.order.len() - 1)
    }
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.count == 0 {
            return None;
        }
        let note = self.shadow.notes[usize::from(self.bid)];
        let len = self.left.min(note.len - self.offset);
        let part = Part { bid: self.bid, offset: self.offset, len, done: !note.on_offer };
        self.bid = self.shadow.order[self.shadow.slot(note.position.wrapping_add(1))];
        (self.offset, self.left, self.count) = (0, self.left - len, self.count - 1);
        Some(part)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count.into(), Some(self.count.into()))
    }
}

impl ExactSizeIterator for Parts<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` buffers of ten bytes, offered in order from the position `tail` on.
    fn shadow(count: u16, tail: u16, min_left: Option<u32>) -> Shadow {
        let mut shadow = Shadow::new(count.into(), tail, min_left);
        (0..count).for_each(|bid| shadow.offer(bid, 10));
        shadow
    }

    fn take(shadow: &mut Shadow, bid: u16, bytes: u32, bundle: bool, more: bool) -> Option<Vec<Part>> {
        let parts = shadow.take(Answer { bid, bytes, more, bundle, is_final: false }, |_| 10).ok()?;
        Some(parts.collect())
    }

    fn part(bid: u16, offset: u32, len: u32, done: bool) -> Part {
        Part { bid, offset, len, done }
    }

    /// Red when a bundle goes by numbers and not by places, or stops at the wrap.
    #[test]
    fn a_bundle_follows_the_ring_across_the_wrap() {
        for tail in [0, u16::MAX, u16::MAX - 1, u16::MAX - 3] {
            let mut shadow = shadow(4, tail, None);
            let first = [part(0, 0, 10, true), part(1, 0, 10, true), part(2, 0, 5, true)];
            assert_eq!(take(&mut shadow, 0, 25, true, false).unwrap(), first);
            [1, 2, 0].into_iter().for_each(|bid| shadow.offer(bid, 10));
            let all = [3, 1, 2, 0].map(|bid| part(bid, 0, 10, true));
            assert_eq!(take(&mut shadow, 3, 40, true, false).unwrap(), all, "{tail}");
            assert_eq!(shadow.on_offer(), 0);
        }
    }

    /// Red when a lie takes a buffer away, or brings one twice.
    #[test]
    fn lies_bring_nothing() {
        let mut shadow = shadow(4, 9, None);
        let mut lie = |bid, bytes, bundle, more| assert_eq!(take(&mut shadow, bid, bytes, bundle, more), None);
        lie(4, 1, false, false);
        lie(u16::MAX, 1, true, false);
        lie(2, 21, true, false);
        lie(0, u32::MAX, true, false);
        lie(0, 1, false, true);
        assert_eq!(shadow.on_offer(), 4);
        assert_eq!(take(&mut shadow, 1, 99, false, false).unwrap(), [part(1, 0, 10, true)], "a message that was cut");
        assert_eq!(take(&mut shadow, 1, 1, false, false), None);
        assert_eq!(take(&mut shadow, 0, 11, true, false), None, "the next one is ours");
        assert!(!shadow.can_offer(0) && shadow.can_offer(1) && !shadow.can_offer(4));
        assert_eq!(take(&mut shadow, 0, 0, false, false).unwrap(), [part(0, 0, 0, true)]);
    }

    /// Red when an incremental buffer is given out before the kernel is done with it, or from its start again.
    #[test]
    fn an_incremental_buffer_comes_in_parts() {
        let mut shadow = shadow(2, 0, Some(3));
        assert_eq!(take(&mut shadow, 0, 4, false, true).unwrap(), [part(0, 0, 4, false)]);
        assert_eq!((shadow.ours(0), shadow.can_offer(0)), (Some(4), false));
        assert_eq!(take(&mut shadow, 0, 2, false, false).unwrap(), [part(0, 4, 2, false)], "a flag that was forgotten");
        assert_eq!(take(&mut shadow, 0, 2, false, false).unwrap(), [part(0, 6, 2, true)], "two are left, less than 3");
        assert_eq!((shadow.ours(0), shadow.ours(1), shadow.ours(2)), (Some(10), Some(0), None));
        shadow.offer(0, 10);
        let both = [part(1, 0, 10, true), part(0, 0, 1, false)];
        assert_eq!(take(&mut shadow, 1, 11, true, true).unwrap(), both);
        assert_eq!(take(&mut shadow, 0, 9, false, true).unwrap(), [part(0, 1, 9, false)]);
        assert_eq!(take(&mut shadow, 0, 1, false, false), None, "there is nothing left of it");
    }

    /// Red when bytes that were brought before are brought again.
    #[test]
    fn a_bundle_ends_before_a_buffer_that_was_begun() {
        let mut shadow = shadow(2, 0, Some(1));
        assert_eq!(take(&mut shadow, 1, 4, false, true).unwrap(), [part(1, 0, 4, false)]);
        assert_eq!(take(&mut shadow, 0, 11, true, true), None);
        assert_eq!(take(&mut shadow, 0, 10, true, false).unwrap(), [part(0, 0, 10, true)]);
        assert_eq!(take(&mut shadow, 1, 6, true, false).unwrap(), [part(1, 4, 6, true)]);
    }

    /// Red when a kernel's shorter entry is not seen, or a longer one is believed.
    #[test]
    fn an_entry_may_have_been_made_shorter() {
        let mut shadow = shadow(4, 0, None);
        let room = |position| [4, 10, 0, u32::MAX][usize::from(position) & 3];
        let answer = |bid, bytes| Answer { bid, bytes, more: false, bundle: true, is_final: true };
        let parts: Vec<Part> = shadow.take(answer(0, 12), room).unwrap().collect();
        assert_eq!(parts, [part(0, 0, 4, true), part(1, 0, 8, true)]);
        assert!(shadow.take(answer(2, 1), room).is_err());
        let parts: Vec<Part> = shadow.take(answer(3, 10), room).unwrap().collect();
        assert_eq!(parts, [part(3, 0, 10, true)]);
    }

    /// A worker may have the first of two buffers for long, while the second comes and goes. Red when the first is no
    /// buffer any more, or is measured by the one that is at its place now.
    #[test]
    fn a_buffer_may_come_back_after_its_place_was_given_away() {
        let mut shadow = shadow(2, 0, None);
        let mut read = |bid, offered| {
            let answer = Answer { bid, bytes: 10, more: false, bundle: false, is_final: true };
            let parts: Vec<Part> = shadow.take(answer, |_| 4).unwrap().collect();
            assert_eq!(parts, [part(bid, 0, 10, true)]);
            shadow.offer(bid, offered);
        };
        read(1, 4);
        read(0, 10);
        // Entries that could have a bundle get a single buffer of a worker, too.
        assert_eq!(take(&mut shadow, 0, 4, true, false).unwrap(), [part(0, 0, 4, true)]);
        shadow.offer(0, 10);
        shadow.take(Answer { bid: 0, bytes: 1, more: false, bundle: false, is_final: true }, |_| 10).unwrap();
        shadow.offer(0, 10);
        assert_eq!(take(&mut shadow, 1, 11, true, false), None, "it is alone, and has no more room");
        assert_eq!(take(&mut shadow, 1, 4, true, false).unwrap(), [part(1, 0, 4, true)]);
    }

    /// A read of a file takes what it asks for. Red when the next part is looked for where the read has ended, or a
    /// buffer that was used up by one that found nothing stays on offer.
    #[test]
    fn a_short_read_takes_more_than_it_brings() {
        let mut shadow = shadow(2, 0, Some(0));
        let mut read = |bid, bytes, more, left| {
            let answer = Answer { bid, bytes, more, bundle: false, is_final: true };
            shadow.take(answer, |_| left).unwrap().next().unwrap()
        };
        assert_eq!(read(0, 2, true, 7), part(0, 0, 2, false));
        assert_eq!(read(0, 1, true, 5), part(0, 3, 1, false));
        assert_eq!(read(0, 0, false, 0), part(0, 5, 0, true));
        assert_eq!(read(1, 4, true, u32::MAX), part(1, 0, 4, false), "more is left than there was");
        assert_eq!(shadow.ours(1), Some(4));
    }
}
