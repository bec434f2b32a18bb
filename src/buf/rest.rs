//! What remains of a transfer that was cut short: [`Rest`] of a buffer, [`VecRest`] of a vectored one.
//!
//! Both *own* the buffer, so that a dropped future leaves it in its operation, and both count for themselves how much
//! was told (**Told**): a reader that returns more than it wrote gets an error, not somebody's old memory shown as
//! data.

use std::{
    io,
    mem::{ManuallyDrop, MaybeUninit, take},
};

use libc::iovec;

use super::{
    Fixed, IoBufMut, IoVecBuf, IoVecBufMut,
    vectored::{iovecs, iovecs_mut},
};

/// The most parts that a system takes in one call: `IOV_MAX`, on every system that annulus knows.
const MOST_PARTS: usize = 1024;

/// The part of a buffer that is still to be read into.
#[derive(Debug)]
pub(crate) struct Rest<T> {
    buf: T,
    /// Bytes that earlier reads told of: at most `buf.bytes_total()`.
    done: usize,
    /// Bytes that were told of since, and are not yet part of `done`.
    told: usize,
}

impl<T: IoBufMut> Rest<T> {
    /// All of `buf`.
    pub(crate) fn new(buf: T) -> Self {
        Self { buf, done: 0, told: 0 }
    }

    /// How many bytes were read so far.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// How many bytes the read before told of.
    pub(crate) fn told(&self) -> usize {
        self.told
    }

    /// Goes on after `n` more bytes, of which no more count than were told of.
    pub(crate) fn advance(&mut self, n: usize) {
        self.done += n.min(take(&mut self.told));
    }

    /// Gives the buffer back.
    pub(crate) fn into_inner(self) -> T {
        self.buf
    }
}

// SAFETY: Steady and Filled are the inner buffer's: `done` changes only in `advance`, after the buffer was given back.
unsafe impl<T: IoBufMut> IoBufMut for Rest<T> {
    #[inline]
    fn write_ptr(&mut self) -> *mut u8 {
        self.buf.write_ptr().wrapping_add(self.done)
    }

    #[inline]
    fn bytes_total(&mut self) -> usize {
        self.buf.bytes_total().saturating_sub(self.done)
    }

    #[inline]
    unsafe fn set_init(&mut self, pos: usize) {
        self.told = pos;
        // SAFETY: Told, by our caller, about `done..done + pos`, and earlier about `..done`.
        unsafe { self.buf.set_init(self.done + pos) };
    }

    #[inline]
    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }
}

/// The parts of a vectored buffer that are still to be transferred.
pub(crate) struct VecRest<T> {
    /// Never moved as a `T` (**Unmoved**): `parts` points into what it owns.
    buf: MaybeUninit<T>,
    /// A copy of the buffer's entries without the empty ones, of which `parts[at..]` remain.
    parts: Vec<iovec>,
    at: usize,
    done: usize,
    left: usize,
    /// Bytes that were told of since the last `advance`.
    told: usize,
}

impl<T> VecRest<T> {
    /// All parts of `buf`, to be written from.
    pub(crate) fn of(buf: T) -> Self
    where
        T: IoVecBuf,
    {
        Self::over(buf, |buf| iovecs(buf))
    }

    /// All parts of `buf`, to be read into.
    pub(crate) fn of_mut(buf: T) -> Self
    where
        T: IoVecBufMut,
    {
        Self::over(buf, |buf| iovecs_mut(buf))
    }

    /// Puts the buffer where it stays, and then copies its entries.
    fn over(buf: T, entries: impl FnOnce(&mut T) -> &[iovec]) -> Self {
        let mut buf = MaybeUninit::new(buf);
        // SAFETY: it was initialised in the line above.
        let inner = unsafe { buf.assume_init_mut() };
        let parts: Vec<iovec> = entries(inner).iter().filter(|v| v.iov_len > 0).copied().collect();
        let left = parts.iter().map(|v| v.iov_len).fold(0, usize::saturating_add);
        Self { buf, parts, at: 0, done: 0, left, told: 0 }
    }

    /// How many bytes were transferred.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// How many bytes remain.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// How many bytes the read before told of.
    pub(crate) fn told(&self) -> usize {
        self.told
    }

    /// Goes on after `n` more bytes: at most those that are left.
    pub(crate) fn advance(&mut self, n: usize) {
        let mut n = n.min(self.left);
        (self.done, self.left, self.told) = (self.done + n, self.left - n, 0);
        while let Some(part) = self.parts.get_mut(self.at) {
            if n < part.iov_len {
                part.iov_base = part.iov_base.wrapping_byte_add(n);
                part.iov_len -= n;
                return;
            }
            n -= part.iov_len;
            self.at += 1;
        }
    }

    /// Goes on after `n` more bytes of a read, of which no more count than were told of.
    pub(crate) fn advance_told(&mut self, n: usize) {
        self.advance(n.min(self.told));
    }

    /// Gives the buffer back.
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        drop(take(&mut this.parts));
        // SAFETY: initialised by `over`, and read once: `this` is not dropped.
        unsafe { this.buf.assume_init_read() }
    }

    /// Gives the buffer back, and tells it what was read.
    pub(crate) fn into_told(self) -> T
    where
        T: IoVecBufMut,
    {
        let done = self.done;
        let mut buf = self.into_inner();
        if done > 0 {
            // SAFETY: Told: `done` is a sum of numbers that `set_init` promised, for the same parts in the same order.
            unsafe { buf.set_init(done) };
        }
        buf
    }
}

