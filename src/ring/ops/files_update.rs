//! `io_uring_prep_files_update(3)`: `IORING_OP_FILES_UPDATE`, since Linux 5.6.

use crate::{
    entry::{FixedFile, Sqe},
    ring::FileSlot,
    sys,
};

impl Sqe {
    /// Puts the `count` files at `files` into the ring's table from the place `first` on: what
    /// [`Ring::update_files`](crate::ring::Ring::update_files) does, when the entry has its turn. Only then the list is
    /// read: it has to be there until the completion, and the descriptors in it open.
    ///
    /// *Result*: how many places were done; `ENXIO` without a table, `EINVAL` for places outside of it. *Since* Linux
    /// 5.6. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn files_update(first: FixedFile, files: *const FileSlot<'_>, count: u32) -> Sqe {
        update(first.0, files as u64, count)
    }

    /// Puts the files that the `count` descriptors at `fds` name into free places of the ring's table, and writes the
    /// places over them. The list has to be writable until the completion.
    ///
    /// *Result*: how many were done; `ENFILE` when no place is free. *Since* Linux 5.19. *Cancel*: nothing to cancel.
    /// *Twin*: none.
    #[must_use]
    pub fn files_update_any(fds: *mut i32, count: u32) -> Sqe {
        update(sys::IORING_FILE_INDEX_ALLOC as u32, fds as u64, count)
    }
}

fn update(first: u32, addr: u64, len: u32) -> Sqe {
    Sqe { opcode: sys::IORING_OP_FILES_UPDATE as u8, off: first.into(), addr, len, ..Sqe::default() }
}
