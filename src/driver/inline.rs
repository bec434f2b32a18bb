//! The hybrid: a send of the ring's driver that is done by a call, at once, instead of by an entry; and a read of what
//! is in memory, of which [`cached`](super::cached) tells more.
//!
//! An entry is worth its way through the ring where the kernel is entered for several at once. A send that is the only
//! thing to do would have an enter of its own, and its completion a turn. The call costs less, and what is asked for
//! next goes into the kernel with the wait for it. So while turns bring few completions, and where nothing is queued,
//! nobody else is about to run and the last turn brought one at most, a send's twin is called at its first poll, as on
//! the poll driver. Receives have watches for that (`watched.rs`).
//!
//! It does not overtake what waits for room: while such an operation of the same `Fd` is in flight, a send is an
//! entry. A send without a copy counts as one until its memory is given back. Splices, and messages of Unix sockets
//! that are tried again, do not count, and have no order on the ring either. At EAGAIN it becomes one, and after a
//! send that found too little room the next is one from the start: a peer that reads slowly is waited for by the
//! kernel. A call takes from what a turn may complete inline, so nobody starves.

use crate::{
    driver::Fd,
    entry::{Interest, Place, Sqe, SqeFlags, Twin},
    sys,
};
use std::ptr;

/// The flags by which the kernel does more than one call would: it goes on until all is sent.
const GOES_ON: u32 = libc::MSG_WAITALL as u32;

/// Whether an entry is a send that a call does as well, with what is known of its descriptor.
///
/// A descriptor without a number is the ring's alone. An entry with flags or options is for the kernel; and where a
/// twin cannot promise not to block, which it says by having another, the kernel is asked.
pub(super) fn suits(sqe: &Sqe, twin: &Twin, fd: &Fd) -> bool {
    let opcode = u32::from(sqe.opcode);
    let plain = match opcode {
        sys::IORING_OP_SEND | sys::IORING_OP_SENDMSG => sqe.op_flags & GOES_ON == 0,
        sys::IORING_OP_WRITEV => sqe.op_flags == 0 && sqe.off == u64::MAX,
        _ => false,
    };
    let by_readiness = twin.place == Place::Ready(Interest::Write) && twin.otherwise.is_none();
    plain && by_readiness && is_bare(sqe) && !fd.is_direct() && !fd.is_written() && !fd.take_crowded()
}

/// The opcodes of reads that may be calls.
pub(super) const READS: [u32; 3] = [sys::IORING_OP_READ, sys::IORING_OP_READ_FIXED, sys::IORING_OP_READV];

/// Reads are calls after a turn that brought so many completions at most. With 2 of them in flight an entry costs 1.3
/// times a call, with 4 1.15 times, with 8 as much, and with 32 0.9 times.
pub(super) const FEW: u64 = 8;

/// So many bytes are copied out of the page cache sooner than the kernel, or another thread, is asked to.
const COPIED_HERE: usize = 64 << 10;

/// The least that a read counts for: what a call costs without any bytes, more or less.
const PAGE: usize = 4 << 10;

/// How many bytes a read counts for, if it is one that its twin's `sooner` does as well.
pub(super) fn room_if_cached(sqe: &Sqe, fd: &Fd) -> Option<usize> {
    let is_place = sqe.off == u64::MAX || libc::off_t::try_from(sqe.off).is_ok();
    let suits = is_bare(sqe) && sqe.op_flags == 0 && !fd.is_direct() && is_place;
    suits.then(|| room(sqe).max(PAGE)).filter(|&room| room <= COPIED_HERE)
}

/// How much a read takes at most.
fn room(sqe: &Sqe) -> usize {
    if u32::from(sqe.opcode) != sys::IORING_OP_READV {
        return sqe.len as usize;
    }
    let parts = ptr::slice_from_raw_parts(sqe.addr as *const libc::iovec, sqe.len as usize);
    // A buffer without parts may have no list of them.
    if parts.is_null() {
        return 0;
    }
    // SAFETY: Lent: whoever encoded the entry keeps its list of buffers until it is finished, and that has not begun.
    unsafe { &*parts }.iter().fold(0, |sum, part| sum.saturating_add(part.iov_len))
}

/// Whether an entry is without what only the kernel does.
fn is_bare(sqe: &Sqe) -> bool {
    sqe.flags == SqeFlags::empty() && sqe.ioprio == 0 && sqe.personality == 0
}

/// Whether an answer says that the descriptor has no more room. Of a vector and of a message only EAGAIN does: their
/// length is elsewhere.
pub(super) fn found_no_room(sqe: &Sqe, res: i32) -> bool {
    let short = |n: u32| u32::from(sqe.opcode) == sys::IORING_OP_SEND && n < sqe.len;
    u32::try_from(res).map_or(res == -libc::EAGAIN, short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when parts are not added up, or overflow. That nobody looks where there is no list, nothing here can see.
    #[test]
    fn room_is_that_of_all_parts() {
        let parts = [3, 0, usize::MAX].map(|iov_len| libc::iovec { iov_base: ptr::null_mut(), iov_len });
        let readv = |parts: *const libc::iovec, len| Sqe {
            opcode: sys::IORING_OP_READV as u8,
            addr: parts as u64,
            len,
            ..Sqe::default()
        };
        assert_eq!(room(&readv(parts.as_ptr(), 2)), 3);
        assert_eq!(room(&readv(parts.as_ptr(), 3)), usize::MAX);
        assert_eq!(room(&readv(ptr::null(), 0)), 0);
        assert_eq!(room(&Sqe { len: 7, ..Sqe::default() }), 7);
    }
}
