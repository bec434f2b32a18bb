//! [`IoVecBuf`] and [`IoVecBufMut`]: several pieces of memory in one operation, as `readv` and `writev` take them.
//!
//! `Vec<libc::iovec>` is no buffer on purpose: anybody can fill one with any pointer, so nothing could promise that its
//! parts are Filled. [`RawBufVectored`](super::RawBufVectored) does the same with an `unsafe` in front of it.

use std::{fmt, slice};

use libc::iovec;

use super::{IoBuf, IoBufMut};

/// Several parts that an operation may read: what a vectored write takes.
///
/// # Safety
/// The implementor keeps **Steady** and **Filled** (see the [module](crate::buf#the-contract)), for the array of
/// `read_iovec_len()` entries at `read_iovec_ptr()` and for every part that an entry describes. Its methods do not
/// panic.
pub unsafe trait IoVecBuf: Unpin + 'static {
    /// The first entry. May dangle when [`read_iovec_len`](IoVecBuf::read_iovec_len) is 0.
    fn read_iovec_ptr(&self) -> *const iovec;

    /// How many entries there are.
    fn read_iovec_len(&self) -> usize;
}

/// Several parts that an operation may write: what a vectored read takes. They are filled in order.
///
/// # Safety
/// The implementor keeps **Steady** and **Filled** (see the [module](crate::buf#the-contract)), for the array of
/// `write_iovec_len()` entries at `write_iovec_ptr()` and for every part: writable memory, initialised or not, that no
/// other part overlaps. Its methods do not panic.
pub unsafe trait IoVecBufMut: Unpin + 'static {
    /// The first entry. May dangle when [`write_iovec_len`](IoVecBufMut::write_iovec_len) is 0.
    fn write_iovec_ptr(&mut self) -> *mut iovec;

    /// How many entries there are.
    fn write_iovec_len(&mut self) -> usize;

    /// Takes note that the first `pos` bytes, counted through the parts in order, are initialised and were read.
    ///
    /// # Safety
    /// **Told**: `pos` is at most the length of all parts, and so many bytes are initialised.
    unsafe fn set_init(&mut self, pos: usize);
}

/// The entries of a buffer to be read.
pub(crate) fn iovecs<T: IoVecBuf>(buf: &T) -> &[iovec] {
    match buf.read_iovec_len() {
        0 => &[],
        // SAFETY: Filled: so many entries are initialised, and nobody writes them while `buf` is borrowed.
        n => unsafe { slice::from_raw_parts(buf.read_iovec_ptr(), n) },
    }
}

/// The entries of a buffer to be written.
pub(crate) fn iovecs_mut<T: IoVecBufMut>(buf: &mut T) -> &[iovec] {
    match buf.write_iovec_len() {
        0 => &[],
        // SAFETY: Filled: the entries (not the parts) are initialised, and `buf` is ours while it is borrowed.
        n => unsafe { slice::from_raw_parts(buf.write_iovec_ptr(), n) },
    }
}

/// The parts of a buffer to be read, without the empty ones.
pub(crate) fn parts<T: IoVecBuf>(buf: &T) -> impl Iterator<Item = &[u8]> {
    // SAFETY: Filled: each part is initialised and not written while `buf` is borrowed; an empty one, which may be
    // null, does not get here.
    let part = |v: &iovec| unsafe { slice::from_raw_parts(v.iov_base.cast::<u8>(), v.iov_len) };
    iovecs(buf).iter().filter(|v| v.iov_len > 0).map(part)
}

/// Several vectors as one vectored buffer.
///
/// Each part is a vector's *length*, not its capacity: to read into it, fill the vectors first. What was read is told
/// to the vectors in order: the full ones keep their length, the one where the bytes ended is cut there, and the ones
/// after it stay as they are. The parts keep their first lengths, so the same buffer can be read into again.
///
/// ```
/// use annulus::buf::VecBuf;
///
/// let parts = VecBuf::from(vec![b"head".to_vec(), b"body".to_vec()]);
/// assert_eq!(Vec::from(parts), [b"head", b"body"]);
/// ```
pub struct VecBuf {
    iovecs: Vec<iovec>,
    raw: Vec<Vec<u8>>,
}

