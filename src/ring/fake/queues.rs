//! Both queues against a model, over the wrap, with a kernel that keeps its word or does not.
//!
//! The model knows what must come out: entries that were pushed, and completions by what the memory holds. A lie that
//! can be told from the truth shuts the queue for good; one that cannot is the truth.

use super::Fake;
use crate::{
    entry::{BigCqe, Cqe, CqeFlags, Sqe, Sqe128, SqeFlags},
    ring::{PADDING, flags::SetupFlags},
    sys,
};
use std::collections::VecDeque;

/// Four bytes say what kind of ring, how large and where it starts; each eight that follow are a step.
pub fn queues(script: &[u8]) {
    let Some((&[kind, sizes, low, high], steps)) = script.split_first_chunk::<4>() else { return };
    let submission = [SetupFlags::empty(), SetupFlags::SQE128, SetupFlags::SQE_MIXED, SetupFlags::SQ_REWIND];
    let completion = [SetupFlags::empty(), SetupFlags::CQE32, SetupFlags::CQE_MIXED, SetupFlags::CQE_MIXED];
    let array = [SetupFlags::empty(), SetupFlags::NO_SQARRAY];
    let mut flags = submission[usize::from(kind & 3)] | completion[usize::from(kind >> 2 & 3)];
    flags |= array[usize::from(kind >> 4 & 1)];
    if flags.contains(SetupFlags::SQ_REWIND) {
        flags |= SetupFlags::NO_SQARRAY;
    }
    let (sq, cq) = (1 << (sizes & 3), 1 << (sizes >> 2 & 3));
    // Not far from the wrap, on either side.
    let start = i32::from(i16::from_le_bytes([low, high])) as u32;
    let mut play = Play {
        ring: Fake::new(sq, cq, start, flags),
        flags,
        queued: VecDeque::new(),
        split: false,
        shut: false,
        honest: Some(VecDeque::new()),
        slots: vec![[0; 4]; cq as usize],
        head: start,
        given_back: start,
        seen: start,
    };
    for step in steps.chunks_exact(8).take(512) {
        let [op, x, a, b, w @ ..] = *step.first_chunk::<8>().expect("eight bytes");
        play.step(op, x, u16::from_le_bytes([a, b]), u32::from_le_bytes(w));
    }
}

struct Play {
    ring: Fake,
    flags: SetupFlags,
    /// What the kernel has not taken, by slots: an entry that takes two has nothing in its second.
    queued: VecDeque<Option<Sqe>>,
    /// The kernel took half an entry.
    split: bool,
    /// The submission queue is shut.
    shut: bool,
    /// What came by the book and was not read, while nobody lied.
    honest: Option<VecDeque<BigCqe>>,
    /// What the memory of the completion queue holds.
    slots: Vec<[u64; 4]>,
    /// Where reading goes on; where the kernel believes that it does; and the last tail that was seen.
    head: u32,
    given_back: u32,
    seen: u32,
}

impl Play {
    fn is(&self, flag: SetupFlags) -> bool {
        self.flags.contains(flag)
    }

    fn step(&mut self, op: u8, x: u8, id: u16, arg: u32) {
        let near = u32::from(x % 12).wrapping_sub(2);
        match op % 14 {
            0 | 1 => self.push(x, id, arg),
            2 => self.push_all(x, id, arg),
            3 => self.push_wide(x, id, arg),
            4 => self.take(x),
            5 => self.move_sq_head(self.sq_head().wrapping_add(near)),
            6 => self.move_sq_head(arg),
            7 => self.look_at_flags(arg),
            8 | 9 => self.post(x, id, arg),
            10 => self.scribble(x, id, arg),
            11 => self.move_cq_tail(self.ring.cq_tail().wrapping_add(near)),
            12 => self.move_cq_tail(arg),
            _ => self.read(x, arg),
        }
    }

    fn sqe(&self, x: u8, id: u16, arg: u32) -> Sqe {
        let user_data = u64::from(arg) << 32 | u64::from(id);
        let flags = SqeFlags::from_bits_retain(x);
        Sqe { flags, ioprio: id, fd: arg as i32, off: user_data, len: arg, pad: !user_data, ..Sqe::nop() }
            .user_data(user_data)
    }

