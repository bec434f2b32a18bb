//! A group of provided buffers with memory of its own.

use super::{BufRing, BufRingBuilder, Part, Parts, Ring};
use crate::{
    entry::{BufGroup, Cqe},
    sys::buf_ring,
};
use memmap2::MmapRaw;
use std::{fmt, io, mem::ManuallyDrop, ops::Range, slice};

/// A [`BufRing`] and the memory of its buffers: all are of one size, and on offer from the start. Since Linux 5.19.
///
/// # Lent
/// An entry that [selects](crate::entry::Sqe::buffer_select) from the group names all memory that is on offer in it.
/// Whoever pushes it owes ([`Ring::push`]) that [`BufArena::take`] and [`BufArena::take_bundle`] are called with the
/// completions that the ring gave for such entries, with each once and in their order; that the group is not
/// unregistered before the entry's final completion; and that no other entry that selects from an
/// [incremental](BufRingBuilder::incremental) group is in flight: where a part begins is known from those before it.
/// All the rest is seen to here: only what a completion brought can be looked at, until it is given back.
///
/// Without [`BufArena::unregister`] the memory is leaked: nobody knows how long it is written to.
///
/// ```
/// use annulus::ring::{BufGroup, BufRing, Ring, Sqe};
/// use std::{io::Write, os::{fd::AsRawFd, unix::net::UnixStream}};
/// # let Ok(ring) = Ring::new(4) else { return Ok(()) };
/// # let mut ring = ring;
/// # let Ok(_) = BufRing::builder(BufGroup(1), 1).register(&ring) else { return Ok(()) };
/// let mut buffers = BufRing::builder(BufGroup(0), 16).register_arena(&ring, 4096)?;
/// let (socket, mut peer) = UnixStream::pair()?;
/// let recv = Sqe::recv(socket.as_raw_fd(), std::ptr::null_mut(), 0, 0).buffer_select(buffers.group());
/// // SAFETY: Lent: the socket stays open, and what is taken from the group is what the ring's completions say.
/// unsafe { ring.push(&recv) }?;
/// peer.write_all(b"hello")?;
/// ring.submit_and_wait(1)?;
/// for cqe in ring.completions() {
///     if let Some(part) = buffers.take(&cqe)? {
///         assert_eq!(buffers.bytes(&part).unwrap(), b"hello");
///         buffers.give(part.bid)?;
///     }
/// }
/// buffers.unregister(&ring)?;
/// # std::io::Result::Ok(())
/// ```
pub struct BufArena {
    group: BufRing,
    memory: ManuallyDrop<MmapRaw>,
    size: u32,
}

impl BufRingBuilder {
    /// Makes the group, and memory for as many buffers of `size` bytes, which are all on offer then, in the order of
    /// their numbers.
    ///
    /// # Errors
    /// Those of [`BufRingBuilder::register`]; `InvalidInput` for a size that no buffer can have, or that is less than
    /// what is to be left of each.
    pub fn register_arena(&self, ring: &Ring, size: u32) -> io::Result<BufArena> {
        if self.leaves_more_than(size) {
            let why = format!("of buffers of {size} bytes none would be filled twice: leave less, or make them larger");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let memory = ManuallyDrop::new(buf_ring::arena(self.entries(), size)?);
        let mut arena = match self.register(ring) {
            Ok(group) => BufArena { group, memory, size },
            Err(error) => {
                drop(ManuallyDrop::into_inner(memory));
                return Err(error);
            }
        };
        for bid in 0..arena.group.capacity() {
            arena.give(bid as u16)?;
        }
        Ok(arena)
    }
}

impl BufArena {
    /// The group's id.
    #[must_use]
    pub fn group(&self) -> BufGroup {
        self.group.group()
    }

    /// How many buffers there are.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.group.capacity()
    }

    /// How many bytes each has.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How many buffers are on offer, or with requests that have not told of them.
    #[must_use]
    pub fn on_offer(&self) -> u32 {
        self.group.on_offer()
    }

    /// Finds out what of which buffer a completion brought: nothing, if it names none. See [Lent](BufArena#lent).
    ///
    /// # Errors
    /// As [`BufRing::take`].
    pub fn take(&mut self, cqe: &Cqe) -> io::Result<Option<Part>> {
        self.group.take(cqe)
    }

    /// As [`BufArena::take`], for an entry that asked for a bundle.
    ///
    /// # Errors
    /// As [`BufRing::take_bundle`].
    pub fn take_bundle(&mut self, cqe: &Cqe) -> io::Result<Parts<'_>> {
        self.group.take_bundle(cqe)
    }

    /// What a completion brought. `None` once it was given back.
    #[must_use]
    pub fn bytes(&self, part: &Part) -> Option<&[u8]> {
        let Range { start, end } = self.place(part)?;
        // SAFETY: Lent: no completion that is still to come brings these bytes, so nobody else has them; Laid out: they
        // lie in the map, which was zeroed.
        Some(unsafe { slice::from_raw_parts(self.memory.as_ptr().wrapping_add(start), end - start) })
    }

    /// What a completion brought, to be changed. `None` once it was given back.
    #[must_use]
    pub fn bytes_mut(&mut self, part: &Part) -> Option<&mut [u8]> {
        let Range { start, end } = self.place(part)?;
        // SAFETY: as above, and the arena is borrowed as a whole.
        Some(unsafe { slice::from_raw_parts_mut(self.memory.as_mut_ptr().wrapping_add(start), end - start) })
    }

    /// Where a part lies, if it is ours.
    fn place(&self, part: &Part) -> Option<Range<usize>> {
        let end = part.offset.checked_add(part.len)?;
        let start = usize::from(part.bid) * self.size as usize;
        (end <= self.group.ours(part.bid)?).then(|| start + part.offset as usize..start + end as usize)
    }

    /// Gives a buffer back that a completion brought, after all parts of it: it is on offer again, after the others.
    ///
    /// # Errors
    /// `InvalidInput` for one that is on offer, or is not there; `Other` in a forked child.
    pub fn give(&mut self, bid: u16) -> io::Result<()> {
        let start = usize::from(bid) * self.size as usize;
        // SAFETY: Lent: the memory stays until the group was unregistered; nobody looks into it while it is on offer.
        unsafe { self.group.add(bid, self.memory.as_mut_ptr().wrapping_add(start), self.size) }
    }

    /// As [`BufRing::head`].
    ///
    /// # Errors
    /// Those of [`BufRing::head`].
    pub fn head(&self, ring: &Ring) -> io::Result<u16> {
        self.group.head(ring)
    }

    /// Takes the group away from its io_uring, and frees its memory. See [Lent](BufArena#lent) for when.
    ///
    /// # Errors
    /// Those of [`BufRing::unregister`]; the memory is leaked then.
    pub fn unregister(self, ring: &Ring) -> io::Result<()> {
        self.group.unregister(ring)?;
        drop(ManuallyDrop::into_inner(self.memory));
        Ok(())
    }
}

impl fmt::Debug for BufArena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, of {} bytes each", self.group, self.size)
    }
}
