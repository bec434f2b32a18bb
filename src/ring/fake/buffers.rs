//! The account of a group of buffers and the memory of its ring, held to a list of what is on offer.

use crate::{
    ring::shadow::{Answer, Part, Shadow},
    sys::buf_ring::{Buffer, Entries},
};
use std::cell::RefCell;

/// Four bytes say how large the ring is, where it starts and whether it is incremental; each eight that follow are a
/// step: a buffer is offered, the kernel writes over an entry, or a completion comes, true or not.
pub fn buf_ring(script: &[u8]) {
    let Some((&[kind, min_left, low, high], steps)) = script.split_first_chunk::<4>() else { return };
    let (count, start) = (1 << (kind & 3), u16::from_le_bytes([low, high]));
    let min_left = (kind & 4 != 0).then_some(u32::from(min_left));
    // A ring of each size is made once for a thread: what stands in it from before, the model knows as well.
    let entries = RINGS.with_borrow_mut(|rings| rings[usize::from(kind & 3)].take());
    let entries = entries.unwrap_or_else(|| Entries::new(count).expect("a ring of a size that there is"));
    let bytes = memory(&entries, count).to_vec();
    let mut play = Play {
        shadow: Shadow::new(count, start, min_left),
        entries,
        bytes,
        min_left,
        tail: start,
        places: vec![None; count as usize],
        ours: vec![0; count as usize],
        lost: vec![None; count as usize],
    };
    for step in steps.chunks_exact(8).take(256) {
        let [op, flags, a, b, w @ ..] = *step.first_chunk::<8>().expect("eight bytes");
        let (bid, len) = (u16::from_le_bytes([a, b]), u32::from_le_bytes(w));
        match op % 4 {
            0 => play.offer(bid, len),
            1 => play.write_over(bid, len),
            _ => {
                let [more, bundle, is_final] = [1, 2, 4].map(|bit| flags & bit != 0);
                play.complete(Answer { bid, bytes: len, more, bundle, is_final });
            }
        }
        play.check();
    }
    RINGS.with_borrow_mut(|rings| rings[usize::from(kind & 3)] = Some(play.entries));
}

thread_local! {
    static RINGS: RefCell<[Option<Entries>; 4]> = const { RefCell::new([const { None }; 4]) };
}

/// What a ring's memory holds.
fn memory(entries: &Entries, count: u32) -> &[u8] {
    // SAFETY: Mapped: the ring is as long as its entries, and nobody writes to it while it is borrowed.
    unsafe { std::slice::from_raw_parts(entries.address() as *const u8, 16 * count as usize) }
}

/// A buffer that is on offer.
#[derive(Clone, Copy)]
struct Offer {
    position: u16,
    bid: u16,
    len: u32,
    used: u32,
}

struct Play {
    shadow: Shadow,
    entries: Entries,
    /// What the ring's memory holds.
    bytes: Vec<u8>,
    min_left: Option<u32>,
    tail: u16,
    /// What is on offer, by places of the ring.
    places: Vec<Option<Offer>>,
    /// How much of each buffer is the program's.
    ours: Vec<u32>,
    /// On offer, but another buffer was offered at the place: a worker of the kernel's may have it.
    lost: Vec<Option<Offer>>,
}

impl Play {
    fn at(&self, position: u16) -> usize {
        usize::from(position) % self.places.len()
    }

    fn is_on_offer(&self, bid: usize) -> bool {
        self.lost[bid].is_some() || self.places.iter().flatten().any(|offer| usize::from(offer.bid) == bid)
    }

    fn offer(&mut self, bid: u16, len: u32) {
        let number = usize::from(bid);
        let can = number < self.ours.len() && !self.is_on_offer(number);
        assert_eq!(self.shadow.can_offer(bid), can);
        if !can {
            return;
        }
        let (position, addr) = (self.tail, u64::from(len) << 20 | u64::from(bid));
        self.entries.write(position, Buffer { addr, len, bid });
        self.shadow.offer(bid, len);
        self.entries.publish(self.shadow.tail());
        self.tail = position.wrapping_add(1);
        let place = self.at(position);
        let entry = &mut self.bytes[16 * place..][..16];
        entry[..8].copy_from_slice(&addr.to_ne_bytes());
        entry[8..12].copy_from_slice(&len.to_ne_bytes());
        entry[12..14].copy_from_slice(&bid.to_ne_bytes());
        self.bytes[14..16].copy_from_slice(&self.tail.to_ne_bytes());
        if let Some(old) = self.places[place].replace(Offer { position, bid, len, used: 0 }) {
            self.lost[usize::from(old.bid)] = Some(old);
        }
        self.ours[number] = 0;
    }

