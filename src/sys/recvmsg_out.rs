//! What the kernel puts into a chosen buffer for one message (`struct io_uring_recvmsg_out`): a header, room for the
//! sender's address, room for control data, and what was received.
//!
//! **Kernel's word**: lengths are cut to the room that there was for each part, and to the bytes that there are.

use crate::sys::io_uring_recvmsg_out;
use std::ops::Range;

/// Bytes of the header.
const HEADER: usize = size_of::<io_uring_recvmsg_out>();

/// The room that was asked for before what is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rooms {
    /// For the address.
    pub(crate) name: usize,
    /// For control data.
    pub(crate) control: usize,
}

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) name: Range<usize>,
    pub(crate) control: Range<usize>,
    pub(crate) payload: Range<usize>,
    /// How long the address was, before it was cut.
    pub(crate) name_len: usize,
    /// `MSG_*`.
    pub(crate) flags: i32,
}

impl Rooms {
    /// Where what is received begins.
    pub(crate) fn start(self) -> usize {
        self.control_at().saturating_add(self.control)
    }

    /// Where the address lies, and where control data does.
    pub(crate) fn name_at(self) -> usize {
        HEADER
    }

    pub(crate) fn control_at(self) -> usize {
        HEADER.saturating_add(self.name)
    }

    /// Takes a message apart. `None` when there are not even the header and the rooms.
    pub(crate) fn layout(self, bytes: &[u8]) -> Option<Layout> {
        if bytes.len() < self.start() {
            return None;
        }
        let word = |at| bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
        let part = |at: usize, room: usize, len: u32| at..at + room.min(len as usize);
        Some(Layout {
            name: part(self.name_at(), self.name, word(0)?),
            control: part(self.control_at(), self.control, word(4)?),
            payload: part(self.start(), bytes.len() - self.start(), word(8)?),
            name_len: word(0)? as usize,
            flags: word(12)? as i32,
        })
    }
}

/// Writes the header: `lens` are those of the address, of control data and of what was received.
///
/// # Safety
/// **Lent**: `at` is writable for as many bytes as a header has.
pub(crate) unsafe fn write_header(at: *mut u8, lens: [u32; 3], flags: i32) {
    let [namelen, controllen, payloadlen] = lens;
    let header = io_uring_recvmsg_out { namelen, controllen, payloadlen, flags: flags as u32 };
    // SAFETY: Lent: there is room, by this function's contract, wherever it is aligned.
    unsafe { at.cast::<io_uring_recvmsg_out>().write_unaligned(header) };
}

static_assertions::const_assert_eq!(std::mem::offset_of!(io_uring_recvmsg_out, namelen), 0);
static_assertions::const_assert_eq!(std::mem::offset_of!(io_uring_recvmsg_out, controllen), 4);
static_assertions::const_assert_eq!(std::mem::offset_of!(io_uring_recvmsg_out, payloadlen), 8);
static_assertions::const_assert_eq!(std::mem::offset_of!(io_uring_recvmsg_out, flags), 12);

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMS: Rooms = Rooms { name: 16, control: 32 };

    fn message(lens: [u32; 3], payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; ROOMS.start() + payload];
        // SAFETY: Lent: the vector has room for a header.
        unsafe { write_header(bytes.as_mut_ptr(), lens, libc::MSG_TRUNC) };
        bytes
    }

    #[test]
    fn parts_are_where_they_were_put() {
        let layout = ROOMS.layout(&message([16, 24, 100], 100)).unwrap();
        assert_eq!((layout.name, layout.control, layout.payload), (16..32, 32..56, 64..164));
        assert_eq!(layout.flags, libc::MSG_TRUNC);
        let empty = ROOMS.layout(&message([0, 0, 0], 0)).unwrap();
        assert!(empty.name.is_empty() && empty.control.is_empty() && empty.payload.is_empty());
    }

    /// Red when a length is believed: whoever slices by it panics, or gets bytes of another message.
    #[test]
    fn lengths_that_lie_are_cut() {
        for lie in [17, 33, 101, 1 << 20, u32::MAX] {
            let bytes = message([lie; 3], 100);
            let layout = ROOMS.layout(&bytes).unwrap();
            assert!(layout.name.len() <= 16 && layout.control.len() <= 32 && layout.payload.end <= bytes.len());
        }
        let whole = message([16, 32, 100], 100);
        for cut in 0..whole.len() {
            match ROOMS.layout(&whole[..cut]) {
                None => assert!(cut < ROOMS.start()),
                Some(layout) => assert_eq!(layout.payload, ROOMS.start()..cut),
            }
        }
        let absurd = Rooms { name: usize::MAX, control: usize::MAX };
        assert_eq!(absurd.layout(&whole), None);
    }
}
