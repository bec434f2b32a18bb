//! The buffer groups that a driver knows, and the calls of twins that choose a buffer from one.

use crate::{
    buf::Group,
    driver::slots::{self, Key, Slot},
    entry::{Cqe, CqeFlags, Sqe, SqeFlags, Twin},
    sys,
};
use slab::Slab;
use std::{io, rc::Rc};

/// A group, as its driver knows it.
pub(super) struct Known {
    group: Rc<Group>,
    /// The kernel takes the buffers; otherwise twins do.
    in_kernel: bool,
    /// Streams that found it empty.
    starved: Vec<Key>,
}

impl Known {
    /// How much of a buffer an entry asks for.
    fn room(&self, sqe: &Sqe) -> u32 {
        let size = self.group.size();
        if sqe.len == 0 { size } else { sqe.len.min(size) }
    }
}

/// All groups of a driver, by their id.
#[derive(Default)]
pub(super) struct Groups(Slab<Known>);

impl Groups {
    /// The id that the next group will have.
    ///
    /// # Errors
    /// `Other` when all 65,536 are in use.
    pub(super) fn next_id(&self) -> io::Result<u16> {
        u16::try_from(self.0.vacant_key()).map_err(|_| io::Error::other("a driver has 65536 buffer groups at most"))
    }

    /// Takes a group in, under [`Groups::next_id`].
    pub(super) fn insert(&mut self, group: Rc<Group>, in_kernel: bool) {
        self.0.insert(Known { group, in_kernel, starved: Vec::new() });
    }

    /// Lets a group go. Tells whether the kernel has to be told.
    pub(super) fn remove(&mut self, id: u16) -> bool {
        self.0.try_remove(id.into()).is_some_and(|known| known.in_kernel)
    }

    /// Whether the kernel takes the buffers of this entry's group.
    pub(super) fn is_in_kernel(&self, sqe: &Sqe) -> bool {
        self.of(sqe).is_some_and(|known| known.in_kernel)
    }

    fn of(&self, sqe: &Sqe) -> Option<&Known> {
        self.0.get(sqe.buf_index.into())
    }

    /// How many bytes an entry has room for.
    pub(super) fn room(&self, sqe: &Sqe) -> u32 {
        if sqe.flags.contains(SqeFlags::BUFFER_SELECT) {
            return self.of(sqe).map_or(0, |known| known.room(sqe));
        }
        sqe.len
    }

    /// Notes which buffer a completion of the kernel's brought. **Kernel's word**: a buffer that is not there, or that
    /// its user has already, is an error and not a buffer.
    pub(super) fn took(&self, sqe: &Sqe, cqe: Cqe) -> Cqe {
        let Some(bid) = cqe.buffer() else { return cqe };
        match self.of(sqe) {
            Some(known) if !known.in_kernel || known.group.take(bid) => cqe,
            _ => Cqe { res: -libc::EIO, flags: cqe.flags & CqeFlags::MORE, ..cqe },
        }
    }

    /// Lets a stream wait for a buffer; `false` if there is one.
    pub(super) fn starve(&mut self, id: u16, key: Key) -> bool {
        let Some(known) = self.0.get_mut(id.into()).filter(|known| known.group.offered() == 0) else { return false };
        known.group.starve();
        known.starved.push(key);
        true
    }

    /// The streams that waited for a buffer.
    pub(super) fn fed(&mut self, id: u16) -> Vec<Key> {
        self.0.get_mut(id.into()).map(|known| std::mem::take(&mut known.starved)).unwrap_or_default()
    }

    /// Calls a slot's twin, once more.
    pub(super) fn call(&self, slot: &mut Slot) -> Cqe {
        let cqe = self.call_twin(slot.twin, &slot.sqe, slot.attempt);
        slot.attempt = slot.attempt.saturating_add(1);
        cqe
    }

