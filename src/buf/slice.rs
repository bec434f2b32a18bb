//! [`Slice`] and [`SliceMut`]: a part of a buffer that owns the whole.
//!
//! Rust's `&buf[..]` borrows, and what is lent to a kernel cannot be borrowed. These own the buffer and remember a
//! range.
//! `get_mut` hands out the buffer inside, which may then shrink or be replaced; so the range is cut to the buffer again
//! at every use, and a slice whose buffer no longer reaches its start is empty.

use std::{
    fmt,
    ops::{Bound, Deref, RangeBounds},
};

use super::{Fixed, IoBuf, IoBufMut};

/// The two ends of `range`; an open end is `len`.
pub(super) fn bounds(range: impl RangeBounds<usize>, len: usize) -> (usize, usize) {
    let after = |n: usize| n.checked_add(1).expect("a bound of the slice is usize::MAX, past the end of every buffer");
    let begin = match range.start_bound() {
        Bound::Included(&n) => n,
        Bound::Excluded(&n) => after(n),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&n) => after(n),
        Bound::Excluded(&n) => n,
        Bound::Unbounded => len,
    };
    (begin, end)
}

/// A part of a buffer's initialised bytes, made by [`IoBuf::slice`].
#[derive(Debug)]
pub struct Slice<T> {
    buf: T,
    begin: usize,
    end: usize,
}

impl<T: IoBuf> Slice<T> {
    /// The bytes `begin..end` of `buf`.
    ///
    /// # Panics
    /// If `begin` is greater than `end`, or `end` than [`bytes_init`](IoBuf::bytes_init).
    #[inline]
    pub fn new(buf: T, begin: usize, end: usize) -> Self {
        let len = buf.bytes_init();
        assert!(end <= len, "the slice ends at {end}, but only {len} bytes are initialised");
        assert!(begin <= end, "the slice starts at {begin} but ends at {end}");
        Self { buf, begin, end }
    }
}

impl<T> Slice<T> {
    /// The bytes `begin..end` of `buf`, unchecked.
    ///
    /// # Safety
    /// `begin` is at most `end`, and `end` at most `buf.bytes_init()`.
    #[inline]
    pub const unsafe fn new_unchecked(buf: T, begin: usize, end: usize) -> Self {
        Self { buf, begin, end }
    }

    /// Where in the buffer the slice starts.
    #[inline]
    pub const fn begin(&self) -> usize {
        self.begin
    }

    /// Where in the buffer the slice ends.
    #[inline]
    pub const fn end(&self) -> usize {
        self.end
    }

    /// The whole buffer.
    #[inline]
    pub const fn get_ref(&self) -> &T {
        &self.buf
    }

    /// The whole buffer, to change it. If it gets too short for the slice, the slice gets shorter.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.buf
    }

    /// Gives the whole buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buf
    }
}

// SAFETY: Steady and Filled are the inner buffer's: the range, cut to its initialised bytes, depends on nothing else.
unsafe impl<T: IoBuf> IoBuf for Slice<T> {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        let begin = self.begin.min(self.buf.bytes_init());
        self.buf.read_ptr().wrapping_add(begin)
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.end.min(self.buf.bytes_init()).saturating_sub(self.begin)
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }
}

/// A part of a buffer's memory, made by [`IoBufMut::slice_mut`]: to be read into, and to be read from as far as it is
/// initialised.
///
/// What is read into it goes to `begin..`, and the buffer's own [`set_init`](IoBufMut::set_init) hears `begin + n`: a
/// `Vec` keeps what stood before the slice and ends where the new bytes end.
pub struct SliceMut<T> {
    buf: T,
    begin: usize,
    end: usize,
    /// How to ask the buffer for its initialised bytes, which must reach `begin` still; `None` where the maker of the
    /// slice promised that. The traits cannot say it: the memory of a write-only buffer has no such number.
    filled: Option<fn(&T) -> usize>,
}

