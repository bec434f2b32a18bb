//! Control data of messages, `cmsg(3)`: put together here, and taken apart without trust.
//!
//! **Kernel's word**: whatever the bytes are, nothing outside of them is read. A message that claims more than there is
//! has what there is; one that claims less than its own header ends the list.

use std::{iter::FusedIterator, mem::MaybeUninit, os::fd::RawFd, ptr};

/// Control data of a message, `cmsg(3)`: one of possibly many.
///
/// ```
/// use annulus::net::{ControlMessage, ControlMessages};
///
/// let mut bytes = Vec::new();
/// ControlMessage { level: 1, kind: 2, data: b"abc" }.append_to(&mut bytes);
/// assert_eq!(bytes.len(), ControlMessage::space(3));
/// assert_eq!(ControlMessages::new(&bytes).next().unwrap().data, b"abc");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMessage<'a> {
    /// The `SOL_*` or `IPPROTO_*` that it belongs to.
    pub level: i32,
    /// What it is, as its level counts.
    pub kind: i32,
    /// Its content, in the system's form.
    pub data: &'a [u8],
}

/// Bytes before a message's data.
pub(crate) fn header_len() -> usize {
    // SAFETY: Plain call: arithmetic on a length.
    let len = unsafe { libc::CMSG_LEN(0) } as usize;
    assert!(len >= size_of::<libc::cmsghdr>());
    len
}

impl<'a> ControlMessage<'a> {
    /// Bytes that a message with `len` bytes of content takes: its header, its content, and what follows for the next
    /// to be aligned.
    #[must_use]
    pub fn space(len: usize) -> usize {
        // SAFETY: Plain call: arithmetic on a length, which is 1.
        let unit = unsafe { libc::CMSG_SPACE(1) } as usize - header_len();
        header_len() + len.next_multiple_of(unit)
    }

    /// Appends the message to control data that is to be sent.
    pub fn append_to(self, bytes: &mut Vec<u8>) {
        let (at, start, len) = (bytes.len(), header_len(), self.data.len());
        bytes.resize(at + ControlMessage::space(len), 0);
        // SAFETY: Plain bytes: a header of zeros is a value of the structure.
        let mut header = unsafe { MaybeUninit::<libc::cmsghdr>::zeroed().assume_init() };
        header.cmsg_len = (start + len) as _;
        (header.cmsg_level, header.cmsg_type) = (self.level, self.kind);
        let room = &mut bytes[at..];
        room[start..start + len].copy_from_slice(self.data);
        // SAFETY: Plain bytes: the room was just made, and begins with space for a header.
        unsafe { ptr::write_unaligned(room.as_mut_ptr().cast(), header) };
    }

    /// The numbers of the descriptors that the message brings (`SCM_RIGHTS`); none for other messages. They are open,
    /// and whoever received the message is to close them.
    pub fn descriptors(self) -> impl Iterator<Item = RawFd> + use<'a> {
        let is_meant = (self.level, self.kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        let data = if is_meant { self.data } else { &[] };
        data.chunks_exact(4).map(|fd| i32::from_ne_bytes([fd[0], fd[1], fd[2], fd[3]])).filter(|&fd| fd >= 0)
    }
}

/// The messages in control data as the system wrote it.
///
/// Whatever the bytes are, nothing outside of them is read. A message that claims more than there is has what there is;
/// one that claims less than its own header ends the list.
#[derive(Clone, Copy, Debug)]
pub struct ControlMessages<'a> {
    rest: &'a [u8],
}

impl<'a> ControlMessages<'a> {
    /// The messages in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> ControlMessages<'a> {
        ControlMessages { rest: bytes }
    }
}

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let (rest, start) = (std::mem::take(&mut self.rest), header_len());
        if rest.len() < start {
            return None;
        }
        // SAFETY: Plain bytes: a structure of integers, and there are as many bytes as it has, wherever they lie.
        let header = unsafe { rest.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        #[allow(clippy::unnecessary_cast, reason = "C libraries do not agree on its type")]
        let len = header.cmsg_len as usize;
        let data = rest.get(start..len.min(rest.len()))?;
        let next = if len >= rest.len() { rest.len() } else { ControlMessage::space(len - start).min(rest.len()) };
        self.rest = &rest[next..];
        Some(ControlMessage { level: header.cmsg_level, kind: header.cmsg_type, data })
    }
}

impl FusedIterator for ControlMessages<'_> {}

/// Removes all messages of one kind.
pub(crate) fn remove(bytes: &mut Vec<u8>, level: i32, kind: i32) {
    let is_meant = |message: &ControlMessage<'_>| message.level == level && message.kind == kind;
    if !ControlMessages::new(bytes).any(|message| is_meant(&message)) {
        return;
    }
    let mut others = Vec::with_capacity(bytes.len());
    ControlMessages::new(bytes).filter(|message| !is_meant(message)).for_each(|message| message.append_to(&mut others));
    *bytes = others;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut bytes = Vec::new();
        ControlMessage { level: 1, kind: 2, data: b"abc" }.append_to(&mut bytes);
        let data = &[7i32.to_ne_bytes(), (-1i32).to_ne_bytes()].concat()[..];
        ControlMessage { level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, data }.append_to(&mut bytes);
        bytes
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let bytes = two();
        assert_eq!(bytes.len(), ControlMessage::space(3) + ControlMessage::space(8));
        let out: Vec<_> = ControlMessages::new(&bytes).collect();
        assert_eq!((out.len(), out[0]), (2, ControlMessage { level: 1, kind: 2, data: b"abc" }));
        assert_eq!(out[0].descriptors().count(), 0);
        assert_eq!(out[1].descriptors().collect::<Vec<_>>(), [7], "-1 is no descriptor");
        assert!(ControlMessages::new(&[]).next().is_none());
        let mut less = bytes.clone();
        remove(&mut less, 1, 2);
        assert_eq!(ControlMessages::new(&less).collect::<Vec<_>>(), &out[1..]);
    }

    /// Red when a length is believed: a slice out of bounds is a panic, and a step of nothing does not end.
    #[test]
    fn lengths_that_lie_reach_nothing() {
        let lie = |len: usize| {
            let mut bytes = two();
            // On every system the length comes first.
            // SAFETY: Plain bytes: zeros are a header.
            let header = unsafe { MaybeUninit::<libc::cmsghdr>::zeroed().assume_init() };
            let width = size_of_val(&header.cmsg_len);
            bytes[..width].copy_from_slice(&len.to_ne_bytes()[..width]);
            ControlMessages::new(&bytes).map(|m| m.data.len()).collect::<Vec<_>>()
        };
        for short in [0, 1, header_len() - 1] {
            assert!(lie(short).is_empty(), "{short}");
        }
        assert_eq!(lie(header_len()).first(), Some(&0));
        for long in [two().len() + 1, 1 << 20, u32::MAX as usize, usize::MAX] {
            assert_eq!(lie(long), [two().len() - header_len()], "{long}");
        }
        let whole = two();
        for cut in 0..whole.len() {
            let total: usize = ControlMessages::new(&whole[..cut]).map(|m| m.data.len()).sum();
            assert!(total <= cut);
        }
    }
}
