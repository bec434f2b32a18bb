//! A ring of provided buffers: a group whose buffers the kernel takes when there is something to put into them.

use super::{
    Birth, Ring, mmap,
    shadow::{Answer, Part, Parts, Shadow},
};
use crate::{
    entry::{BufGroup, Cqe, CqeFlags},
    sys::{
        self,
        buf_ring::{self, Buffer, Entries},
        io_uring_buf_reg, io_uring_buf_status,
    },
};
use std::{error, fmt, io, mem::ManuallyDrop};

/// What a group of provided buffers is to be like. Made by [`BufRing::builder`].
#[derive(Clone, Copy, Debug)]
pub struct BufRingBuilder {
    group: BufGroup,
    entries: u32,
    kernel_memory: bool,
    min_left: Option<u32>,
}

impl BufRingBuilder {
    /// The kernel makes the ring's memory, and it is mapped. It is charged and freed with the io_uring. The group's id
    /// is at most 2047: it is a part of where the map is asked for. Since Linux 6.4.
    #[must_use]
    pub fn kernel_memory(mut self) -> BufRingBuilder {
        self.kernel_memory = true;
        self
    }

    /// The kernel fills a buffer by and by, and goes on to the next only when less than `min_left` bytes of it are
    /// left, or none. Since Linux 6.12; a `min_left` other than 0 since Linux 7.1 (and 6.12.90).
    ///
    /// Where a part begins is known from those before it. So let *one* request at a time select from such a group, and
    /// look at its completions before the next. A `recvmsg` needs a `min_left` of at least
    /// [what is not its message](super::RecvMsgOut::overhead), or the end of a buffer is an error (`EFAULT`). Do not
    /// ask for `MSG_TRUNC`: before Linux 7.2.7 that takes what was cut from other buffers.
    #[must_use]
    pub fn incremental(mut self, min_left: u32) -> BufRingBuilder {
        self.min_left = Some(min_left);
        self
    }

    /// Makes the group, with nothing on offer.
    ///
    /// # Errors
    /// `InvalidInput` unless the number of buffers is a power of two up to 32,768, and for an id above 2047 with
    /// [`kernel_memory`](BufRingBuilder::kernel_memory); `EEXIST` if there is such a group;
    /// `EINVAL` before Linux 5.19 and for what is newer than the kernel; `ENOMEM` if so much memory may not be locked;
    /// `Other` in a forked child.
    pub fn register(&self, ring: &Ring) -> io::Result<BufRing> {
        buf_ring::check_count(self.entries)?;
        let entries = if self.kernel_memory { self.map(ring)? } else { self.own(ring)? };
        let shadow = Shadow::new(self.entries, 0, self.min_left);
        let entries = ManuallyDrop::new(entries);
        Ok(BufRing { entries, shadow, group: self.group, ring: ring.id, birth: ring.birth })
    }

    /// How many buffers there are to be.
    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// Whether each buffer would be left before it was filled, if they had `size` bytes.
    pub(super) fn leaves_more_than(&self, size: u32) -> bool {
        self.min_left.is_some_and(|min_left| min_left > size)
    }

    fn own(&self, ring: &Ring) -> io::Result<Entries> {
        let entries = Entries::new(self.entries)?;
        // SAFETY: Lent: the kernel pins the pages, whatever becomes of the map.
        unsafe { ring.register_entries(io_uring_buf_reg { ring_addr: entries.address(), ..self.describe() }) }?;
        Ok(entries)
    }

    fn map(&self, ring: &Ring) -> io::Result<Entries> {
        let fd = ring.descriptor()?;
        let place = u64::from(self.group.0) << sys::IORING_OFF_PBUF_SHIFT;
        if place & u64::from(sys::IORING_OFF_MMAP_MASK) != 0 {
            return invalid("a group in the kernel's memory has an id of at most 2047".to_owned());
        }
        let flags = (sys::IOU_PBUF_RING_MMAP | self.flags()) as u16;
        // SAFETY: Lent: no memory of ours is named.
        unsafe { ring.register_entries(io_uring_buf_reg { flags, ..self.describe() }) }?;
        match mmap::map(fd, u64::from(sys::IORING_OFF_PBUF_RING) | place, buf_ring::length(self.entries)) {
            Ok(map) => Ok(Entries::of(map, self.entries)),
            Err(error) => {
                // It can only fail if there is no such group, and that is what is wanted.
                let _ = ring.unregister_entries(self.group);
                Err(error)
            }
        }
    }

    fn flags(&self) -> u32 {
        if self.min_left.is_some() { sys::IOU_PBUF_RING_INC } else { 0 }
    }

