//! [`IoBuf`]: bytes that an operation may read.

use std::{mem::ManuallyDrop, ops::RangeBounds, rc::Rc, slice, sync::Arc};

use super::{Slice, slice::bounds};

/// Where a buffer is registered: its index, and the ring that knows it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fixed {
    /// The index in the ring's table of registered buffers.
    pub index: u16,
    /// The identity of that ring: a driver uses the index only if the ring is its own.
    pub ring: u64,
}

/// Bytes that an operation may read: what a write or a send takes.
///
/// # Safety
/// The implementor keeps **Steady** and **Filled** (see the [module](crate::buf#the-contract)) for
/// `read_ptr() .. + bytes_init()`, and its methods do not panic. It keeps them against whoever has a shared reference,
/// too: an `Rc` or `Arc` of a buffer is a buffer, and while one is lent, others are used. So a type whose `&self`
/// methods change its bytes, or where they are, cannot be one.
pub unsafe trait IoBuf: Unpin + 'static {
    /// The first byte. May dangle when [`bytes_init`](IoBuf::bytes_init) is 0.
    fn read_ptr(&self) -> *const u8;

    /// How many bytes, counted from [`read_ptr`](IoBuf::read_ptr), are initialised.
    fn bytes_init(&self) -> usize;

    /// The initialised bytes.
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self.bytes_init() {
            0 => &[],
            // SAFETY: Filled: so many bytes from `read_ptr` are initialised and not written while `self` is borrowed.
            n => unsafe { slice::from_raw_parts(self.read_ptr(), n) },
        }
    }

    /// The part `range` of the initialised bytes, as a buffer that owns the whole.
    ///
    /// ```
    /// use annulus::buf::IoBuf;
    ///
    /// let part = "hello world".slice(..5);
    /// assert_eq!(part.as_slice(), b"hello");
    /// assert_eq!(part.into_inner(), "hello world");
    /// ```
    ///
    /// # Panics
    /// If `range` starts after it ends, or ends after [`bytes_init`](IoBuf::bytes_init).
    #[inline]
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        let (begin, end) = bounds(range, self.bytes_init());
        Slice::new(self, begin, end)
    }

    /// [`slice`](IoBuf::slice) without the check of the range.
    ///
    /// # Panics
    /// If a bound of `range` does not fit a `usize`.
    ///
    /// # Safety
    /// `range` starts before it ends and ends within [`bytes_init`](IoBuf::bytes_init).
    #[inline]
    unsafe fn slice_unchecked(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        let (begin, end) = bounds(range, self.bytes_init());
        // SAFETY: the caller's promise, word for word.
        unsafe { Slice::new_unchecked(self, begin, end) }
    }

    /// Where these bytes are registered, if they are: the whole of them lies in that registered buffer.
    #[doc(hidden)]
    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        None
    }
}

/// Types whose bytes `as_ptr` and `len` describe.
macro_rules! plain {
    ($([$($generics:tt)*] $t:ty;)*) => {$(
        // SAFETY: Steady: the value is only a handle to bytes elsewhere (heap or static memory), so its move leaves
        // them in place, and without a `&mut` method nothing reallocates. Filled: safe code sees the same `len` bytes
        // as initialised, and a value that is lent is owned by the operation, so that nobody can write them.
        unsafe impl<$($generics)*> IoBuf for $t {
            #[inline]
            fn read_ptr(&self) -> *const u8 {
                self.as_ptr()
            }

            #[inline]
            fn bytes_init(&self) -> usize {
                (**self).len()
            }
        }
    )*};
}

plain! {
    [] Vec<u8>;
    [] Box<[u8]>;
    [const N: usize] Box<[u8; N]>;
    [] &'static [u8];
    [const N: usize] &'static [u8; N];
    [] &'static mut [u8];
    [const N: usize] &'static mut [u8; N];
    [] &'static str;
    [] String;
    [] Box<str>;
    [] Rc<[u8]>;
    [] Rc<str>;
    [] Arc<[u8]>;
    [] Arc<str>;
}

