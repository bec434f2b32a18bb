//! [`IoBufMut`]: memory that an operation may write.

use std::{mem::ManuallyDrop, ops::RangeBounds};

use super::{Fixed, IoBuf, SliceMut, slice::bounds};

/// Memory that an operation may write: what a read or a receive takes.
///
/// A read writes at most `bytes_total()` bytes at `write_ptr()`, over whatever was there, and after a success calls
/// [`set_init`](IoBufMut::set_init) once. A `Vec<u8>` therefore is filled from its start, up to its *capacity*, and has
/// afterwards the length that was read.
///
/// # Safety
/// The implementor keeps **Steady** and **Filled** (see the [module](crate::buf#the-contract)) for
/// `write_ptr() .. + bytes_total()`: writable memory, initialised or not, that nobody else touches while it is lent.
/// Its methods do not panic.
pub unsafe trait IoBufMut: Unpin + 'static {
    /// Where the first byte goes. May dangle when [`bytes_total`](IoBufMut::bytes_total) is 0.
    fn write_ptr(&mut self) -> *mut u8;

    /// How many bytes fit, counted from [`write_ptr`](IoBufMut::write_ptr): the capacity, for a `Vec`.
    fn bytes_total(&mut self) -> usize;

    /// Takes note that the first `pos` bytes are initialised, and that they are what was read.
    ///
    /// # Safety
    /// **Told**: `pos` is at most [`bytes_total`](IoBufMut::bytes_total), and the `pos` bytes from
    /// [`write_ptr`](IoBufMut::write_ptr) on are initialised.
    unsafe fn set_init(&mut self, pos: usize);

    /// The part `range` of the memory, as a buffer that owns the whole. An open end is the end of the memory.
    ///
    /// ```
    /// use annulus::buf::IoBufMut;
    ///
    /// let mut part = Vec::from(*b"hello world").slice_mut(6..);
    /// part.get_mut()[6] = b'W';
    /// assert_eq!(&part[..], b"World");
    /// ```
    ///
    /// # Panics
    /// If `range` starts after it ends, starts after the initialised bytes (a gap of garbage would remain before it),
    /// or ends after [`bytes_total`](IoBufMut::bytes_total).
    #[inline]
    fn slice_mut(mut self, range: impl RangeBounds<usize>) -> SliceMut<Self>
    where
        Self: Sized + IoBuf,
    {
        let (begin, end) = bounds(range, self.bytes_total());
        SliceMut::new(self, begin, end)
    }

    /// [`slice_mut`](IoBufMut::slice_mut) without the check of the range, and for buffers that cannot be read.
    ///
    /// # Panics
    /// If a bound of `range` does not fit a `usize`.
    ///
    /// # Safety
    /// As for [`SliceMut::new_unchecked`].
    #[inline]
    unsafe fn slice_mut_unchecked(mut self, range: impl RangeBounds<usize>) -> SliceMut<Self>
    where
        Self: Sized,
    {
        let (begin, end) = bounds(range, self.bytes_total());
        // SAFETY: the caller's promise, word for word.
        unsafe { SliceMut::new_unchecked(self, begin, end) }
    }

    /// Where this memory is registered, if it is: the whole of it lies in that registered buffer.
    #[doc(hidden)]
    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        None
    }
}

// SAFETY: Steady: the bytes lie on the heap, and neither these methods nor a move reallocate. Filled: the whole
// capacity is this vector's alone, and `as_mut_ptr` reaches all of it.
unsafe impl IoBufMut for Vec<u8> {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.capacity()
    }

    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        // SAFETY: Told: `pos` bytes are initialised, and fit the capacity.
        unsafe { self.set_len(pos) };
    }
}

/// Types that are initialised from end to end, so that there is nothing to take note of.
macro_rules! whole {
    ($([$($generics:tt)*] $t:ty;)*) => {$(
        // SAFETY: Steady: the value is a handle to bytes elsewhere, of a number that cannot change. Filled: it is the
        // only handle to them. That moving it ends the life of derived pointers is the lender's care (Unmoved).
        unsafe impl<$($generics)*> IoBufMut for $t {
            #[inline]
            fn write_ptr(&mut self) -> *mut u8 {
                self.as_mut_ptr()
            }

            #[inline]
            fn bytes_total(&mut self) -> usize {
                (**self).len()
            }

            #[inline]
            unsafe fn set_init(&mut self, _: usize) {}
        }
    )*};
}

whole! {
    [] Box<[u8]>;
    [const N: usize] Box<[u8; N]>;
    [] &'static mut [u8];
    [const N: usize] &'static mut [u8; N];
}

// SAFETY: every promise is the inner buffer's; `ManuallyDrop` adds nothing but the absence of a drop.
unsafe impl<T: IoBufMut> IoBufMut for ManuallyDrop<T> {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        T::write_ptr(self)
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        T::bytes_total(self)
    }

    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        // SAFETY: Told, by our caller, about the same bytes.
        unsafe { T::set_init(self, pos) };
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        T::fixed(self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes `n` bytes as a kernel would, and says so.
    pub(crate) fn receive<T: IoBufMut>(buf: &mut T, n: usize) {
        assert!(n <= buf.bytes_total());
        let to = buf.write_ptr();
        for i in 0..n {
            let at = to.wrapping_add(i);
            // SAFETY: Steady: `i < bytes_total`.
            unsafe { at.write(b'a' + i as u8) };
        }
        // SAFETY: Told: the loop above wrote them.
        unsafe { buf.set_init(n) };
    }

    /// A read into `buf` is seen, at an address that a move does not change.
    fn takes<T: IoBuf + IoBufMut>(mut buf: T, total: usize, n: usize) -> T {
        assert_eq!(buf.bytes_total(), total);
        assert_eq!(IoBufMut::fixed(&buf), None);
        let before = buf.write_ptr();
        let mut buf = *Box::new(buf);
        assert_eq!(buf.write_ptr(), before);
        receive(&mut buf, n);
        assert_eq!(&buf.as_slice()[..n], &b"abcdefgh"[..n]);
        buf
    }

    #[test]
    fn every_implementor_takes_bytes() {
        assert_eq!(takes(Vec::with_capacity(8), 8, 3).len(), 3);
        assert_eq!(takes(ManuallyDrop::new(vec![0; 4]).slice_mut(..), 4, 3).len(), 3);
        assert_eq!(takes(vec![0; 8].into_boxed_slice(), 8, 3).len(), 8);
        assert_eq!(takes(Box::new([0; 8]), 8, 3).len(), 8);
        assert_eq!(takes(&mut *Box::leak(vec![0; 8].into_boxed_slice()), 8, 3).len(), 8);
        assert_eq!(takes(Box::leak(Box::new([0; 8])), 8, 3).len(), 8);
    }

    #[test]
    fn a_vec_is_set_not_extended() {
        let mut longer = vec![0u8; 8];
        receive(&mut longer, 3);
        assert_eq!(longer, b"abc");
        let mut shorter = Vec::with_capacity(8);
        shorter.push(b'z');
        receive(&mut shorter, 3);
        assert_eq!(shorter, b"abc");
        receive(&mut shorter, 0);
        assert_eq!(shorter, b"");
    }
}
