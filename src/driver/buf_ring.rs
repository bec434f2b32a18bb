//! A buffer group in its user's hands.

use crate::{
    buf::Group,
    driver::Driver,
    entry::{Cqe, Sqe, SqeFlags},
};
use std::{fmt, io, ops, rc::Rc, slice};

/// A group of buffers that are chosen when there is something to put into them, so that a connection that waits holds
/// none: the kernel's provided buffer ring.
///
/// It belongs to the runtime that it was made in. A clone is the same group. Its memory stays as long as any handle,
/// any operation that uses it and any [`ProvidedBuf`] of it.
///
/// On the ring it is registered with the kernel (`IORING_REGISTER_PBUF_RING`, since Linux 5.19); before that, and on
/// the poll driver, the driver chooses, and nothing else is different.
///
/// ```
/// # annulus::run(async {
/// let bufs = annulus::BufRing::new(8, 4096)?;
/// assert_eq!((bufs.count(), bufs.offered(), bufs.buf_size()), (8, 8, 4096));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct BufRing(Rc<Shared>);

struct Shared {
    group: Rc<Group>,
    driver: Rc<Driver>,
    id: u16,
}

impl BufRing {
    /// `count` buffers, a power of two up to 32,768, of `size` bytes each. The pages are the kernel's to give when they
    /// are first written.
    ///
    /// # Errors
    /// `InvalidInput` for numbers that no group can have, `ENOMEM` when there is no memory (or, on the ring, none that
    /// may be locked), `Other` for the 65,537th group of a runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(count: u32, size: u32) -> io::Result<BufRing> {
        let driver = Driver::current().expect("an annulus::BufRing was made outside of an annulus runtime");
        let group = Rc::new(Group::new(count, size)?);
        let id = driver.provide(&group)?;
        Ok(BufRing(Rc::new(Shared { group, driver, id })))
    }

    /// How many buffers there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.group.count()
    }

    /// How many of them are on offer; the others are [`ProvidedBuf`]s, or on the way to become ones.
    #[must_use]
    pub fn offered(&self) -> u32 {
        self.0.group.offered()
    }

    /// The size of a buffer, in bytes.
    #[must_use]
    pub fn buf_size(&self) -> u32 {
        self.0.group.size()
    }

    /// The driver that knows the group.
    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.0.driver
    }

    /// An entry that takes its buffer from this group.
    pub(crate) fn select(&self, sqe: Sqe) -> Sqe {
        Sqe { buf_index: self.0.id, ..sqe.flags(SqeFlags::BUFFER_SELECT) }
    }

    /// The buffer that a completion brought, with as many bytes as it says. `None` if it brought none.
    ///
    /// The completion is of an entry that [`select`](BufRing::select)s from this group, and is asked once.
    pub(crate) fn filled(&self, cqe: Cqe) -> Option<ProvidedBuf> {
        let bid = cqe.buffer()?;
        let len = u32::try_from(cqe.res).unwrap_or(0).min(self.buf_size());
        Some(ProvidedBuf { ring: self.clone(), bid, len })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driver.withdraw(self.id);
    }
}

/// A buffer of a [`BufRing`] with what was received in it: as many bytes as that was. Dropped, it is on offer again.
pub struct ProvidedBuf {
    ring: BufRing,
    bid: u16,
    len: u32,
}

impl ops::Deref for ProvidedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let at = self.ring.0.group.buffer(self.bid).as_ptr();
        // SAFETY: Lent: a completion gave this buffer back and it was not offered since; an anonymous map has no byte
        // that is not initialised, and the group keeps it mapped.
        unsafe { slice::from_raw_parts(at, self.len as usize) }
    }
}

impl ops::DerefMut for ProvidedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let at = self.ring.0.group.buffer(self.bid).as_ptr();
        // SAFETY: Lent: as for reading; and no other `ProvidedBuf` has this number, as it is out only once.
        unsafe { slice::from_raw_parts_mut(at, self.len as usize) }
    }
}

impl Drop for ProvidedBuf {
    fn drop(&mut self) {
        let shared = &self.ring.0;
        if shared.group.give(self.bid) {
            shared.driver.feed(shared.id);
        }
    }
}

impl fmt::Debug for BufRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BufRing").field(&self.0.group).finish()
    }
}

impl fmt::Debug for ProvidedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProvidedBuf").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn an_id_is_given_again_when_its_group_has_gone() {
        let (one, two) = (BufRing::new(1, 8).unwrap(), BufRing::new(1, 8).unwrap());
        let (first, second) = (one.0.id, two.0.id);
        assert_ne!(first, second);
        let clone = one.clone();
        drop(one);
        assert_ne!(BufRing::new(1, 8).unwrap().0.id, first, "a clone is the same group");
        drop(clone);
        assert_eq!(BufRing::new(1, 8).unwrap().0.id, first);
    }

    #[crate::test]
    async fn absurd_groups_are_refused() {
        for (count, size) in [(3, 8), (0, 8), (1, 0)] {
            assert_eq!(BufRing::new(count, size).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
