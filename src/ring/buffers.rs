//! The ring's table of registered buffers: memory whose pages the kernel has looked up and pinned once, and not for
//! each request.

use super::{Ring, Tag, tag};
use crate::{
    entry::BufIndex,
    sys::{self, io_uring_clone_buffers, io_uring_rsrc_register, io_uring_rsrc_update2},
};
use std::{fmt, io, mem::size_of, ops::Range, ptr};

/// The most buffers that a table has.
const MOST: usize = 1 << 14;

/// Where memory lies that is to be registered, or a place of the table that is to be empty.
///
/// It is as an `iovec`: a pointer and a length, and no promise.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct IoVec(libc::iovec);

impl IoVec {
    /// No memory: the place stays, or becomes, empty.
    pub const EMPTY: IoVec = IoVec::new(ptr::null_mut(), 0);

    /// The `len` bytes from `start`. Without bytes it is [`IoVec::EMPTY`].
    #[must_use]
    pub const fn new(start: *mut u8, len: usize) -> IoVec {
        // The kernel takes no address without a length.
        let start = if len == 0 { ptr::null_mut() } else { start };
        IoVec(libc::iovec { iov_base: start.cast(), iov_len: len })
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.iov_len
    }

    /// Whether this is no memory.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<*mut [u8]> for IoVec {
    fn from(memory: *mut [u8]) -> IoVec {
        IoVec::new(memory.cast(), memory.len())
    }
}

impl fmt::Debug for IoVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:p}", self.len(), self.0.iov_base)
    }
}

