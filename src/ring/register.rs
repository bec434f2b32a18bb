//! What is registered: the ring's place in its thread's table of rings, which saves a descriptor lookup in every enter;
//! and the ring's own table of buffers, which saves the kernel the look at their pages.

use crate::{
    ring::Ring,
    sys::{self, io_uring_rsrc_register, io_uring_rsrc_update, io_uring_rsrc_update2},
};
use std::{
    cell::Cell,
    io,
    mem::size_of,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

/// An index in one thread's table. On another thread the same index is another ring, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered {
    index: u32,
    thread: u64,
}

impl Registered {
    /// Takes an index in this thread's table.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Registered> {
        let mut update = io_uring_rsrc_update {
            offset: u32::MAX, // whichever is free
            data: fd.as_raw_fd() as u64,
            ..io_uring_rsrc_update::default()
        };
        let arg = std::ptr::from_mut(&mut update).cast();
        // SAFETY: Kernel's word: one structure, written with the index that was chosen.
        unsafe { sys::uring::register(fd, sys::IORING_REGISTER_RING_FDS, arg, 1) }?;
        Ok(Registered { index: update.offset, thread: thread() })
    }

    /// The index, on the thread that it belongs to.
    pub(crate) fn index(&self) -> Option<RawFd> {
        if self.is_here() { RawFd::try_from(self.index).ok() } else { None }
    }

    pub(crate) fn is_here(&self) -> bool {
        self.thread == thread()
    }

    /// Gives the index back; on the thread that it belongs to.
    pub(crate) fn release(self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut update = io_uring_rsrc_update { offset: self.index, ..io_uring_rsrc_update::default() };
        let arg = std::ptr::from_mut(&mut update).cast();
        // SAFETY: Kernel's word: one structure, which is only read.
        unsafe { sys::uring::register(fd, sys::IORING_UNREGISTER_RING_FDS, arg, 1) }?;
        Ok(())
    }
}

/// A number that no other thread of this process has or had. Unlike a thread-local's address it is never used again,
/// and unlike `std::thread::current` it touches no count.
fn thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    NUMBER.with(|number| {
        if number.get() == 0 {
            // Relaxed: only that the numbers differ matters.
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

impl Ring {
    /// Makes the table of registered buffers, with room for `count` that [`Ring::update_buffer`] can put there: 16,384
    /// at most. A table cannot grow; it costs 8 bytes for each. Since Linux 5.19.
    ///
    /// # Errors
    /// `EBUSY` if there is a table already, `EINVAL` before Linux 5.19 and for a `count` that cannot be; `Other` in a
    /// forked child.
    pub fn register_buffer_table(&self, count: u32) -> io::Result<()> {
        let flags = sys::IORING_RSRC_REGISTER_SPARSE;
        let mut table = io_uring_rsrc_register { nr: count, flags, ..io_uring_rsrc_register::default() };
        let (arg, size) = ((&raw mut table).cast(), size_of::<io_uring_rsrc_register>() as u32);
        // SAFETY: Kernel's word: one structure of that size, which is only read and names no memory.
        unsafe { self.register(sys::IORING_REGISTER_BUFFERS2, arg, size) }.map(drop)
    }

    /// Puts memory into the table at `index`, for entries like [`Sqe::read_fixed`](crate::entry::Sqe::read_fixed), or
    /// takes out what was there, with an empty range. The kernel pins the pages and counts them against
    /// `RLIMIT_MEMLOCK`; requests that run keep what they started with. Since Linux 5.13.
    ///
    /// # Errors
    /// `ENOMEM` when so much may not be locked, `EFAULT` for memory that is not there, that is a shared file's, or that
    /// is more than 1 GiB, `ENXIO` without a table, `EINVAL` for an index outside of it; `Other` in a forked child.
    ///
    /// # Safety
    /// The memory may be written to, and stays mapped as it is for as long as entries name it by this index: the kernel
    /// would go on using the pages that it pinned.
    pub unsafe fn update_buffer(&self, index: u32, memory: Range<*mut u8>) -> io::Result<()> {
        let len = memory.end.addr().saturating_sub(memory.start.addr());
        let start = if len == 0 { ptr::null_mut() } else { memory.start };
        let part = libc::iovec { iov_base: start.cast(), iov_len: len };
        let data = (&raw const part) as u64;
        let mut update = io_uring_rsrc_update2 { offset: index, data, nr: 1, ..io_uring_rsrc_update2::default() };
        let (arg, size) = ((&raw mut update).cast(), size_of::<io_uring_rsrc_update2>() as u32);
        // SAFETY: Kernel's word: both structures are read before the call returns; the memory is the caller's promise.
        unsafe { self.register(sys::IORING_REGISTER_BUFFERS_UPDATE, arg, size) }.map(drop)
    }
}
