//! The buffer groups that a driver knows, and the calls of twins that choose a buffer from one.

use crate::{
    buf::Group,
    driver::slots::{self, Key, Slot},
    entry::{Cqe, CqeFlags, Sqe, SqeFlags, Twin},
    sys,
};
use slab::Slab;
use std::{collections::VecDeque, io, rc::Rc};

/// How many streams go on at once that found no buffer. What they find waiting takes buffers in this very turn, while a
/// turn that receives for those who never stopped takes some twenty: were they many, the group would be empty again and
/// all the others had to stop.
const WAVE: usize = 16;

/// A group, as its driver knows it.
pub(super) struct Known {
    group: Rc<Group>,
    /// The kernel takes the buffers; otherwise twins do.
    in_kernel: bool,
    /// Streams that found it empty, in their order, and have not gone on since.
    starved: VecDeque<Key>,
    /// How many of them were let go on last, if nobody took a buffer since; 0 otherwise.
    wave: usize,
    /// What [`Group::taken`] said then.
    taken: u32,
}

impl Known {
    /// How much of a buffer an entry asks for.
    fn room(&self, sqe: &Sqe) -> u32 {
        let size = self.group.size();
        if sqe.len == 0 { size } else { sqe.len.min(size) }
    }

    /// Lets the next streams go on. Whether there are others, for the next turn.
    fn feed(&mut self, next: &mut Vec<Key>) -> bool {
        let offered = self.group.offered() as usize;
        if std::mem::replace(&mut self.taken, self.group.taken()) != self.group.taken() {
            self.wave = 0;
        }
        let fair = offered.div_ceil(2).min(WAVE);
        let wave = if offered == 0 { 0 } else { fair.max(self.wave * 2).min(self.starved.len()) };
        next.extend(self.starved.drain(..wave));
        self.wave = if self.starved.is_empty() { 0 } else { wave };
        if offered == 0 && !self.starved.is_empty() {
            self.group.starve();
        }
        self.wave > 0
    }
}

/// All groups of a driver, by their id.
#[derive(Default)]
pub(super) struct Groups {
    all: Slab<Known>,
    /// Groups with buffers on offer that streams wait for.
    fed: Vec<u16>,
}

impl Groups {
    /// The id that the next group will have.
    ///
    /// # Errors
    /// `Other` when all 65,536 are in use.
    pub(super) fn next_id(&self) -> io::Result<u16> {
        u16::try_from(self.all.vacant_key()).map_err(|_| io::Error::other("a driver has 65536 buffer groups at most"))
    }

    /// Takes a group in, under [`Groups::next_id`].
    pub(super) fn insert(&mut self, group: Rc<Group>, in_kernel: bool) {
        self.all.insert(Known { group, in_kernel, starved: VecDeque::new(), wave: 0, taken: 0 });
    }

    /// Lets a group go. Tells whether the kernel has to be told.
    pub(super) fn remove(&mut self, id: u16) -> bool {
        self.all.try_remove(id.into()).is_some_and(|known| known.in_kernel)
    }

    /// Whether the kernel takes the buffers of this entry's group.
    pub(super) fn is_in_kernel(&self, sqe: &Sqe) -> bool {
        self.of(sqe).is_some_and(|known| known.in_kernel)
    }

    fn of(&self, sqe: &Sqe) -> Option<&Known> {
        self.all.get(sqe.buf_index.into())
    }

    /// The size of the buffers that an entry takes.
    pub(super) fn buf_size(&self, sqe: &Sqe) -> u32 {
        self.of(sqe).map_or(0, |known| known.group.size())
    }

    /// How many bytes an entry has room for.
    #[inline]
    pub(super) fn room(&self, sqe: &Sqe) -> u32 {
        if sqe.flags.contains(SqeFlags::BUFFER_SELECT) {
            return self.of(sqe).map_or(0, |known| known.room(sqe));
        }
        sqe.len
    }

    /// How many buffers are with their users.
    pub(super) fn out(&self) -> u64 {
        let out = |group: &Group| u64::from(group.count() - group.offered());
        self.all.iter().map(|(_, known)| out(&known.group)).sum()
    }