    fn free(&self) -> usize {
        if self.shut { 0 } else { self.ring.sq.capacity() as usize - self.queued.len() }
    }

    fn sq_head(&self) -> u32 {
        self.ring.word(self.ring.layout.sq.head).peek()
    }

    /// What was pushed is there, and nothing else moved.
    fn pushed(&mut self, entries: &[Option<Sqe>], fits: bool, result: Result<(), crate::ring::Full>) {
        assert_eq!(result.is_ok(), fits, "{} slots free", self.free());
        if fits {
            self.queued.extend(entries);
        }
        let expected = if self.shut { 0 } else { self.queued.len() as u32 };
        assert_eq!(self.ring.sq.queued(), expected);
        assert_eq!(self.ring.sq.space_left(), self.free() as u32);
        assert_eq!(self.ring.sq.poisoned(), self.shut);
    }

    fn push(&mut self, x: u8, id: u16, arg: u32) {
        let (sqe, fits) = (self.sqe(x, id, arg), self.free() >= 1);
        // SAFETY: Lent: nobody carries it out.
        let result = unsafe { self.ring.sq.push(&sqe) };
        self.pushed(&[Some(sqe)], fits, result);
    }

    fn push_all(&mut self, x: u8, id: u16, arg: u32) {
        let sqes: Vec<Sqe> = (0..u32::from(x % 6)).map(|i| self.sqe(x, id, arg.wrapping_add(i))).collect();
        let fits = self.free() >= sqes.len() && (!self.shut || sqes.is_empty());
        // SAFETY: Lent: nobody carries them out.
        let result = unsafe { self.ring.sq.push_all(&sqes) };
        let fits = if sqes.is_empty() { result.is_ok() } else { fits };
        self.pushed(&sqes.into_iter().map(Some).collect::<Vec<_>>(), fits, result);
    }

    fn push_wide(&mut self, x: u8, id: u16, arg: u32) {
        let (wide, mixed) = (self.is(SetupFlags::SQE128), self.is(SetupFlags::SQE_MIXED));
        if !wide && !mixed {
            return;
        }
        let mut sqe = self.sqe(x, id, arg);
        if mixed {
            sqe.opcode = sys::IORING_OP_NOP128 as u8;
        }
        let last = self.ring.sq.capacity() - 1;
        let pads = mixed && self.ring.sq_tail() & last == last && self.free() >= 1;
        let room = self.free() - usize::from(pads);
        let entry = Sqe128 { sqe, ..Sqe128::default() };
        // SAFETY: Lent: nobody carries it out.
        let result = unsafe { self.ring.sq.push128(&entry) };
        if pads {
            let padding = self.ring.entry(self.ring.sq_tail().wrapping_sub(if result.is_ok() { 3 } else { 1 }));
            assert_eq!((padding.opcode, padding.user_data), (0, PADDING));
            assert!(padding.flags.contains(SqeFlags::CQE_SKIP_SUCCESS));
            self.queued.push_back(Some(padding));
        }
        let still_last = mixed && !pads && self.ring.sq.capacity() == 1;
        let needed = if wide { 1 } else { 2 };
        let fits = room >= needed && !still_last;
        self.pushed(&[Some(sqe), None][..needed], fits, result);
    }

    /// The kernel takes some whole entries, as they were pushed.
    fn take(&mut self, most: u8) {
        if self.shut || self.split {
            return;
        }
        let (head, mut slots, mut entries) =
            (if self.is(SetupFlags::SQ_REWIND) { 0 } else { self.sq_head() }, 0, Vec::new());
        for _ in 0..most % 6 {
            let Some(front) = self.queued.pop_front() else { break };
            let sqe = front.expect("an entry begins here");
            assert_eq!(self.ring.entry(head.wrapping_add(slots)), sqe);
            entries.push(sqe.user_data);
            slots += 1;
            if self.queued.front() == Some(&None) {
                self.queued.pop_front();
                slots += 1;
            }
        }
        assert_eq!(self.ring.take(slots), entries);
        assert_eq!(self.ring.sq.queued(), self.queued.len() as u32);
    }