    fn describe(&self) -> io_uring_buf_reg {
        let (ring_entries, bgid, flags) = (self.entries, self.group.0, self.flags() as u16);
        let min_left = self.min_left.unwrap_or(0);
        io_uring_buf_reg { ring_entries, bgid, flags, min_left, ..io_uring_buf_reg::default() }
    }
}

/// A group of buffers of the caller's. Entries that are to [select](crate::entry::Sqe::buffer_select) from it need no
/// memory of their own, and hold no buffer while they wait. Since Linux 5.19.
///
/// A buffer is known by its number, which is less than the group's size. It is *on offer* from [`BufRing::add`] until a
/// completion brings it back, which [`BufRing::take`] finds out. [`BufArena`](super::BufArena) has memory of its own,
/// and needs no `unsafe`.
///
/// Dropping it without [`BufRing::unregister`] leaves the group with the io_uring until its end, and what was on offer
/// stays so.
///
/// ```
/// use annulus::ring::{BufGroup, BufRing, Ring, Sqe};
/// use std::{io::Write, os::{fd::AsRawFd, unix::net::UnixStream}};
/// # let Ok(ring) = Ring::new(4) else { return Ok(()) };
/// # let mut ring = ring;
/// # let Ok(_) = BufRing::builder(BufGroup(1), 1).register(&ring) else { return Ok(()) };
/// let mut group = BufRing::builder(BufGroup(0), 1).register(&ring)?;
/// let mut memory = Box::new([0; 64]);
/// // SAFETY: Lent: the box is looked into when it was brought back.
/// unsafe { group.add(0, memory.as_mut_ptr(), 64) }?;
/// let (socket, mut peer) = UnixStream::pair()?;
/// let recv = Sqe::recv(socket.as_raw_fd(), std::ptr::null_mut(), 0, 0).buffer_select(BufGroup(0));
/// // SAFETY: Lent: the socket stays open, and the group's memory is not touched.
/// unsafe { ring.push(&recv) }?;
/// peer.write_all(b"hello")?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completions().next().unwrap();
/// let part = group.take(&cqe)?.unwrap();
/// assert_eq!(&memory[..part.len as usize], b"hello");
/// group.unregister(&ring)?;
/// # std::io::Result::Ok(())
/// ```
pub struct BufRing {
    /// Dropped where they are mapped: not in a child.
    entries: ManuallyDrop<Entries>,
    shadow: Shadow,
    group: BufGroup,
    /// Which io_uring it belongs to.
    ring: u64,
    birth: Birth,
}

impl BufRing {
    /// A group of this id for up to `entries` buffers, a power of two up to 32,768, that is to be described first.
    #[must_use]
    pub fn builder(group: BufGroup, entries: u32) -> BufRingBuilder {
        BufRingBuilder { group, entries, kernel_memory: false, min_left: None }
    }

    /// The group's id.
    #[must_use]
    pub fn group(&self) -> BufGroup {
        self.group
    }