impl<T: IoBuf + IoBufMut> SliceMut<T> {
    /// The memory `begin..end` of `buf`.
    ///
    /// # Panics
    /// If `begin` is greater than `end` or than [`bytes_init`](IoBuf::bytes_init), or `end` is greater than
    /// [`bytes_total`](IoBufMut::bytes_total).
    #[inline]
    pub fn new(mut buf: T, begin: usize, end: usize) -> Self {
        let (init, total) = (buf.bytes_init(), buf.bytes_total());
        assert!(end <= total, "the slice ends at {end}, but the buffer has room for {total} bytes");
        assert!(begin <= init, "the slice starts at {begin}, but only {init} bytes are initialised");
        assert!(begin <= end, "the slice starts at {begin} but ends at {end}");
        Self { buf, begin, end, filled: Some(T::bytes_init) }
    }
}

impl<T> SliceMut<T> {
    /// The memory `begin..end` of `buf`, unchecked.
    ///
    /// # Safety
    /// `begin` is at most `end`, `end` at most `buf.bytes_total()`, and the bytes before `begin` are initialised: when
    /// the slice is made, and whenever it is used after [`get_mut`](SliceMut::get_mut).
    #[inline]
    pub const unsafe fn new_unchecked(buf: T, begin: usize, end: usize) -> Self {
        Self { buf, begin, end, filled: None }
    }

    /// Where in the buffer the slice starts.
    #[inline]
    pub const fn begin(&self) -> usize {
        self.begin
    }

    /// Where in the buffer the slice ends.
    #[inline]
    pub const fn end(&self) -> usize {
        self.end
    }

    /// The whole buffer.
    #[inline]
    pub const fn get_ref(&self) -> &T {
        &self.buf
    }

    /// The whole buffer, to change it. If it gets too short for the slice, the slice gets shorter; if its initialised
    /// bytes no longer reach the start of the slice, the slice is empty.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.buf
    }

    /// Gives the whole buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buf
    }

    /// Whether all bytes before the slice are initialised.
    #[inline]
    fn follows_filled(&self) -> bool {
        self.filled.is_none_or(|filled| self.begin <= filled(&self.buf))
    }
}

impl<T: IoBuf> Deref for SliceMut<T> {
    type Target = [u8];

    /// The part of the slice that is initialised.
    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

// SAFETY: Steady and Filled are the inner buffer's: the range, cut to its initialised bytes, depends on nothing else
// that changes while the slice is lent.
unsafe impl<T: IoBuf> IoBuf for SliceMut<T> {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        let begin = self.begin.min(self.buf.bytes_init());
        self.buf.read_ptr().wrapping_add(begin)
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.end.min(self.buf.bytes_init()).saturating_sub(self.begin)
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }
}

// SAFETY: Steady and Filled are the inner buffer's, for the range cut to its memory. While the slice is lent nobody has
// called `get_mut`, so `follows_filled` answers as it did when the pointer was taken.
unsafe impl<T: IoBufMut> IoBufMut for SliceMut<T> {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        let begin = self.begin.min(self.buf.bytes_total());
        self.buf.write_ptr().wrapping_add(begin)
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        if self.follows_filled() { self.end.min(self.buf.bytes_total()).saturating_sub(self.begin) } else { 0 }
    }

    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        if self.follows_filled() {
            // SAFETY: Told, by our caller, about `begin..begin + pos`; what stands before `begin` is initialised.
            unsafe { self.buf.set_init(self.begin + pos) };
        }
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }
}