impl From<Vec<Vec<u8>>> for VecBuf {
    fn from(mut raw: Vec<Vec<u8>>) -> Self {
        let entry = |v: &mut Vec<u8>| iovec { iov_base: v.as_mut_ptr().cast(), iov_len: v.len() };
        Self { iovecs: raw.iter_mut().map(entry).collect(), raw }
    }
}

impl From<VecBuf> for Vec<Vec<u8>> {
    fn from(buf: VecBuf) -> Self {
        buf.raw
    }
}

impl Clone for VecBuf {
    /// New vectors, with parts of their own.
    fn clone(&self) -> Self {
        self.raw.clone().into()
    }
}

impl fmt::Debug for VecBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VecBuf").field(&self.raw).finish()
    }
}

// SAFETY: Steady: the entries and the bytes lie on the heap, and the vectors that own both are reachable for nobody.
// Filled: each part was a vector's initialised length at the start; `set_init` may lower the length, but bytes once
// initialised stay so.
unsafe impl IoVecBuf for VecBuf {
    #[inline]
    fn read_iovec_ptr(&self) -> *const iovec {
        self.iovecs.as_ptr()
    }

    #[inline]
    fn read_iovec_len(&self) -> usize {
        self.iovecs.len()
    }
}

// SAFETY: as above; the vectors are ours alone and different allocations, so the parts do not overlap.
unsafe impl IoVecBufMut for VecBuf {
    #[inline]
    fn write_iovec_ptr(&mut self) -> *mut iovec {
        self.iovecs.as_mut_ptr()
    }

    #[inline]
    fn write_iovec_len(&mut self) -> usize {
        self.iovecs.len()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        let mut left = pos;
        for (vec, part) in self.raw.iter_mut().zip(&self.iovecs) {
            if left == 0 {
                break;
            }
            let here = left.min(part.iov_len);
            // SAFETY: Filled: all `iov_len` bytes of the part are initialised, and lie within the vector's capacity.
            unsafe { vec.set_len(here) };
            left -= here;
        }
    }
}

/// The first part of a vectored buffer, as a buffer: a vectored write for writers that have none.
#[derive(Debug)]
pub struct IoVecWrapper<T> {
    /// Has at least one entry.
    raw: T,
}

impl<T: IoVecBuf> IoVecWrapper<T> {
    /// The first part of `buf`.
    ///
    /// # Errors
    /// `buf` again, if it has no part.
    #[inline]
    pub fn new(buf: T) -> Result<Self, T> {
        if buf.read_iovec_len() == 0 { Err(buf) } else { Ok(Self { raw: buf }) }
    }

    /// Gives the whole buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.raw
    }

    /// The first entry.
    #[inline]
    fn first(&self) -> iovec {
        iovecs(&self.raw).first().copied().unwrap_or(NOTHING)
    }
}

// SAFETY: Steady and Filled are promised by the vectored buffer, for its first part too.
unsafe impl<T: IoVecBuf> IoBuf for IoVecWrapper<T> {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        self.first().iov_base.cast()
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.first().iov_len
    }
}

/// The first part of a vectored buffer, as memory to be written: a vectored read for readers that have none.
///
/// What was read is *not* told to the vectored buffer: whoever takes it out calls its
/// [`set_init`](IoVecBufMut::set_init).
#[derive(Debug)]
pub struct IoVecWrapperMut<T> {
    /// Has at least one entry.
    raw: T,
}

impl<T: IoVecBufMut> IoVecWrapperMut<T> {
    /// The first part of `iovec_buf`.
    ///
    /// # Errors
    /// `iovec_buf` again, if it has no part.
    #[inline]
    pub fn new(mut iovec_buf: T) -> Result<Self, T> {
        if iovec_buf.write_iovec_len() == 0 { Err(iovec_buf) } else { Ok(Self { raw: iovec_buf }) }
    }

