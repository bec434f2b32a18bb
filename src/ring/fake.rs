//! A kernel made of plain memory, for what the real one never does: positions just below the wrap, and lies.
//!
//! The unit tests of the queues drive it step by step; the fuzzer and `tests/corpus.rs` through
//! `layout`, `queues` and `buf_ring`.

mod buffers;
mod layouts;
mod queues;

pub use buffers::buf_ring;
pub use layouts::layout;
pub use queues::queues;

use super::{
    cq::Cq,
    flags::SetupFlags,
    fork::Birth,
    layout::Layout,
    sq::Sq,
    word::{Region, Word},
};
#[cfg(test)]
use crate::entry::{BigCqe, CqeFlags};
use crate::{
    entry::{Cqe, Sqe},
    sys::{self, io_cqring_offsets, io_sqring_offsets, io_uring_params},
};
use std::{ptr::NonNull, sync::atomic::AtomicU64};

/// What a kernel that makes no mistakes would answer.
pub(crate) fn params(sq_entries: u32, cq_entries: u32, flags: SetupFlags) -> io_uring_params {
    let array = !flags.contains(SetupFlags::NO_SQARRAY);
    let wide = u32::from(flags.contains(SetupFlags::CQE32));
    let indices = if array { 64 + ((cq_entries * size_of::<Cqe>() as u32) << wide) } else { 0 };
    io_uring_params {
        sq_entries,
        cq_entries,
        flags: flags.bits(),
        features: sys::IORING_FEAT_SINGLE_MMAP,
        sq_off: io_sqring_offsets {
            head: 0,
            tail: 4,
            ring_mask: 16,
            ring_entries: 24,
            flags: 36,
            dropped: 32,
            array: indices,
            ..io_sqring_offsets::default()
        },
        cq_off: io_cqring_offsets {
            head: 8,
            tail: 12,
            ring_mask: 20,
            ring_entries: 28,
            overflow: 44,
            cqes: 64,
            flags: 40,
            ..io_cqring_offsets::default()
        },
        ..io_uring_params::default()
    }
}

/// Both queues and the memory that they lie in.
pub(crate) struct Fake {
    pub(crate) sq: Sq,
    pub(crate) cq: Cq,
    layout: Layout,
    rings: Region,
    sqes: Region,
    /// Never touched by name: the regions point into it.
    _memory: [Vec<AtomicU64>; 2],
}

impl Fake {
    /// Queues of these sizes and of the kind that `flags` say (the widths, `NO_SQARRAY`, `SQ_REWIND`), with all
    /// positions at `start`, but for those that stay 0.
    pub(crate) fn new(sq_entries: u32, cq_entries: u32, start: u32, flags: SetupFlags) -> Fake {
        let layout = Layout::new(&params(sq_entries, cq_entries, flags)).expect("made by the book");
        let memory = [zeroed(layout.ring_len), zeroed(layout.sqes_len)];
        let [rings, sqes] = [region(&memory[0]), region(&memory[1])];
        let sq_start = if flags.contains(SetupFlags::SQ_REWIND) { 0 } else { start };
        let words = [
            (layout.sq.head, sq_start),
            (layout.sq.tail, sq_start),
            (layout.cq.head, start),
            (layout.cq.tail, start),
            (layout.sq.ring_mask, sq_entries - 1),
            (layout.sq.ring_entries, sq_entries),
            (layout.cq.ring_mask, cq_entries - 1),
            (layout.cq.ring_entries, cq_entries),
        ];
        words.into_iter().for_each(|(offset, value)| word(rings, offset).publish(value));
        // SAFETY: Mapped: the memory goes with the queues, and nobody else moves what is theirs.
        let sq = unsafe { Sq::new(rings, sqes, &layout, Birth::anywhere()) }.expect("made by the book");
        // SAFETY: Mapped, as the line before.
        let cq = unsafe { Cq::new(rings, &layout, Birth::anywhere()) }.expect("made by the book");
        Fake { sq, cq, layout, rings, sqes, _memory: memory }
    }

    fn word(&self, offset: u32) -> Word {
        word(self.rings, offset)
    }

    pub(crate) fn sq_tail(&self) -> u32 {
        self.word(self.layout.sq.tail).moved()
    }

    pub(crate) fn set_sq_head(&self, head: u32) {
        self.word(self.layout.sq.head).publish(head);
    }

    pub(crate) fn set_sq_flags(&self, flags: u32) {
        self.word(self.layout.sq.flags).publish(flags);
    }

    pub(crate) fn cq_head(&self) -> u32 {
        self.word(self.layout.cq.head).moved()
    }

    pub(crate) fn cq_tail(&self) -> u32 {
        self.word(self.layout.cq.tail).peek()
    }

    pub(crate) fn set_cq_tail(&self, tail: u32) {
        self.word(self.layout.cq.tail).publish(tail);
    }

    fn is(&self, flag: SetupFlags) -> bool {
        self.layout.flags.contains(flag)
    }