    /// The kernel says that it took entries up to there.
    fn move_sq_head(&mut self, head: u32) {
        if self.is(SetupFlags::SQ_REWIND) {
            return;
        }
        let moved = head.wrapping_sub(self.sq_head());
        self.ring.set_sq_head(head);
        if self.shut {
            // It stays so, whatever the head says now.
        } else if moved as usize > self.queued.len() {
            self.shut = true;
        } else {
            self.queued.drain(..moved as usize);
            self.split |= self.queued.front() == Some(&None);
        }
        self.pushed(&[], true, Ok(()));
    }

    fn look_at_flags(&mut self, flags: u32) {
        self.ring.set_sq_flags(flags);
        let has = |flag| flags & flag != 0;
        let sq = &self.ring.sq;
        assert_eq!(sq.needs_wakeup(), has(sys::IORING_SQ_NEED_WAKEUP));
        assert_eq!(sq.cq_overflow(), has(sys::IORING_SQ_CQ_OVERFLOW));
        assert_eq!(sq.taskrun(), has(sys::IORING_SQ_TASKRUN));
    }

    /// Writes a slot, and remembers it.
    fn write(&mut self, position: u32, value: [u64; 4]) {
        let slot = position as usize % self.slots.len();
        self.slots[slot] = value;
        match self.is(SetupFlags::CQE32) {
            true => self.ring.scribble(position, value),
            false => self.ring.scribble(position, [value[0], value[1]]),
        }
    }

    fn shut_cq(&self) -> bool {
        self.ring.cq.poisoned()
    }

    /// The kernel posts a completion by the book, of any content, if there is room.
    fn post(&mut self, x: u8, id: u16, arg: u32) {
        let (tail, last) = (self.ring.cq_tail(), self.slots.len() as u32 - 1);
        let (wide, mixed) = (self.is(SetupFlags::CQE32), self.is(SetupFlags::CQE_MIXED));
        let big = mixed && x & 1 != 0;
        let pads = big && tail & last == last;
        let needed = if big { 2 + u32::from(pads) } else { 1 };
        if tail.wrapping_sub(self.given_back).wrapping_add(needed) > self.slots.len() as u32 || (big && last == 0) {
            return;
        }
        let mut flags = CqeFlags::from_bits_retain(u32::from(id) << 16 | u32::from(x));
        if mixed {
            flags.remove(CqeFlags::SKIP | CqeFlags::BIG);
            flags.set(CqeFlags::BIG, big);
        }
        let cqe = Cqe { user_data: u64::from(arg) << 16 | u64::from(id), res: arg as i32, flags };
        let extra = if wide || big { [!cqe.user_data, u64::from(arg)] } else { [0; 2] };
        let mut at = tail;
        if pads {
            self.write(at, halves(Cqe { flags: CqeFlags::SKIP, ..Cqe::default() }, [0; 2]));
            at = at.wrapping_add(1);
        }
        self.write(at, halves(cqe, extra));
        if big {
            self.write(at.wrapping_add(1), [extra[0], extra[1], 0, 0]);
        }
        self.ring.set_cq_tail(tail.wrapping_add(needed));
        if let Some(honest) = &mut self.honest {
            honest.push_back(BigCqe { cqe, extra });
        }
    }

    /// The kernel writes over a slot, whosever it is.
    fn scribble(&mut self, x: u8, id: u16, arg: u32) {
        let position = self.head.wrapping_add(u32::from(x % 16));
        let low = u64::from(id) << 32 | u64::from(arg);
        self.write(position, [low, low.rotate_left(u32::from(x)), !low, low ^ u64::from(x)]);
        self.honest = None;
    }

