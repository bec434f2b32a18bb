//! `READ`: `IORING_OP_READ`, since Linux 5.6. Reads from a descriptor into memory.

use crate::{entry::Sqe, sys};
use std::os::fd::RawFd;

impl Sqe {
    /// Reads up to `len` bytes at `offset` (-1, as `u64::MAX`: at the file's own position) into `buf`.
    #[must_use]
    pub fn read(fd: RawFd, buf: *mut u8, len: u32, offset: u64) -> Sqe {
        Sqe { opcode: sys::IORING_OP_READ as u8, fd, off: offset, addr: buf as u64, len, ..Sqe::default() }
    }
}
