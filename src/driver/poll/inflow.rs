//! Whether a descriptor has anything to receive, as far as that is known without asking.
//!
//! A receive that came short has emptied its socket, and the next one would only be told so. **Dry**: a source is dry
//! only if it was watched before a receive on it came short, and none of its events was fetched since. What comes after
//! that receive is a new edge; what came before it was in an event that was fetched by then, or is in one that is still
//! to come. So a receive may wait for the next event without a try, and misses nothing.
//!
//! That holds where a short receive means an empty socket, which is the selector's to say, and for receives without
//! flags: a peek takes nothing away. An event that tells of an end, of an error or of urgent data ends it for good: the
//! first two may stand behind the bytes of a short receive, and the third divides them. A socket that the kernel's own
//! TLS was set upon later is still taken for plain TCP: a record that is not data, which stops a receive short, is seen
//! with the next edge only.

use crate::{entry::Sqe, sys};

/// Whether an entry was answered as a receive that came short of its `room`.
#[inline]
pub(super) fn is_short(sqe: &Sqe, room: u32, res: i32) -> bool {
    res > 0 && (res as u32) < room && receives(sqe)
}

/// What is known of a source.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    dry: bool,
    /// A short receive means an empty socket. Asked at the first one.
    tells: Option<bool>,
}

/// Whether an entry receives what comes next, and nothing else.
fn receives(sqe: &Sqe) -> bool {
    matches!(u32::from(sqe.opcode), sys::IORING_OP_RECV | sys::IORING_OP_READ) && sqe.op_flags == 0
}

impl Inflow {
    /// Whether this entry, of which `room` is the buffer's size, would be answered with EAGAIN.
    pub(super) fn is_dry_for(&self, sqe: &Sqe, room: u32) -> bool {
        self.dry && room > 0 && receives(sqe)
    }

    /// There is something to receive; or something `odd`, which is whatever is not just more bytes.
    pub(super) fn edge(&mut self, odd: bool) {
        self.dry = false;
        if odd {
            self.tells = Some(false);
        }
    }

    /// A receive came short. `tells` asks what that means.
    pub(super) fn came_short(&mut self, tells: impl FnOnce() -> bool) {
        self.dry = *self.tells.get_or_insert_with(tells);
    }
}