/// Handles that pass every question on to what they hold.
macro_rules! handle {
    ($($t:ident)*) => {$(
        // SAFETY: Steady and Filled are promised by the inner buffer, to which these handles give shared access only.
        unsafe impl<T: IoBuf> IoBuf for $t<T> {
            #[inline]
            fn read_ptr(&self) -> *const u8 {
                T::read_ptr(self)
            }

            #[inline]
            fn bytes_init(&self) -> usize {
                T::bytes_init(self)
            }

            #[inline]
            fn fixed(&self) -> Option<Fixed> {
                T::fixed(self)
            }
        }
    )*};
}

handle!(Rc Arc ManuallyDrop);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{IoBufMut, RawBuf};

    /// The bytes are found, and found at the same address after the value moved.
    fn sees<T: IoBuf>(buf: T, want: &[u8]) {
        assert_eq!(buf.as_slice(), want);
        assert_eq!(buf.bytes_init(), want.len());
        assert_eq!(buf.fixed(), None);
        let before = buf.read_ptr();
        let moved = Box::new(buf);
        assert_eq!(moved.read_ptr(), before);
    }

    #[test]
    fn every_implementor_shows_its_bytes() {
        let mut roomy = Vec::with_capacity(10);
        roomy.extend_from_slice(b"abc");
        sees(roomy, b"abc");
        sees(vec![1u8, 2, 3].into_boxed_slice(), &[1, 2, 3]);
        sees(Box::new([1u8, 2, 3]), &[1, 2, 3]);
        sees(b"abc".as_slice(), b"abc");
        sees(b"abc", b"abc");
        sees(&mut *Box::leak(vec![1u8, 2].into_boxed_slice()), &[1, 2]);
        sees(Box::leak(Box::new([1u8, 2])), &[1, 2]);
        sees("abc", b"abc");
        sees(String::from("abc"), b"abc");
        sees(Box::<str>::from("abc"), b"abc");
        sees(Rc::<[u8]>::from(*b"abc"), b"abc");
        sees(Rc::<str>::from("abc"), b"abc");
        sees(Arc::<[u8]>::from(*b"abc"), b"abc");
        sees(Arc::<str>::from("abc"), b"abc");
        sees(Rc::new(b"abc".to_vec()), b"abc");
        sees(Arc::new("abc"), b"abc");
        sees(ManuallyDrop::new("abc"), b"abc");
    }

    #[test]
    fn nothing_is_a_buffer_too() {
        sees(Vec::new(), b"");
        sees("", b"");
        sees(Box::<[u8]>::default(), b"");
        // SAFETY: an empty raw buffer names no memory.
        let null = unsafe { RawBuf::uninit() };
        sees(null, b"");
    }

    #[test]
    fn handles_pass_the_registration_on() {
        struct Registered;
        const WHERE: Fixed = Fixed { index: 3, ring: 9 };
        // SAFETY: it names no memory.
        unsafe impl IoBuf for Registered {
            fn read_ptr(&self) -> *const u8 {
                std::ptr::null()
            }
            fn bytes_init(&self) -> usize {
                0
            }
            fn fixed(&self) -> Option<Fixed> {
                Some(WHERE)
            }
        }
        // SAFETY: it names no memory.
        unsafe impl IoBufMut for Registered {
            fn write_ptr(&mut self) -> *mut u8 {
                std::ptr::null_mut()
            }
            fn bytes_total(&mut self) -> usize {
                0
            }
            unsafe fn set_init(&mut self, _: usize) {}
            fn fixed(&self) -> Option<Fixed> {
                Some(WHERE)
            }
        }
        assert_eq!(IoBuf::fixed(&Rc::new(Registered)), Some(WHERE));
        assert_eq!(IoBuf::fixed(&Arc::new(Registered)), Some(WHERE));
        assert_eq!(IoBuf::fixed(&ManuallyDrop::new(Registered)), Some(WHERE));
        assert_eq!(IoBuf::fixed(&Registered.slice(..)), Some(WHERE));
        assert_eq!(IoBuf::fixed(&Registered.slice_mut(..)), Some(WHERE));
        assert_eq!(IoBufMut::fixed(&Registered.slice_mut(..)), Some(WHERE));
        assert_eq!(IoBufMut::fixed(&ManuallyDrop::new(Registered)), Some(WHERE));
        assert_eq!(IoBufMut::fixed(&super::super::Rest::new(Registered)), Some(WHERE));
    }
}