impl<T: fmt::Debug> fmt::Debug for SliceMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buf, begin, end, filled: _ } = self;
        f.debug_struct("SliceMut").field("buf", buf).field("begin", begin).field("end", end).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::buf::io_buf_mut::tests::receive;

    const TEN: &[u8] = b"0123456789";

    /// A vector with 4 initialised bytes and room for 10.
    fn four_of_ten() -> Vec<u8> {
        let mut buf = Vec::with_capacity(10);
        buf.extend_from_slice(&TEN[..4]);
        buf
    }

    #[test]
    fn a_slice_is_what_std_would_cut() {
        for begin in 0..=10 {
            for end in begin..=10 {
                let slice = TEN.slice(begin..end);
                assert_eq!(slice.as_slice(), &TEN[begin..end]);
                assert_eq!((slice.begin(), slice.end()), (begin, end));
                assert_eq!(slice.read_ptr(), &raw const TEN[begin..][..0] as *const u8);
            }
        }
    }

    #[test]
    fn every_kind_of_range() {
        assert_eq!(TEN.slice(..).as_slice(), TEN);
        assert_eq!(TEN.slice(2..).as_slice(), &TEN[2..]);
        assert_eq!(TEN.slice(..3).as_slice(), &TEN[..3]);
        assert_eq!(TEN.slice(..=3).as_slice(), &TEN[..=3]);
        assert_eq!(TEN.slice((Bound::Excluded(1), Bound::Unbounded)).as_slice(), &TEN[2..]);
        assert_eq!(four_of_ten().slice_mut(..).end(), 10);
        assert_eq!(four_of_ten().slice(..).end(), 4);
        assert_eq!(TEN.slice(2..9).slice(1..3).as_slice(), b"34");
    }

    #[test]
    fn a_range_outside_of_the_buffer_panics() {
        let cut = |begin, end| catch_unwind(|| four_of_ten().slice(begin..end)).is_err();
        let cut_mut = |begin, end| catch_unwind(|| four_of_ten().slice_mut(begin..end)).is_err();
        assert!(!cut(4, 4) && !cut_mut(4, 10) && !cut_mut(4, 4));
        assert!(cut(0, 5), "past the initialised bytes");
        assert!(cut(3, 2), "backwards");
        assert!(cut_mut(0, 11), "past the capacity");
        assert!(cut_mut(5, 10), "garbage before it");
        assert!(cut_mut(3, 2), "backwards");
        assert!(catch_unwind(|| TEN.slice(..=usize::MAX)).is_err());
        assert!(catch_unwind(|| TEN.slice((Bound::Excluded(usize::MAX), Bound::Unbounded))).is_err());
    }

    #[test]
    fn a_read_into_a_slice_keeps_what_stood_before_it() {
        let mut slice = four_of_ten().slice_mut(2..9);
        assert_eq!((slice.bytes_total(), slice.bytes_init()), (7, 2));
        let inside = slice.get_ref().as_ptr().wrapping_add(2);
        assert_eq!((slice.write_ptr().cast_const(), slice.read_ptr()), (inside, inside));
        receive(&mut slice, 5);
        assert_eq!(&slice[..], b"abcde");
        assert_eq!(slice.into_inner(), b"01abcde");
    }

    #[test]
    fn an_unchecked_slice_trusts_its_maker() {
        // SAFETY: 2..4 is initialised.
        let part = unsafe { four_of_ten().slice_unchecked(2..) };
        assert_eq!(part.as_slice(), b"23");
        // SAFETY: 4 bytes are initialised and 10 fit.
        let mut room = unsafe { four_of_ten().slice_mut_unchecked(4..6) };
        assert_eq!(room.bytes_total(), 2);
        receive(&mut room, 2);
        assert_eq!(room.into_inner(), b"0123ab");
    }

    #[test]
    fn a_buffer_that_shrank_inside_shrinks_its_slice() {
        let mut slice = TEN.to_vec().slice(2..8);
        slice.get_mut().truncate(5);
        assert_eq!(slice.as_slice(), b"234");
        slice.get_mut().truncate(1);
        assert_eq!(slice.as_slice(), b"");
        assert_eq!(slice.read_ptr(), slice.get_ref()[1..].as_ptr());
        *slice.get_mut() = Vec::new();
        assert_eq!(slice.as_slice(), b"");

        let mut room = TEN.to_vec().slice_mut(2..8);
        *room.get_mut() = Vec::with_capacity(5);
        assert_eq!((room.bytes_total(), &room[..]), (0, &b""[..]), "bytes 0 and 1 are garbage");
        receive(&mut room, 0);
        assert_eq!(room.get_ref().len(), 0, "and stay outside");
        room.get_mut().extend_from_slice(b"xy");
        assert_eq!(room.bytes_total(), room.get_ref().capacity().min(8) - 2);
        receive(&mut room, 1);
        assert_eq!(room.into_inner(), b"xya");
    }
}