    /// Gives the whole buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.raw
    }

    /// The first entry.
    #[inline]
    fn first(&mut self) -> iovec {
        iovecs_mut(&mut self.raw).first().copied().unwrap_or(NOTHING)
    }
}

// SAFETY: Steady and Filled are promised by the vectored buffer, for its first part too.
unsafe impl<T: IoVecBufMut> IoBufMut for IoVecWrapperMut<T> {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        self.first().iov_base.cast()
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.first().iov_len
    }

    #[inline]
    unsafe fn set_init(&mut self, _: usize) {}
}

/// A part without memory.
const NOTHING: iovec = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::io_buf_mut::tests::receive;

    /// Three vectors of 3, 0 and 4 bytes.
    fn three() -> VecBuf {
        VecBuf::from(vec![b"abc".to_vec(), vec![], b"defg".to_vec()])
    }

    #[test]
    fn parts_are_the_vectors_lengths() {
        let mut roomy = Vec::with_capacity(64);
        roomy.push(1u8);
        let mut buf = VecBuf::from(vec![roomy, vec![2, 3]]);
        assert_eq!(iovecs(&buf).iter().map(|v| v.iov_len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(buf.write_iovec_ptr().cast_const(), buf.read_iovec_ptr());
        assert_eq!(buf.write_iovec_len(), 2);
        assert_eq!(parts(&buf).collect::<Vec<_>>(), [&[1u8][..], &[2, 3]]);
    }

    #[test]
    fn parts_survive_a_move() {
        let buf = three();
        let at = buf.read_iovec_ptr();
        let moved = Box::new(buf);
        assert_eq!(moved.read_iovec_ptr(), at);
        assert_eq!(parts(&*moved).collect::<Vec<_>>().concat(), b"abcdefg");
    }

    #[test]
    fn what_was_read_is_told_in_order() {
        let lens = |n| {
            let mut buf = three();
            // SAFETY: Told: all bytes were initialised from the start.
            unsafe { buf.set_init(n) };
            Vec::from(buf).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lens(0), [3, 0, 4]);
        assert_eq!(lens(2), [2, 0, 4]);
        assert_eq!(lens(3), [3, 0, 4]);
        assert_eq!(lens(5), [3, 0, 2]);
        assert_eq!(lens(7), [3, 0, 4]);
    }

    #[test]
    fn a_buffer_that_was_cut_can_be_filled_again() {
        let mut buf = three();
        // SAFETY: Told: all bytes were initialised from the start.
        unsafe { buf.set_init(1) };
        // SAFETY: as above.
        unsafe { buf.set_init(6) };
        assert_eq!(Vec::from(buf), [&b"abc"[..], b"", b"def"]);
    }

    #[test]
    fn a_clone_has_memory_of_its_own() {
        let buf = three();
        let copy = buf.clone();
        assert_ne!(iovecs(&copy)[0].iov_base, iovecs(&buf)[0].iov_base);
        drop(buf);
        assert_eq!(parts(&copy).collect::<Vec<_>>().concat(), b"abcdefg");
        assert_eq!(format!("{copy:?}"), "VecBuf([[97, 98, 99], [], [100, 101, 102, 103]])");
    }

    #[test]
    fn wrappers_are_the_first_part() {
        let first = IoVecWrapper::new(three()).unwrap();
        assert_eq!(first.as_slice(), b"abc");
        let mut first = IoVecWrapperMut::new(first.into_inner()).unwrap();
        assert_eq!(first.bytes_total(), 3);
        receive(&mut first, 1);
        assert_eq!(Vec::from(first.into_inner()), [&b"abc"[..], b"", b"defg"], "not told");
        assert!(IoVecWrapper::new(VecBuf::from(vec![])).is_err());
        assert!(IoVecWrapperMut::new(VecBuf::from(vec![])).is_err());
    }
}
