//! [`bytes::Bytes`] and [`bytes::BytesMut`] as buffers.

use bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

// SAFETY: Steady: a `Bytes` is a handle to shared bytes elsewhere. Filled: nobody can write them while any handle
// lives.
unsafe impl IoBuf for Bytes {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: Steady: a `BytesMut` is a handle to bytes elsewhere, and only `&mut` methods reallocate. Filled: it shares
// its block with others, but no byte of it.
unsafe impl IoBuf for BytesMut {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: Steady and Filled as above, for the whole capacity, which `write_ptr` reaches.
unsafe impl IoBufMut for BytesMut {
    /// The start of the buffer, valid for its capacity: a pointer made from the slice would end with its length.
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        let len = self.len();
        self.truncate(0);
        let at = self.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: Filled: the first `len` bytes were initialised a moment ago, and nothing was written since.
        unsafe { self.set_len(len) };
        at
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.capacity()
    }

    /// Only ever grows the length: what is already in a `BytesMut` stays in it.
    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        if self.len() < pos {
            // SAFETY: Told: `pos` bytes are initialised, and fit the capacity.
            unsafe { self.set_len(pos) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::io_buf_mut::tests::receive;

    #[test]
    fn bytes_are_seen() {
        let shared = Bytes::from_static(b"0123").slice(1..);
        assert_eq!(shared.as_slice(), b"123");
        let mut own = BytesMut::with_capacity(16);
        own.extend_from_slice(b"0123");
        assert_eq!(own.read_ptr(), own.as_ptr());
        assert_eq!(IoBuf::slice(own, 1..3).as_slice(), b"12");
    }

    #[test]
    fn a_bytes_mut_only_grows() {
        let mut own = BytesMut::with_capacity(16);
        own.extend_from_slice(b"0123");
        let (at, total) = (own.as_ptr(), own.bytes_total());
        assert_eq!(own.write_ptr().cast_const(), at);
        assert_eq!((own.len(), total), (4, own.capacity()));
        receive(&mut own, 2);
        assert_eq!(own, b"ab23".as_slice());
        receive(&mut own, 6);
        assert_eq!(own, b"abcdef".as_slice());
        let mut tail = own.slice_mut(6..);
        receive(&mut tail, 2);
        assert_eq!(tail.into_inner(), b"abcdefab".as_slice());
    }
}