    /// Takes up to `n` slots as the kernel would, through the array of indices if there is one, and gives the
    /// `user_data` of each entry.
    ///
    /// # Panics
    /// If an entry of two slots is not wholly there.
    pub(crate) fn take(&mut self, n: u32) -> Vec<u64> {
        let rewind = self.is(SetupFlags::SQ_REWIND);
        let head = if rewind { 0 } else { self.word(self.layout.sq.head).peek() };
        let n = n.min(if rewind { self.sq.queued() } else { self.sq_tail().wrapping_sub(head) });
        let mut taken = vec![];
        let mut i = 0;
        while i < n {
            let position = head.wrapping_add(i);
            let sqe = self.entry(position);
            if self.takes_two(&sqe) {
                i += 1;
                let whole = i < n && position & (self.layout.sq_entries - 1) != self.layout.sq_entries - 1;
                assert!(whole, "half an entry");
            }
            i += 1;
            taken.push(sqe.user_data);
        }
        if rewind {
            self.sq.taken(n);
        } else {
            self.set_sq_head(head.wrapping_add(n));
        }
        taken
    }

    fn takes_two(&self, sqe: &Sqe) -> bool {
        let two = [sys::IORING_OP_NOP128, sys::IORING_OP_URING_CMD128];
        self.is(SetupFlags::SQE_MIXED) && two.contains(&u32::from(sqe.opcode))
    }

    /// The entry at a position.
    pub(crate) fn entry(&self, position: u32) -> Sqe {
        // SAFETY: Mapped: inside our own memory; whatever is in it was pushed as an entry, or is zero.
        unsafe { self.entry_at(position).cast().read() }
    }

    /// The entry of 128 bytes at a position, which must not be the last slot of a mixed queue.
    #[cfg(test)]
    pub(crate) fn entry128(&self, position: u32) -> crate::entry::Sqe128 {
        // SAFETY: Mapped, as the line before: what is no slot of 128 bytes has another one after it.
        unsafe { self.entry_at(position).cast().read() }
    }

    fn entry_at(&self, position: u32) -> NonNull<u8> {
        let mut slot = position & (self.layout.sq_entries - 1);
        if self.layout.has_array {
            slot = self.word(self.layout.sq.array + 4 * slot).peek();
        }
        self.sqes.at((slot as usize) << self.layout.sqe_shift)
    }

    /// Writes the first half of a completion, or all of one, at a position, whosever it is.
    pub(crate) fn scribble<T: Copy>(&self, position: u32, value: T) {
        assert!(size_of::<T>() <= 1 << self.layout.cqe_shift, "more than a slot");
        let slot = position & (self.layout.cq_entries - 1);
        let at = self.rings.at(self.layout.cq.cqes as usize + ((slot as usize) << self.layout.cqe_shift)).cast();
        // SAFETY: Mapped: inside our own memory, and nobody reads it at the same time.
        unsafe { at.write(value) };
    }
}

#[cfg(test)]
impl Fake {
    fn step_tail(&self) {
        self.set_cq_tail(self.cq_tail().wrapping_add(1));
    }

    /// Posts a completion as the kernel would.
    pub(crate) fn post(&mut self, user_data: u64) {
        if self.is(SetupFlags::CQE32) {
            return self.post_big(user_data, [0; 2]);
        }
        self.scribble(self.cq_tail(), Cqe { user_data, ..Cqe::default() });
        self.step_tail();
    }

    /// Posts a completion of 32 bytes as the kernel would: in one wide slot, or in two that are not the last and the
    /// first.
    pub(crate) fn post_big(&mut self, user_data: u64, extra: [u64; 2]) {
        let mut cqe = Cqe { user_data, ..Cqe::default() };
        if self.is(SetupFlags::CQE32) {
            self.scribble(self.cq_tail(), BigCqe { cqe, extra });
            self.step_tail();
            return;
        }
        let last = self.layout.cq_entries - 1;
        if self.cq_tail() & last == last {
            self.scribble(last, Cqe { flags: CqeFlags::SKIP, ..Cqe::default() });
            self.step_tail();
        }
        cqe.flags = CqeFlags::BIG;
        let tail = self.cq_tail();
        self.scribble(tail, cqe);
        self.scribble(tail.wrapping_add(1), extra);
        self.set_cq_tail(tail.wrapping_add(2));
    }
}

fn zeroed(len: usize) -> Vec<AtomicU64> {
    (0..len.div_ceil(8)).map(|_| AtomicU64::new(0)).collect()
}

fn region(memory: &[AtomicU64]) -> Region {
    let base = NonNull::from(memory).cast();
    // SAFETY: Mapped: a `Fake` drops its memory last; atomics may be written through shared pointers.
    unsafe { Region::new(base, size_of_val(memory)) }
}

fn word(rings: Region, offset: u32) -> Word {
    // SAFETY: Laid out and Mapped: the offsets of `params`, in memory that a `Fake` keeps.
    unsafe { rings.word(offset) }
}
