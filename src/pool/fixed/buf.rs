//! A buffer of a pool in its user's hands.

use super::{Place, Shared};
use crate::buf::{Fixed, IoBuf, IoBufMut};
use std::{fmt, ops, rc::Rc, slice};

/// A buffer of a [`FixedPool`](super::FixedPool). Dropped, it is free again.
///
/// It is used like a `Vec<u8>` that cannot grow: it is empty at first, a read fills it from its start and sets its
/// length, a write takes what is in it. [`slice`](IoBuf::slice) and [`slice_mut`](IoBufMut::slice_mut) cut it, and the
/// parts are registered like the whole. It starts at a multiple of its capacity, or of 4096 if that is less, as
/// `O_DIRECT` wants it.
///
/// What is in a buffer is what was put there since it was taken. The memory keeps what a former user left in it until
/// it is written over, but only an `unsafe` call that says what it did not do could show that.
///
/// It belongs to its thread, because its pool and its ring do. It may be used in another runtime of that thread, where
/// it is a buffer like any other, and it may outlive its pool's handles and its runtime.
pub struct FixedBuf {
    pool: Rc<Shared>,
    /// Its class, by number.
    class: usize,
    /// Its memory, which is in nobody else's hands: a place is on its class's list or in one buffer.
    place: Place,
    /// How many bytes were put into it.
    len: usize,
}

static_assertions::assert_not_impl_any!(FixedBuf: Send, Sync);

impl FixedBuf {
    pub(super) fn new(pool: Rc<Shared>, class: usize, place: Place) -> FixedBuf {
        FixedBuf { pool, class, place, len: 0 }
    }

    /// How many bytes it can hold: those of its class.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.classes[self.class].size
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps the first `len` bytes, if there are more.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes it `len` bytes long: what is new is `value`.
    ///
    /// # Panics
    /// If `len` is more than the [capacity](FixedBuf::capacity).
    pub fn resize(&mut self, len: usize, value: u8) {
        self.check_room(len);
        let (from, more) = (self.end(), len.saturating_sub(self.len));
        // SAFETY: Filled: `len` bytes fit, and those after the first `self.len` are nobody else's.
        unsafe { from.write_bytes(value, more) };
        self.len = len;
    }

    /// Adds bytes at its end.
    ///
    /// # Panics
    /// If there is no room for them: less than [capacity](FixedBuf::capacity) − length.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let len = self.len.saturating_add(bytes.len());
        self.check_room(len);
        // SAFETY: Filled: that many bytes fit behind the first `self.len`. Nobody can hold a reference to them, so
        // `bytes` is elsewhere.
        unsafe { self.end().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.len = len;
    }

    fn end(&self) -> *mut u8 {
        self.place.at.as_ptr().wrapping_add(self.len)
    }

    fn check_room(&self, len: usize) {
        let capacity = self.capacity();
        assert!(len <= capacity, "{len} bytes do not fit into a buffer of {capacity}: take one from a larger class");
    }
}

impl Drop for FixedBuf {
    fn drop(&mut self) {
        self.pool.classes[self.class].give(self.place);
    }
}

impl ops::Deref for FixedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: Filled: so many bytes were written since the buffer was taken, and the pool keeps them mapped.
        unsafe { slice::from_raw_parts(self.place.at.as_ptr(), self.len) }
    }
}

impl ops::DerefMut for FixedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: Filled: as for reading, and the place is in no other buffer.
        unsafe { slice::from_raw_parts_mut(self.place.at.as_ptr(), self.len) }
    }
}

// SAFETY: Steady: the bytes lie in a map that stays while the buffer holds its pool, and only `&mut` methods change how
// many there are. Filled: the buffer's own methods and `set_init` count bytes that were written.
unsafe impl IoBuf for FixedBuf {
    #[inline]
    fn read_ptr(&self) -> *const u8 {
        self.place.at.as_ptr()
    }

    #[inline]
    fn bytes_init(&self) -> usize {
        self.len
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        self.place.index.map(|index| Fixed { index, ring: self.pool.driver.identity() })
    }
}

// SAFETY: Steady: the bytes of a place, which stay where they are and as many. Filled: a place is in one buffer only.
unsafe impl IoBufMut for FixedBuf {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        self.place.at.as_ptr()
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.capacity()
    }

    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        self.len = pos;
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        IoBuf::fixed(self)
    }
}

impl fmt::Debug for FixedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registered = IoBuf::fixed(self).is_some();
        let mut out = f.debug_struct("FixedBuf");
        out.field("len", &self.len).field("capacity", &self.capacity()).field("registered", &registered).finish()
    }
}