    /// Notes which buffers a completion of the kernel's brought. If they are several, a bundle, all but the last go
    /// into `parts`, as completions of their own. **Kernel's word**: a buffer that is not there, or that its user has
    /// already, is an error and not a buffer.
    pub(super) fn took(&self, slot: &mut Slot, cqe: Cqe, parts: &mut Vec<Cqe>) -> Cqe {
        let (Some(bid), Some(known)) = (cqe.buffer(), self.of(&slot.sqe)) else {
            return if cqe.buffer().is_some() { refused(cqe) } else { cqe };
        };
        if !known.in_kernel {
            return cqe;
        }
        let holder = slot.counts_as();
        let Some(stream) = slot.stream.as_mut().filter(|stream| stream.is_limited()) else {
            return if known.group.take(bid, holder) { cqe } else { refused(cqe) };
        };
        let bytes = u32::try_from(cqe.res).unwrap_or(0);
        let part = |bid, len: u32| Cqe { flags: brings(bid) | CqeFlags::MORE, res: len as i32, ..cqe };
        if !known.group.take_bundle(bid, bytes, holder, |bid, len| parts.push(part(bid, len))) {
            return refused(cqe);
        }
        stream.took(parts.len() as u32);
        match parts.pop().and_then(|last| Some((last.buffer()?, last.res))) {
            Some((bid, res)) if bytes > 0 => Cqe { flags: brings(bid) | (cqe.flags & !brings(u16::MAX)), res, ..cqe },
            _ => cqe,
        }
    }

    /// Whether streams wait for a buffer of the group.
    pub(super) fn has_starved(&self, id: u16) -> bool {
        self.all.get(id.into()).is_some_and(|known| !known.starved.is_empty())
    }

    /// Lets a stream wait for a buffer, behind those that do. While one is on offer, only the `first` time that it
    /// found none; after that, `false`: it has to wait for something else.
    pub(super) fn starve(&mut self, id: u16, key: Key, first: bool) -> bool {
        let Some(known) = self.all.get_mut(id.into()) else { return false };
        let offers = known.group.offered() > 0;
        if offers && !first {
            return false;
        }
        known.starved.push_back(key);
        if offers {
            self.feed(id);
        } else {
            known.group.starve();
        }
        true
    }

    /// A buffer is on offer that streams wait for.
    pub(super) fn feed(&mut self, id: u16) {
        if !self.fed.contains(&id) {
            self.fed.push(id);
        }
    }

    /// A stream waits for a buffer no longer.
    pub(super) fn unstarve(&mut self, id: u16, key: Key) {
        if let Some(known) = self.all.get_mut(id.into()) {
            known.starved.retain(|&starved| starved != key);
        }
    }

    /// Whether streams wait that may go on.
    pub(super) fn is_fed(&self) -> bool {
        !self.fed.is_empty()
    }

    /// Moves the streams into `next` that go on now that there are buffers: half as many, and no more than
    /// [`WAVE`]; or, since some may have nothing to receive, twice as many as the last time, when nobody took one.
    /// Were it all of them, a buffer that comes back would cost a try of everybody.
    pub(super) fn next_fed(&mut self, next: &mut Vec<Key>) {
        let all = &mut self.all;
        self.fed.retain(|&id| all.get_mut(id.into()).is_some_and(|known| known.feed(next)));
    }

    /// Calls a slot's twin, once more.
    #[inline]
    pub(super) fn call(&self, slot: &mut Slot) -> Cqe {
        if slot.selects() {
            return self.call_for_slot(slot);
        }
        let res = slots::call(slot.twin, &slot.sqe, slot.attempt);
        slot.attempt = slot.attempt.saturating_add(1);
        Cqe::new(slot.sqe.user_data, res)
    }

    /// The same where it takes a buffer.
    #[inline(never)]
    fn call_for_slot(&self, slot: &mut Slot) -> Cqe {
        let cqe = self.call_with_buffer(slot.twin, &slot.sqe, slot.attempt, slot.counts_as());
        slot.attempt = slot.attempt.saturating_add(1);
        if let (Some(stream), Some(_)) = (&mut slot.stream, cqe.buffer()) {
            stream.took(1);
        }
        cqe
    }