    /// How many buffers it can have.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.shadow.count()
    }

    /// How many buffers are on offer, or with requests that have not told of them.
    #[must_use]
    pub fn on_offer(&self) -> u32 {
        self.shadow.on_offer()
    }

    /// Offers `len` bytes at `memory` as the buffer `bid`, after those that are on offer.
    ///
    /// # Errors
    /// `InvalidInput` for a buffer that is on offer already, a `bid` that is not less than the group's size, and memory
    /// that is null or of no length; `Other` in a forked child.
    ///
    /// # Safety
    /// Lent: the memory is valid, in place and unshared until [`BufRing::take`] says that the buffer is
    /// [done](Part::done), or until the group is unregistered and every entry that selected from it has had its final
    /// completion. Nothing else ends this, and not the drop of the group or the io_uring.
    pub unsafe fn add(&mut self, bid: u16, memory: *mut u8, len: u32) -> io::Result<()> {
        self.birth.check()?;
        if memory.is_null() || len == 0 {
            return invalid("a buffer has an address and a length".to_owned());
        }
        if !self.shadow.can_offer(bid) {
            let most = self.capacity();
            return invalid(format!(
                "buffer {bid} is on offer already, or not less than {most}: give back only what a completion brought"
            ));
        }
        self.entries.write(self.shadow.tail(), Buffer { addr: memory as u64, len, bid });
        self.shadow.offer(bid, len);
        self.entries.publish(self.shadow.tail());
        Ok(())
    }

    /// Finds out what of which buffer a completion brought: nothing, if it names none.
    ///
    /// `cqe` has to be the answer to an entry that selected from this group, and each has to be looked at once, in
    /// their order, and an incremental group has one such entry in flight at a time. This is part of what whoever
    /// pushed the entry owes ([`Ring::push`]).
    ///
    /// # Errors
    /// `InvalidData` if that cannot be: the buffer is not on offer. Then nothing is changed.
    pub fn take(&mut self, cqe: &Cqe) -> io::Result<Option<Part>> {
        let Some(bid) = cqe.buffer() else { return Ok(None) };
        Ok(self.find(bid, cqe, false)?.next())
    }

    /// As [`BufRing::take`], for an entry that asked for a bundle (`IORING_RECVSEND_BUNDLE`): what a completion brings
    /// may lie in several buffers, those that were offered one after the other. Since Linux 6.10.
    ///
    /// # Errors
    /// `InvalidData` if that cannot be: the buffers are not on offer, or too short. Then nothing is changed.
    pub fn take_bundle(&mut self, cqe: &Cqe) -> io::Result<Parts<'_>> {
        match cqe.buffer() {
            Some(bid) => self.find(bid, cqe, true),
            None => Ok(self.shadow.nothing()),
        }
    }

    fn find(&mut self, bid: u16, cqe: &Cqe, bundle: bool) -> io::Result<Parts<'_>> {
        self.birth.check()?;
        let (bytes, more) = (u32::try_from(cqe.res).unwrap_or(0), cqe.flags.contains(CqeFlags::BUF_MORE));
        let (entries, is_final) = (&self.entries, cqe.is_final());
        let answer = Answer { bid, bytes, more, bundle, is_final };
        Ok(self.shadow.take(answer, |position| entries.read(position).len)?)
    }

    /// How much of a buffer is the caller's.
    pub(super) fn ours(&self, bid: u16) -> Option<u32> {
        self.shadow.ours(bid)
    }

    /// Up to which position the kernel has taken buffers: it runs from 0 with each buffer, and wraps after 65,535.
    /// Since Linux 6.8.
    ///
    /// # Errors
    /// `InvalidInput` if the group belongs to another io_uring; `EINVAL` before Linux 6.8; `Other` in a forked child.
    pub fn head(&self, ring: &Ring) -> io::Result<u16> {
        self.check_ring(ring)?;
        let buf_group = self.group.0.into();
        let mut status = io_uring_buf_status { buf_group, ..io_uring_buf_status::default() };
        // SAFETY: Kernel's word: one structure, in which the kernel writes the head.
        unsafe { ring.register(sys::IORING_REGISTER_PBUF_STATUS, (&raw mut status).cast(), 1) }?;
        Ok(status.head as u16)
    }

    /// Takes the group away from its io_uring. Requests in flight do not notice, until they want a buffer: then they
    /// end with `ENOBUFS`. Those that have one keep it until they are done.
    ///
    /// # Errors
    /// `InvalidInput` if the group belongs to another io_uring; `Other` in a forked child. The group is left with it
    /// then, as by a drop.
    pub fn unregister(self, ring: &Ring) -> io::Result<()> {
        self.check_ring(ring)?;
        ring.unregister_entries(self.group)
    }

    fn check_ring(&self, ring: &Ring) -> io::Result<()> {
        if ring.id == self.ring {
            return Ok(());
        }
        invalid("this group of buffers belongs to another ring".to_owned())
    }
}

impl Drop for BufRing {
    fn drop(&mut self) {
        // A child has no map of the kernel's memory; something else may be at its address by now.
        if self.birth.is_here() {
            // SAFETY: Mapped: this is the last that is heard of the group, and the map is this process's.
            unsafe { ManuallyDrop::drop(&mut self.entries) };
        }
    }
}

impl fmt::Debug for BufRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (on_offer, most) = (self.on_offer(), self.capacity());
        write!(f, "group {} with {on_offer} of {most} buffers on offer", self.group.0)
    }
}

/// A completion that cannot be true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lie;

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the completion brings a buffer that is not on offer: it is not of this group, or was looked at twice",
        )
    }
}

impl error::Error for Lie {}

impl From<Lie> for io::Error {
    fn from(lie: Lie) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, lie)
    }
}

fn invalid<T>(why: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl Ring {
    /// Registers the ring of a group.
    ///
    /// # Safety
    /// What is named is page-aligned memory for the entries, and stays readable by the kernel: mapped, or pinned.
    pub(crate) unsafe fn register_entries(&self, mut group: io_uring_buf_reg) -> io::Result<()> {
        // SAFETY: Lent, by this function's contract; the structure itself is read before the call returns.
        unsafe { self.register(sys::IORING_REGISTER_PBUF_RING, (&raw mut group).cast(), 1) }.map(drop)
    }

    /// Takes a group away.
    pub(crate) fn unregister_entries(&self, group: BufGroup) -> io::Result<()> {
        let mut group = io_uring_buf_reg { bgid: group.0, ..io_uring_buf_reg::default() };
        // SAFETY: Kernel's word: one structure, which is only read, and says which group it is.
        unsafe { self.register(sys::IORING_UNREGISTER_PBUF_RING, (&raw mut group).cast(), 1) }.map(drop)
    }
}