    /// Calls a twin, with the first buffer on offer if the entry wants one.
    pub(super) fn call_twin(&self, twin: &Twin, sqe: &Sqe, attempt: u32) -> Cqe {
        let answer = |res| Cqe::new(sqe.user_data, res);
        if !sqe.flags.contains(SqeFlags::BUFFER_SELECT) {
            return answer(slots::call(twin, sqe, attempt));
        }
        let Some(known) = self.of(sqe) else { return answer(-libc::ENOBUFS) };
        if known.in_kernel {
            return answer(-libc::EINVAL);
        }
        let Some(bid) = known.group.peek() else { return answer(-libc::ENOBUFS) };
        let filled = Sqe {
            flags: sqe.flags - SqeFlags::BUFFER_SELECT,
            addr: known.group.buffer(bid).as_ptr() as u64,
            len: known.room(sqe),
            ..*sqe
        };
        let res = slots::call(twin, &filled, attempt);
        if res <= 0 {
            return answer(res);
        }
        known.group.pop();
        known.group.take(bid);
        let flags = CqeFlags::from_bits_retain(u32::from(bid) << sys::IORING_CQE_BUFFER_SHIFT) | CqeFlags::BUFFER;
        Cqe { flags, ..answer(res) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(id: u16) -> Sqe {
        Sqe { flags: SqeFlags::BUFFER_SELECT, buf_index: id, ..Sqe::nop() }
    }

    fn brings(bid: u16) -> Cqe {
        let flags = CqeFlags::from_bits_retain(u32::from(bid) << sys::IORING_CQE_BUFFER_SHIFT);
        Cqe { flags: flags | CqeFlags::BUFFER | CqeFlags::MORE, ..Cqe::new(7, 3) }
    }

    #[test]
    fn a_buffer_that_the_kernel_made_up_is_an_error() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(2, 8).unwrap()));
        groups.insert(group.clone(), true);
        assert_eq!(groups.took(&select(0), brings(1)), brings(1));
        for lie in [groups.took(&select(0), brings(1)), groups.took(&select(0), brings(2))] {
            assert_eq!((lie.res, lie.buffer(), lie.is_final()), (-libc::EIO, None, false));
        }
        assert_eq!(groups.took(&select(9), brings(0)).res, -libc::EIO, "a group that nobody has");
        assert_eq!(group.offered(), 1);
    }

    #[test]
    fn a_twin_gets_a_buffer_and_uses_it_up_only_when_it_fills_it() {
        static FILLS: Twin = Twin::here(|sqe, attempt| if attempt == 0 { -libc::EAGAIN } else { sqe.len as i32 });
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(2, 8).unwrap()));
        groups.insert(group.clone(), false);
        assert_eq!(groups.call_twin(&FILLS, &select(0), 0).res, -libc::EAGAIN);
        assert_eq!(group.offered(), 2);
        let cqe = groups.call_twin(&FILLS, &select(0), 1);
        assert_eq!((cqe.res, cqe.buffer(), group.offered()), (8, Some(0), 1));
        let cqe = groups.call_twin(&FILLS, &Sqe { len: 3, ..select(0) }, 1);
        assert_eq!((cqe.res, cqe.buffer()), (3, Some(1)));
        assert_eq!(groups.call_twin(&FILLS, &select(0), 1).res, -libc::ENOBUFS);
        assert_eq!(groups.call_twin(&FILLS, &select(5), 1).res, -libc::ENOBUFS);
    }

    #[test]
    fn streams_starve_only_while_nothing_is_on_offer() {
        let (mut groups, group) = (Groups::default(), Rc::new(Group::new(1, 8).unwrap()));
        groups.insert(group.clone(), true);
        assert!(!groups.starve(0, Key::own(1)), "there is one");
        assert!(group.take(0) && groups.starve(0, Key::own(1)));
        assert!(group.give(0), "somebody waits for it");
        assert_eq!(groups.fed(0), [Key::own(1)]);
        assert!(group.take(0) && !group.give(0), "nobody does any more");
    }
}
