//! [`RawBuf`] and [`RawBufVectored`]: memory that somebody else keeps alive.

use std::ptr;

use super::{
    IoBuf, IoBufMut, IoVecBuf, IoVecBufMut,
    vectored::{iovecs, iovecs_mut},
};

/// A pointer and a length that act as a buffer, for memory whose owner stays where it is.
///
/// Nothing is owned, so nothing keeps the memory alive when the future that uses it is dropped: every constructor is
/// unsafe, and its caller promises that the memory outlives the *operation*, not only the future.
#[derive(Debug)]
pub struct RawBuf {
    ptr: *const u8,
    len: usize,
}

impl RawBuf {
    /// No memory at all: null, of length 0.
    ///
    /// # Safety
    /// None is needed today; the function is unsafe like its neighbours.
    #[inline]
    #[must_use]
    pub unsafe fn uninit() -> Self {
        Self { ptr: ptr::null(), len: 0 }
    }

    /// The `len` bytes at `ptr`.
    ///
    /// # Safety
    /// Until every operation that gets this buffer has completed, the bytes stay in place, nobody else uses them
    /// against the rules (readers only read, a writer is alone), and they are initialised if they are going to be read
    /// from.
    #[inline]
    #[must_use]
    pub const unsafe fn new(ptr: *const u8, len: usize) -> Self {
        Self { ptr, len }
    }

    /// The first part of a vectored buffer, or `None` if it has none.
    ///
    /// # Safety
    /// As for [`RawBuf::new`]: `data` outlives every operation that gets this buffer.
    #[inline]
    pub unsafe fn new_from_iovec<T: IoVecBuf>(data: &T) -> Option<Self> {
        iovecs(data).first().map(|part| Self { ptr: part.iov_base.cast(), len: part.iov_len })
    }

    /// The first part of a vectored buffer to be written, or `None` if it has none.
    ///
    /// What is read into it is not told to `data`: the caller does that, with
    /// [`IoVecBufMut::set_init`].
    ///
    /// # Safety
    /// As for [`RawBuf::new`]: `data` outlives every operation that gets this buffer.
    #[inline]
    pub unsafe fn new_from_iovec_mut<T: IoVecBufMut>(data: &mut T) -> Option<Self> {
        iovecs_mut(data).first().map(|part| Self { ptr: part.iov_base.cast(), len: part.iov_len })
    }
}

// SAFETY: Steady and Filled are what the caller of the constructor promised.
unsafe impl IoBuf for RawBuf {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        self.ptr
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.len
    }
}

// SAFETY: Steady and Filled are what the caller of the constructor promised, of whom a buffer to be written asks for
// memory that nobody else uses.
unsafe impl IoBufMut for RawBuf {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        self.ptr.cast_mut()
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn set_init(&mut self, _: usize) {}
}

/// An array of `iovec`s that acts as a vectored buffer, for memory whose owner stays where it is.
#[derive(Debug)]
pub struct RawBufVectored {
    ptr: *const libc::iovec,
    len: usize,
}

impl RawBufVectored {
    /// The `len` parts that the array at `ptr` describes.
    ///
    /// # Safety
    /// As for [`RawBuf::new`], for the array itself and for each part.
    #[inline]
    #[must_use]
    pub const unsafe fn new(ptr: *const libc::iovec, len: usize) -> Self {
        Self { ptr, len }
    }
}

// SAFETY: Steady and Filled are what the caller of the constructor promised for the array and for each part.
unsafe impl IoVecBuf for RawBufVectored {
    #[inline]
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.ptr
    }

    #[inline]
    fn read_iovec_len(&self) -> usize {
        self.len
    }
}

// SAFETY: as above; parts to be written are, by the same promise, used by nobody else.
unsafe impl IoVecBufMut for RawBufVectored {
    #[inline]
    fn write_iovec_ptr(&mut self) -> *mut libc::iovec {
        self.ptr.cast_mut()
    }

    #[inline]
    fn write_iovec_len(&mut self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn set_init(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{VecBuf, io_buf_mut::tests::receive, parts};

    #[test]
    fn raw_memory_is_read_and_written() {
        let mut memory = *b"0123";
        // SAFETY: `memory` outlives the buffer, and nobody else touches it meanwhile.
        let mut raw = unsafe { RawBuf::new(memory.as_mut_ptr(), memory.len()) };
        assert_eq!(raw.as_slice(), b"0123");
        assert_eq!(raw.bytes_total(), 4);
        receive(&mut raw, 2);
        assert_eq!(&memory, b"ab23");
    }

    #[test]
    fn the_first_part_alone() {
        let mut vecs = VecBuf::from(vec![vec![1u8, 2], vec![3]]);
        // SAFETY: `vecs` outlives the raw buffers.
        let first = unsafe { RawBuf::new_from_iovec(&vecs) };
        assert_eq!(first.map(|f| f.as_slice().to_vec()), Some(vec![1, 2]));
        // SAFETY: as above.
        let first = unsafe { RawBuf::new_from_iovec_mut(&mut vecs) };
        receive(&mut first.unwrap(), 1);
        assert_eq!(Vec::from(vecs), [b"a\x02".to_vec(), vec![3]]);

        let mut none = VecBuf::from(vec![]);
        // SAFETY: there is no memory to outlive.
        assert!(unsafe { RawBuf::new_from_iovec(&none) }.is_none());
        // SAFETY: there is no memory to outlive.
        assert!(unsafe { RawBuf::new_from_iovec_mut(&mut none) }.is_none());
    }

    #[test]
    fn raw_parts_are_seen_in_order() {
        let vecs = VecBuf::from(vec![vec![1u8, 2], vec![], vec![3]]);
        // SAFETY: `vecs` outlives the raw buffer.
        let mut raw = unsafe { RawBufVectored::new(vecs.read_iovec_ptr(), vecs.read_iovec_len()) };
        assert_eq!(parts(&raw).collect::<Vec<_>>().concat(), [1, 2, 3]);
        assert_eq!((raw.write_iovec_ptr().cast_const(), raw.write_iovec_len()), (vecs.read_iovec_ptr(), 3));
    }
}