    /// The kernel makes an entry another.
    fn write_over(&mut self, position: u16, len: u32) {
        let buffer = Buffer { addr: !u64::from(len), len, bid: !position };
        self.entries.write(position, buffer);
        let entry = 16 * self.at(position);
        let told = [&buffer.addr.to_ne_bytes()[..], &len.to_ne_bytes(), &buffer.bid.to_ne_bytes()].concat();
        self.bytes[entry..entry + 14].copy_from_slice(&told);
    }

    /// What the entry at a position says of its length.
    fn room(&self, position: u16) -> u32 {
        let entry = &self.bytes[16 * self.at(position)..];
        u32::from_ne_bytes([entry[8], entry[9], entry[10], entry[11]])
    }

    /// How long the buffer at a position is, if it is on offer there.
    fn length(&self, position: u16) -> Option<(Offer, u32)> {
        let offer = self.places[self.at(position)].filter(|offer| offer.position == position)?;
        let cut = if self.min_left.is_some() { offer.len } else { offer.len.min(self.room(position)) };
        Some((offer, cut))
    }

    /// The parts that a completion must bring, and how much of the last buffer is used then; nothing if it lies.
    fn expected(&self, answer: Answer) -> Option<(Vec<Part>, u32)> {
        let here = self.places.iter().flatten().find(|offer| offer.bid == answer.bid);
        if self.min_left.is_none() {
            if answer.more {
                return None;
            }
            if let Some(Offer { bid, len, .. }) = self.alone(answer) {
                let fits = answer.bytes <= len || !answer.bundle;
                let part = Part { bid, offset: 0, len: answer.bytes.min(len), done: true };
                return fits.then(|| (vec![part], len));
            }
        }
        let first = here?.position;
        let (mut left, mut parts) = (answer.bytes, Vec::new());
        for position in (0..self.places.len() as u16).map(|n| first.wrapping_add(n)) {
            let (Offer { bid, used, .. }, cut) = self.length(position)?;
            let space = cut.checked_sub(used).filter(|&space| space > 0)?;
            if position != first && used > 0 {
                return None; // that one was begun out of turn
            }
            let ends = left <= space || !answer.bundle;
            let len = left.min(space);
            parts.push(Part { bid, offset: used, len, done: true });
            left -= len;
            if ends {
                // The kernel's own account of what is left counts only if nothing was taken since.
                let kernels = if answer.is_final { cut.saturating_sub(self.room(position)) } else { 0 };
                let used = kernels.max(used + len);
                let rest = cut - used;
                let last = parts.last_mut()?;
                last.done = !self.min_left.is_some_and(|min| answer.more || (rest > 0 && rest >= min));
                return Some((parts, used));
            }
        }
        None
    }

    /// The buffer, if it is known by its number whatever is at its place, and brought whole.
    fn alone(&self, answer: Answer) -> Option<Offer> {
        let here = self.places.iter().flatten().find(|offer| offer.bid == answer.bid).copied();
        self.lost.get(usize::from(answer.bid)).copied()?.or(here.filter(|_| !answer.bundle))
    }

    fn complete(&mut self, answer: Answer) {
        let alone = self.alone(answer).filter(|_| self.min_left.is_none());
        let expected = self.expected(answer);
        let entries = &self.entries;
        let found = self.shadow.take(answer, |position| entries.read(position).len).ok().map(|parts| {
            assert_eq!(parts.len(), parts.size_hint().0);
            parts.collect::<Vec<Part>>()
        });
        let (expected, last) = expected.map_or((None, 0), |(parts, last)| (Some(parts), last));
        assert_eq!(found, expected, "{answer:?}");
        if let (Some(offer), Some(_)) = (alone, &expected) {
            let bid = usize::from(offer.bid);
            if self.lost[bid].take().is_none() {
                let place = self.at(offer.position);
                self.places[place] = None;
            }
            self.ours[bid] = last;
            return;
        }
        for part in expected.into_iter().flatten() {
            let place = self.places.iter().position(|place| place.is_some_and(|offer| offer.bid == part.bid));
            let place = place.expect("it was on offer");
            let (position, bid) = (self.places[place].expect("it was").position, usize::from(part.bid));
            let (_, cut) = self.length(position).expect("it is");
            if part.done {
                self.places[place] = None;
                self.ours[bid] = cut;
            } else {
                self.ours[bid] = last;
                self.places[place].as_mut().expect("it is").used = self.ours[bid];
            }
        }
    }

    fn check(&self) {
        let offered = (0..self.ours.len()).filter(|&bid| self.is_on_offer(bid)).count();
        assert_eq!(self.shadow.on_offer() as usize, offered);
        for (bid, &ours) in (0..).zip(&self.ours) {
            assert_eq!(self.shadow.ours(bid), Some(ours), "of {bid}");
        }
        assert_eq!(self.shadow.ours(self.ours.len() as u16), None);
        let memory = memory(&self.entries, self.ours.len() as u32);
        assert!(memory == self.bytes, "the memory is another's");
    }
}
