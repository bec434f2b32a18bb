//! Control data of messages, `cmsg(3)`: put together here, and taken apart without trust.
//!
//! **Kernel's word**: whatever the bytes are, nothing outside of them is read. A message that claims more than there is
//! has what there is; one that claims less than its own header ends the list.

use std::{iter, mem::MaybeUninit, ptr};

/// A message among control data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

/// Bytes before a message's data.
pub(crate) fn header_len() -> usize {
    // SAFETY: Plain call: arithmetic on a length.
    let len = unsafe { libc::CMSG_LEN(0) } as usize;
    assert!(len >= size_of::<libc::cmsghdr>());
    len
}

/// Bytes that a message with `len` bytes of data takes.
pub(crate) fn space(len: usize) -> usize {
    // SAFETY: Plain call: arithmetic on a length, which is 1.
    let unit = unsafe { libc::CMSG_SPACE(1) } as usize - header_len();
    header_len() + len.next_multiple_of(unit)
}

/// The messages in `bytes`.
pub(crate) fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let (mut rest, start) = (bytes, header_len());
    iter::from_fn(move || {
        if rest.len() < start {
            return None;
        }
        // SAFETY: Plain bytes: a structure of integers, and there are as many bytes as it has, wherever they lie.
        let header = unsafe { rest.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        #[allow(clippy::unnecessary_cast, reason = "C libraries do not agree on its type")]
        let len = header.cmsg_len as usize;
        let data = rest.get(start..len.min(rest.len()))?;
        let next = if len >= rest.len() { rest.len() } else { space(len - start).min(rest.len()) };
        rest = &rest[next..];
        Some(Message { level: header.cmsg_level, kind: header.cmsg_type, data })
    })
}

/// Appends a message.
pub(crate) fn push(bytes: &mut Vec<u8>, level: i32, kind: i32, data: &[u8]) {
    let (at, start) = (bytes.len(), header_len());
    bytes.resize(at + space(data.len()), 0);
    // SAFETY: Plain bytes: a header of zeros is a value of the structure.
    let mut header = unsafe { MaybeUninit::<libc::cmsghdr>::zeroed().assume_init() };
    header.cmsg_len = (start + data.len()) as _;
    (header.cmsg_level, header.cmsg_type) = (level, kind);
    let room = &mut bytes[at..];
    room[start..start + data.len()].copy_from_slice(data);
    // SAFETY: Plain bytes: the room was just made, and begins with space for a header.
    unsafe { ptr::write_unaligned(room.as_mut_ptr().cast(), header) };
}

/// Removes all messages of one kind.
pub(crate) fn remove(bytes: &mut Vec<u8>, level: i32, kind: i32) {
    let is_meant = |message: &Message<'_>| message.level == level && message.kind == kind;
    if !messages(bytes).any(|message| is_meant(&message)) {
        return;
    }
    let mut others = Vec::with_capacity(bytes.len());
    messages(bytes).filter(|m| !is_meant(m)).for_each(|m| push(&mut others, m.level, m.kind, m.data));
    *bytes = others;
}

/// The descriptors that a message brings.
pub(crate) fn rights(message: Message<'_>) -> impl Iterator<Item = i32> {
    let is_meant = message.level == libc::SOL_SOCKET && message.kind == libc::SCM_RIGHTS;
    let data = if is_meant { message.data } else { &[] };
    data.chunks_exact(4).map(|fd| i32::from_ne_bytes([fd[0], fd[1], fd[2], fd[3]])).filter(|&fd| fd >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, 1, 2, b"abc");
        push(&mut bytes, libc::SOL_SOCKET, libc::SCM_RIGHTS, &[7i32.to_ne_bytes(), (-1i32).to_ne_bytes()].concat());
        bytes
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let bytes = two();
        assert_eq!(bytes.len(), space(3) + space(8));
        let out: Vec<_> = messages(&bytes).collect();
        assert_eq!((out.len(), out[0]), (2, Message { level: 1, kind: 2, data: b"abc" }));
        assert_eq!(rights(out[0]).count(), 0);
        assert_eq!(rights(out[1]).collect::<Vec<_>>(), [7], "-1 is no descriptor");
        assert!(messages(&[]).next().is_none());
        let mut less = bytes.clone();
        remove(&mut less, 1, 2);
        assert_eq!(messages(&less).collect::<Vec<_>>(), &out[1..]);
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
            messages(&bytes).map(|m| m.data.len()).collect::<Vec<_>>()
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
            let total: usize = messages(&whole[..cut]).map(|m| m.data.len()).sum();
            assert!(total <= cut);
        }
    }
}
