//! The ring's place in its thread's table of rings, which saves a descriptor lookup in every enter.

use super::number::unique;
use crate::sys::{self, io_uring_rsrc_update};
use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, BorrowedFd},
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
        Ok(Registered::taken(update.offset))
    }

    /// The index that this thread got from the kernel.
    pub(crate) fn taken(index: u32) -> Registered {
        Registered { index, thread: thread() }
    }

    /// The index, on the thread that it belongs to.
    pub(crate) fn index(&self) -> Option<u32> {
        self.is_here().then_some(self.index)
    }

    pub(crate) fn is_here(&self) -> bool {
        self.thread == thread()
    }

    /// What gives the index back; on the thread that it belongs to.
    pub(crate) fn release(&self) -> io_uring_rsrc_update {
        io_uring_rsrc_update { offset: self.index, ..io_uring_rsrc_update::default() }
    }
}

/// A number that no other thread of this process has or had. Unlike a thread-local's address it is never used again,
/// and unlike `std::thread::current` it touches no count.
fn thread() -> u64 {
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(unique());
        }
        number.get()
    })
}