    /// The kernel says that there are completions up to there.
    fn move_cq_tail(&mut self, tail: u32) {
        self.ring.cq.ready();
        self.seen = if self.shut_cq() { self.seen } else { self.ring.cq_tail() };
        let was_shut = self.shut_cq();
        self.ring.set_cq_tail(tail);
        self.honest = None;
        let (before, now) = (self.seen.wrapping_sub(self.head), tail.wrapping_sub(self.head));
        let lie = now > self.slots.len() as u32 || now < before;
        let ready = self.ring.cq.ready();
        assert_eq!(self.shut_cq(), was_shut || lie);
        assert_eq!(ready, if self.shut_cq() { 0 } else { now });
    }

    /// Reads some completions, by halves or whole, and gives their room back or forgets to.
    fn read(&mut self, x: u8, most: u32) {
        let was_shut = self.shut_cq();
        let left = if was_shut { 0 } else { self.ring.cq_tail().wrapping_sub(self.head) };
        let mut model = Walk { slots: &self.slots, flags: self.flags, head: self.head, left, broken: false };
        let mut completions = self.ring.cq.completions();
        for i in 0..most % 20 {
            let expected = if was_shut || model.broken { None } else { model.next() };
            let big = x >> (i % 8) & 1 != 0;
            match big {
                true => assert_eq!(completions.next_big(), expected),
                false => assert_eq!(completions.next(), expected.map(|big| big.cqe)),
            }
            let Some(expected) = expected else { break };
            if let Some(honest) = &mut self.honest {
                assert_eq!(honest.pop_front(), Some(expected), "it came by the book");
            }
        }
        let (head, broken) = (model.head, model.broken);
        assert_eq!(completions.size_hint(), (0, Some(model.left as usize)));
        if x == 0x55 {
            std::mem::forget(completions)
        } else {
            drop(completions)
        }
        assert_eq!(self.shut_cq(), was_shut || broken);
        if !self.shut_cq() {
            self.head = head;
            self.given_back = if x == 0x55 { self.given_back } else { head };
        }
        assert_eq!(self.ring.cq_head(), self.given_back);
    }
}

/// A completion as words of memory.
fn halves(cqe: Cqe, extra: [u64; 2]) -> [u64; 4] {
    let (res, flags) = ((cqe.res as u32).to_ne_bytes(), cqe.flags.bits().to_ne_bytes());
    let answer = [res[0], res[1], res[2], res[3], flags[0], flags[1], flags[2], flags[3]];
    [cqe.user_data, u64::from_ne_bytes(answer), extra[0], extra[1]]
}

/// A second walk, over what was written.
struct Walk<'a> {
    slots: &'a [[u64; 4]],
    flags: SetupFlags,
    head: u32,
    left: u32,
    broken: bool,
}

impl Walk<'_> {
    fn take(&mut self) -> Option<[u64; 4]> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.slots[self.head as usize % self.slots.len()];
        self.head = self.head.wrapping_add(1);
        Some(slot)
    }

    fn next(&mut self) -> Option<BigCqe> {
        loop {
            let [user_data, answer, extra @ ..] = self.take()?;
            let [a, b, c, d, e, f, g, h] = answer.to_ne_bytes();
            let flags = CqeFlags::from_bits_retain(u32::from_ne_bytes([e, f, g, h]));
            let cqe = Cqe { user_data, res: i32::from_ne_bytes([a, b, c, d]), flags };
            if !self.flags.contains(SetupFlags::CQE_MIXED) {
                let wide = self.flags.contains(SetupFlags::CQE32);
                return Some(BigCqe { cqe, extra: if wide { extra } else { [0; 2] } });
            }
            let mut extra = [0; 2];
            if flags.contains(CqeFlags::BIG) {
                // Not across the end of the queue, and not beyond the tail.
                let starts_again = self.head as usize % self.slots.len() == 0;
                let Some(second) = (if starts_again { None } else { self.take() }) else {
                    (self.broken, self.left) = (true, 0);
                    return None;
                };
                extra = [second[0], second[1]];
            }
            if !flags.contains(CqeFlags::SKIP) {
                return Some(BigCqe { cqe, extra });
            }
        }
    }
}