/// The table of buffers. Its entries are [`Sqe::read_fixed`](crate::entry::Sqe::read_fixed) and others that take a
/// [`BufIndex`]; they may name any part of a registered buffer.
///
/// The kernel pins the pages and counts them against `RLIMIT_MEMLOCK` (of the user, not of the process; whoever has
/// `CAP_IPC_LOCK` is spared). What it pins is the memory that was there at registration: another map at the same
/// address changes nothing.
impl Ring {
    /// Makes the table out of `buffers`, at most 16,384 with at most 1 GiB each (1 TiB since Linux 7.2). `tags` is
    /// empty, or has one for each. Since Linux 5.1, with empty places and tags since 5.13.
    ///
    /// # Errors
    /// `InvalidInput` for no buffers, too many of them, or tags that are not as many. `EBUSY` if there is a table
    /// already; `ENOMEM` if so much may not be locked: raise `RLIMIT_MEMLOCK`, or register less. `EFAULT` for memory
    /// that is not there, that may not be written to, that is a shared map of a file, or that is too long. `EINVAL` for
    /// a tag of an empty place, and for what is newer than the kernel; `Other` in a forked child.
    ///
    /// # Safety
    /// Lent: while entries that name a place of this table, or of a [clone](Ring::clone_buffers) of it, are in flight,
    /// the memory registered there is valid, in place and unshared. They end with their final completions, all of
    /// them with the place's [`Tag`], and nothing else tells that they have ended.
    ///
    /// ```
    /// use annulus::ring::{BufIndex, IoVec, Ring, Sqe};
    /// use std::os::fd::AsRawFd;
    /// # let Ok(ring) = Ring::new(4) else { return Ok(()) };
    /// # let mut ring = ring;
    /// let mut memory = vec![0; 4096];
    /// let start = memory.as_mut_ptr();
    /// // SAFETY: Lent: the vector stays until the read below is done, and nobody looks into it before that.
    /// unsafe { ring.register_buffers(&[IoVec::new(start, 4096)], &[]) }?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let read = Sqe::read_fixed(file.as_raw_fd(), start, 100, 0, BufIndex(0));
    /// // SAFETY: Lent: likewise, and so does the file.
    /// unsafe { ring.push(&read) }?;
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completions().next().unwrap().result()?, 100);
    /// assert_eq!(memory[..100], std::fs::read("Cargo.toml")?[..100]);
    /// # std::io::Result::Ok(())
    /// ```
    pub unsafe fn register_buffers(&self, buffers: &[IoVec], tags: &[Option<Tag>]) -> io::Result<()> {
        check_count(buffers.len())?;
        let (nr, data, tags) = (buffers.len() as u32, buffers.as_ptr(), tag::address(tags, buffers.len())?);
        if tags == 0 {
            // SAFETY: Lent, by this function's contract; the list itself is read before the call returns.
            return unsafe { self.register(sys::IORING_REGISTER_BUFFERS, data.cast_mut().cast(), nr) }.map(drop);
        }
        let table = io_uring_rsrc_register { nr, data: data as u64, tags, ..io_uring_rsrc_register::default() };
        // SAFETY: Lent, by this function's contract; both lists are read before the call returns.
        unsafe { self.register_table(sys::IORING_REGISTER_BUFFERS2, table) }
    }

    /// Makes a table of `count` empty places, 16,384 at most, for [`Ring::update_buffers`]. A table cannot grow; a
    /// place costs 8 bytes. Since Linux 5.19.
    ///
    /// # Errors
    /// `InvalidInput` for no places or too many, `EBUSY` if there is a table already, `EINVAL` before Linux 5.19;
    /// `Other` in a forked child.
    pub fn register_buffers_sparse(&self, count: u32) -> io::Result<()> {
        check_count(count as usize)?;
        let flags = sys::IORING_RSRC_REGISTER_SPARSE;
        let table = io_uring_rsrc_register { nr: count, flags, ..io_uring_rsrc_register::default() };
        // SAFETY: Kernel's word: a table of empty places names no memory.
        unsafe { self.register_table(sys::IORING_REGISTER_BUFFERS2, table) }
    }

    /// Puts `buffers` into the table from the place `first` on; [`IoVec::EMPTY`] takes out what was there. `tags` is
    /// empty, or has one for each. Requests in flight keep what they started with. Gives how many places were done: the
    /// first that cannot be ends it, with an error only if it is the very first. Since Linux 5.13.
    ///
    /// # Errors
    /// `InvalidInput` for no buffers, or tags that are not as many. `ENXIO` without a table, `EINVAL` or `EOVERFLOW`
    /// for a place outside of it and `EINVAL` for a tag of an empty place; `ENOMEM` and `EFAULT` as in
    /// [`Ring::register_buffers`]; `EINVAL` before Linux 5.13; `Other` in a forked child.
    ///
    /// # Safety
    /// As for [`Ring::register_buffers`]. What was at these places before is still with the requests that name it.
    pub unsafe fn update_buffers(&self, first: BufIndex, buffers: &[IoVec], tags: &[Option<Tag>]) -> io::Result<u32> {
        check_count(buffers.len())?;
        let (data, tags) = (buffers.as_ptr() as u64, tag::address(tags, buffers.len())?);
        let (offset, nr) = (first.0.into(), buffers.len() as u32);
        let update = io_uring_rsrc_update2 { offset, data, tags, nr, ..io_uring_rsrc_update2::default() };
        // SAFETY: Lent, by this function's contract; the lists are read before the call returns.
        unsafe { self.update_table(sys::IORING_REGISTER_BUFFERS_UPDATE, update) }
    }

    /// Takes out of the table what is at `place`. Requests in flight keep it: it is free when its [`Tag`] says so.
    ///
    /// # Errors
    /// `ENXIO` without a table, `EINVAL` for a place outside of it and before Linux 5.13; `Other` in a forked child.
    pub fn remove_buffer(&self, place: BufIndex) -> io::Result<()> {
        // SAFETY: Lent: no memory is named, and what was there is with its requests as before.
        unsafe { self.update_buffers(place, &[IoVec::EMPTY], &[]) }.map(drop)
    }

    /// Takes the table away. Before Linux 6.13 this waits for all requests of the ring that use *any* table, which may
    /// take for ever; since then it returns at once, and requests in flight keep their buffers until they are done:
    /// these are free when their [`Tag`]s say so. Since Linux 5.1.
    ///
    /// # Errors
    /// `ENXIO` without a table; `EINTR` before Linux 6.13 when a signal ended the wait, and then the table stays;
    /// `Other` in a forked child.
    pub fn unregister_buffers(&self) -> io::Result<()> {
        // SAFETY: Kernel's word: there is no argument; who uses the memory goes on using it.
        unsafe { self.register(sys::IORING_UNREGISTER_BUFFERS, ptr::null_mut(), 0) }.map(drop)
    }

    /// Makes this ring's table one of the same buffers as `from`'s. Nothing is pinned and nothing is counted again, so
    /// this is how rings share memory. Either ring may give up its table without the other's knowledge. Since Linux
    /// 6.12.
    ///
    /// # Errors
    /// `EBUSY` if there is a table already, `ENXIO` if `from` has none. `EEXIST` on newer kernels if `from` is a
    /// `SINGLE_ISSUER` ring of another thread: clone before that thread takes it, while it is still disabled. `EINVAL`
    /// before Linux 6.12, and if the rings' memory is counted for two different users; `Other` in a forked child.
    pub fn clone_buffers(&self, from: &Ring) -> io::Result<()> {
        self.clone_table(from, io_uring_clone_buffers::default())
    }

    /// Puts the places `range` of `from`'s table into this ring's, from the place `to` on. If there is no table yet it
    /// is made as long as it must be. Since Linux 6.13.
    ///
    /// # Errors
    /// Those of [`Ring::clone_buffers`]; `InvalidInput` for an empty range, `EOVERFLOW` for one that goes past `from`'s
    /// table, `EINVAL` for more than 16,384 places.
    pub fn clone_buffers_range(&self, from: &Ring, range: Range<u16>, to: BufIndex) -> io::Result<()> {
        self.clone_range(from, range, to, 0)
    }

    /// As [`Ring::clone_buffers_range`], also into a table that is there: what was at these places is taken out, and
    /// the other places stay as they are. Since Linux 6.13.
    ///
    /// # Errors
    /// Those of [`Ring::clone_buffers_range`], but `EBUSY`.
    pub fn replace_buffers(&self, from: &Ring, range: Range<u16>, to: BufIndex) -> io::Result<()> {
        self.clone_range(from, range, to, sys::IORING_REGISTER_DST_REPLACE)
    }

    fn clone_range(&self, from: &Ring, range: Range<u16>, to: BufIndex, flags: u32) -> io::Result<()> {
        if range.is_empty() {
            let why = "no buffers are to be cloned; clone_buffers() clones all";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let (src_off, nr, dst_off) = (range.start.into(), range.len() as u32, to.0.into());
        self.clone_table(from, io_uring_clone_buffers { flags, src_off, dst_off, nr, ..Default::default() })
    }

    fn clone_table(&self, from: &Ring, clone: io_uring_clone_buffers) -> io::Result<()> {
        from.check_alive()?;
        let (src_fd, by) = from.name.for_enter()?;
        let registered = if by.is_empty() { 0 } else { sys::IORING_REGISTER_SRC_REGISTERED };
        let flags = clone.flags | registered;
        let mut clone = io_uring_clone_buffers { src_fd: src_fd as u32, flags, ..clone };
        // SAFETY: Lent: whoever registered the memory answers for clones too; the structure is only read.
        unsafe { self.register(sys::IORING_REGISTER_CLONE_BUFFERS, (&raw mut clone).cast(), 1) }.map(drop)
    }

    /// Makes a table of buffers or of files.
    ///
    /// # Safety
    /// What `table` points to is what `opcode` asks for, and obeys the Lent invariant.
    pub(super) unsafe fn register_table(&self, opcode: u32, mut table: io_uring_rsrc_register) -> io::Result<()> {
        let size = size_of::<io_uring_rsrc_register>() as u32;
        // SAFETY: Kernel's word: one structure of that size; what it points to is what this function's caller says.
        unsafe { self.register(opcode, (&raw mut table).cast(), size) }.map(drop)
    }

    /// Changes a table of buffers or of files.
    ///
    /// # Safety
    /// As for [`Ring::register_table`].
    pub(super) unsafe fn update_table(&self, opcode: u32, mut update: io_uring_rsrc_update2) -> io::Result<u32> {
        let size = size_of::<io_uring_rsrc_update2>() as u32;
        // SAFETY: Kernel's word: one structure of that size, and the lists that it points to, by this contract.
        unsafe { self.register(opcode, (&raw mut update).cast(), size) }
    }
}

fn check_count(count: usize) -> io::Result<()> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    let why = format!("a table has 1 to {MOST} registered buffers, not {count}: register larger ones, and name parts");
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