    /// Calls the twin of an entry that has no slot.
    #[inline]
    pub(super) fn call_twin(&self, twin: &Twin, sqe: &Sqe, attempt: u32) -> Cqe {
        if sqe.flags.contains(SqeFlags::BUFFER_SELECT) {
            return self.call_with_buffer(twin, sqe, attempt, None);
        }
        Cqe::new(sqe.user_data, slots::call(twin, sqe, attempt))
    }

    /// Calls a twin with the first buffer on offer, for `holder` to count.
    #[inline(never)]
    fn call_with_buffer(&self, twin: &Twin, sqe: &Sqe, attempt: u32, holder: Option<u64>) -> Cqe {
        let answer = |res| Cqe::new(sqe.user_data, res);
        let Some(known) = self.of(sqe) else { return answer(-libc::ENOBUFS) };
        if known.in_kernel {
            return answer(-libc::EINVAL);
        }
        let Some(bid) = known.group.peek() else { return answer(-libc::ENOBUFS) };
        let filled = Sqe {
            flags: sqe.flags - SqeFlags::BUFFER_SELECT,
            addr: known.group.buffer(bid).as_ptr() as u64,
            // What the buffer stands in for, a message's header names more.
            addr3: sqe.addr,
            len: known.room(sqe),
            ..*sqe
        };
        let res = slots::call(twin, &filled, attempt);
        if res <= 0 {
            return answer(res);
        }
        known.group.pop();
        known.group.take(bid, holder);
        Cqe { flags: brings(bid), ..answer(res) }
    }
}

/// The flags of a completion that brings a buffer.
fn brings(bid: u16) -> CqeFlags {
    CqeFlags::from_bits_retain(u32::from(bid) << sys::IORING_CQE_BUFFER_SHIFT) | CqeFlags::BUFFER
}