impl<T> Drop for VecRest<T> {
    fn drop(&mut self) {
        // SAFETY: initialised by `over`; `into_inner`, which takes it, does not drop `self`.
        unsafe { self.buf.assume_init_drop() };
    }
}

// SAFETY: Steady: the copied entries lie on the heap and change only in `advance`, after the buffer was given back;
// what they point to is kept by the buffer, which is Unmoved. Filled is the buffer's promise for each part.
unsafe impl<T: IoVecBuf> IoVecBuf for VecRest<T> {
    fn read_iovec_ptr(&self) -> *const iovec {
        self.parts[self.at..].as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        (self.parts.len() - self.at).min(MOST_PARTS)
    }
}

// SAFETY: as above, with entries that nobody but us can reach.
unsafe impl<T: IoVecBufMut> IoVecBufMut for VecRest<T> {
    fn write_iovec_ptr(&mut self) -> *mut iovec {
        self.parts[self.at..].as_mut_ptr()
    }

    fn write_iovec_len(&mut self) -> usize {
        (self.parts.len() - self.at).min(MOST_PARTS)
    }

    unsafe fn set_init(&mut self, pos: usize) {
        self.told = pos;
    }
}

/// The answer to a transfer that reports more than it can have done.
pub(crate) fn overclaim(n: usize, most: usize) -> io::Error {
    let why = format!(
        "the stream reports {n} bytes where at most {most} can have been transferred: its `read` or `write` must \
         return, and a `read` must tell `set_init`, what it did"
    );
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::buf::{VecBuf, io_buf_mut::tests::receive, parts};

    const TEXT: &[u8] = b"abcdefghij";

    /// The text in parts of 3, 0, 1, 4, 0 and 2 bytes.
    fn in_parts() -> VecBuf {
        VecBuf::from([&TEXT[..3], b"", &TEXT[3..4], &TEXT[4..8], b"", &TEXT[8..]].map(<[u8]>::to_vec).to_vec())
    }

    fn text<T: IoVecBuf>(rest: &T) -> Vec<u8> {
        parts(rest).collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_remains_is_right_after_every_two_splits() {
        for first in 0..=TEXT.len() {
            for second in 0..=TEXT.len() - first {
                let mut rest = VecRest::of(in_parts());
                rest.advance(first);
                assert_eq!(text(&rest), &TEXT[first..]);
                rest.advance(second);
                assert_eq!(text(&rest), &TEXT[first + second..]);
                assert_eq!((rest.done(), rest.left()), (first + second, TEXT.len() - first - second));
                assert_eq!(rest.read_iovec_len(), parts(&rest).count(), "no empty part is left");
                assert_eq!(text(&rest.into_inner()), TEXT, "the buffer itself is as it was");
            }
        }
    }

    #[test]
    fn nothing_remains_after_too_much() {
        let mut rest = VecRest::of(in_parts());
        rest.advance(usize::MAX);
        assert_eq!((rest.done(), rest.left(), rest.read_iovec_len()), (TEXT.len(), 0, 0));
    }

    #[test]
    fn a_call_gets_no_more_parts_than_it_can_take() {
        let mut rest = VecRest::of_mut(VecBuf::from(vec![vec![7u8]; 1500]));
        assert_eq!((rest.read_iovec_len(), rest.write_iovec_len(), rest.left()), (1024, 1024, 1500));
        rest.advance(1024);
        assert_eq!((rest.read_iovec_len(), rest.write_iovec_len(), rest.left()), (476, 476, 476));
    }

    #[test]
    fn only_what_was_told_is_initialised() {
        let mut rest = VecRest::of_mut(in_parts());
        rest.advance_told(5);
        assert_eq!(rest.done(), 0, "a reader that said nothing read nothing");
        // SAFETY: Told: every byte of a `VecBuf` is initialised.
        unsafe { rest.set_init(5) };
        assert_eq!(rest.told(), 5);
        rest.advance_told(9);
        assert_eq!((rest.done(), rest.told()), (5, 0));
        let lens: Vec<usize> = Vec::from(rest.into_told()).iter().map(Vec::len).collect();
        assert_eq!(lens, [3, 0, 1, 1, 0, 2]);
    }

    #[test]
    fn the_buffer_is_dropped_once() {
        struct Counted(Rc<()>);
        // SAFETY: it has no entries.
        unsafe impl IoVecBuf for Counted {
            fn read_iovec_ptr(&self) -> *const iovec {
                std::ptr::null()
            }
            fn read_iovec_len(&self) -> usize {
                0
            }
        }
        let count = Rc::new(());
        let rest = VecRest::of(Counted(count.clone()));
        assert_eq!(rest.left(), 0);
        drop(rest);
        assert_eq!(Rc::strong_count(&count), 1);
        let back = VecRest::of(Counted(count.clone())).into_inner();
        assert_eq!(Rc::strong_count(&back.0), 2);
        drop(back);
        assert_eq!(Rc::strong_count(&count), 1);
    }

    #[test]
    fn a_rest_goes_on_where_the_last_read_ended() {
        let mut rest = Rest::new(Vec::with_capacity(8));
        receive(&mut rest, 3);
        rest.advance(3);
        receive(&mut rest, 2);
        assert_eq!(rest.told(), 2);
        rest.advance(usize::MAX);
        assert_eq!((rest.done(), rest.bytes_total()), (5, 3));
        rest.advance(1);
        assert_eq!(rest.done(), 5, "nothing was told since");
        assert_eq!(rest.into_inner().as_slice(), b"abcab");
    }
}