/// A completion that cannot be true.
fn refused(cqe: Cqe) -> Cqe {
    Cqe { res: -libc::EIO, flags: cqe.flags & CqeFlags::MORE, ..cqe }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::Given,
        driver::stream::Stream,
        entry::{After, Multishot},
    };

    fn select(id: u16) -> Sqe {
        Sqe { flags: SqeFlags::BUFFER_SELECT, buf_index: id, ..Sqe::nop() }
    }

    fn answer(bid: u16, res: i32) -> Cqe {
        Cqe { flags: brings(bid) | CqeFlags::MORE, ..Cqe::new(7, res) }
    }

    /// The slot of an entry that selects from the group `id`; of a stream, if there is a limit to its buffers.
    fn slot(id: u16, limit: Option<u32>) -> Slot {
        static RULE: Multishot = Multishot { flag: None, after: |_| After::More };
        let stream = limit.map(|limit| Stream::new(&RULE, limit));
        Slot { sqe: select(id), stream, ..Slot::unused() }
    }

    static FILLS: Twin = Twin::here(|sqe, attempt| if attempt == 0 { -libc::EAGAIN } else { sqe.len as i32 });

    #[test]
    fn a_buffer_that_the_kernel_made_up_is_an_error() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(2, 8).unwrap()));
        groups.insert(group.clone(), true);
        let took = |id, bid| groups.took(&mut slot(id, None), answer(bid, 3), &mut Vec::new());
        assert_eq!(took(0, 1), answer(1, 3));
        for lie in [took(0, 1), took(0, 2)] {
            assert_eq!((lie.res, lie.buffer(), lie.is_final()), (-libc::EIO, None, false));
        }
        assert_eq!(took(9, 0).res, -libc::EIO, "a group that nobody has");
        assert_eq!(group.offered(), 1);
    }

    /// Red when a part of a bundle is lost, ends the stream, or is not counted.
    #[test]
    fn a_bundle_is_one_answer_for_each_buffer() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(4, 8).unwrap()));
        groups.insert(group.clone(), true);
        let (mut slot, mut parts) = (slot(0, Some(4)), Vec::new());
        let last = groups.took(&mut slot, Cqe { flags: brings(1), ..answer(1, 20) }, &mut parts);
        assert_eq!(parts, [answer(1, 8), answer(2, 8)]);
        assert_eq!(last, Cqe { flags: brings(3), ..answer(3, 4) }, "its end is the bundle's");
        assert_eq!(slot.stream.as_ref().unwrap().budget(8), 8);
        parts.clear();
        let lie = groups.took(&mut slot, answer(0, 9), &mut parts);
        assert_eq!((lie.res, lie.buffer(), lie.is_final(), parts.len()), (-libc::EIO, None, false, 0));
        assert_eq!((group.offered(), slot.stream.as_ref().unwrap().budget(8)), (1, 8));
        let end = groups.took(&mut slot, Cqe::new(7, 0), &mut parts);
        assert_eq!((end, parts.len()), (Cqe::new(7, 0), 0));
    }

    #[test]
    fn a_twin_gets_a_buffer_and_uses_it_up_only_when_it_fills_it() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(2, 8).unwrap()));
        groups.insert(group.clone(), false);
        let call = |sqe, attempt| groups.call_twin(&FILLS, &sqe, attempt);
        assert_eq!(call(select(0), 0).res, -libc::EAGAIN);
        assert_eq!(group.offered(), 2);
        let cqe = call(select(0), 1);
        assert_eq!((cqe.res, cqe.buffer(), group.offered()), (8, Some(0), 1));
        let cqe = call(Sqe { len: 3, ..select(0) }, 1);
        assert_eq!((cqe.res, cqe.buffer()), (3, Some(1)));
        assert_eq!(call(select(0), 1).res, -libc::ENOBUFS);
        assert_eq!(call(select(5), 1).res, -libc::ENOBUFS);
    }

    #[test]
    fn streams_wait_in_line_and_only_once_while_something_is_on_offer() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(1, 8).unwrap()));
        groups.insert(group.clone(), true);
        assert!(!groups.starve(0, Key::own(1), false), "there is one");
        assert!(groups.starve(0, Key::own(1), true) && groups.is_fed(), "its turn comes");
        assert_eq!(fed(&mut groups), [Key::own(1)]);
        assert!(group.take(0, None) && groups.starve(0, Key::own(1), false));
        assert!(group.give(0).starved, "somebody waits for it");
        groups.feed(0);
        assert_eq!(fed(&mut groups), [Key::own(1)]);
        assert!(!groups.is_fed() && group.take(0, None) && group.give(0).is_silent(), "nobody does any more");
    }

    /// Who goes on in this turn.
    fn fed(groups: &mut Groups) -> Vec<Key> {
        let mut next = Vec::new();
        groups.next_fed(&mut next);
        next
    }

    /// Red when a buffer that comes back costs a try of everybody, or somebody waits while one is on offer.
    #[test]
    fn those_who_starve_go_on_by_and_by() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(1, 8).unwrap()));
        groups.insert(group.clone(), true);
        assert!(group.take(0, None) && (0..10).all(|n| groups.starve(0, Key::own(n), false)));
        groups.unstarve(0, Key::own(1));
        assert!(group.give(0).starved);
        groups.feed(0);
        groups.feed(0);
        assert_eq!(fed(&mut groups), [Key::own(0)]);
        assert_eq!(fed(&mut groups), [2, 3].map(Key::own), "the first had nothing to receive");
        assert!(groups.is_fed());
        assert!(group.take(0, None));
        assert!(fed(&mut groups).is_empty() && !groups.is_fed());
        assert!(group.give(0).starved, "the others still wait");
        groups.feed(0);
        assert_eq!([(); 2].map(|()| fed(&mut groups).len()), [1, 2]);
        assert!(group.take(0, None) && group.give(0) == Given::default());
        assert_eq!([(); 3].map(|()| fed(&mut groups).len()), [1, 2, 0], "somebody took one");
        assert!(!groups.is_fed());
    }

    /// Red when those who starved may have all buffers at once, so that the others starve next.
    #[test]
    fn those_who_starved_leave_buffers_to_the_others() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(64, 8).unwrap()));
        groups.insert(group.clone(), true);
        assert!((0..64).all(|bid| group.take(bid, None)) && (0..100).all(|n| groups.starve(0, Key::own(n), true)));
        for (given, go_on) in [(0..4, 2), (4..8, 4), (8..64, WAVE)] {
            for bid in given {
                group.give(bid);
            }
            groups.feed(0);
            assert_eq!(fed(&mut groups).len(), go_on);
            // Somebody took one, and it came back.
            assert!(group.take(0, None) && group.give(0).is_silent());
        }
        assert!(groups.is_fed(), "the rest is for the next turns");
    }
}
