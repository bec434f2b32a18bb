//! Streams in memory: slices and cursors to read from, vectors and cursors to write to.
//!
//! They are always ready: each future completes at its first poll, and the work is done before that, when it is made.

use std::{
    future::{Future, ready},
    io::{self, Cursor, Write},
    mem::take,
    ptr,
};

use super::{AsyncReadRent, AsyncWriteRent};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, iovecs_mut, parts};

/// Copies as much of `src` as fits to the start of `buf`.
pub(super) fn fill<T: IoBufMut>(src: &[u8], buf: &mut T) -> usize {
    let n = src.len().min(buf.bytes_total());
    if n > 0 {
        let to = buf.write_ptr();
        // SAFETY: Filled: `to` has room for `n` bytes that are the buffer's alone, so that `src` cannot overlap them.
        unsafe { ptr::copy_nonoverlapping(src.as_ptr(), to, n) };
    }
    // SAFETY: Told: `n` bytes were copied, and fit.
    unsafe { buf.set_init(n) };
    n
}

/// Copies as much of `src` as fits to the parts of `buf`, one after the other.
pub(super) fn scatter<T: IoVecBufMut>(src: &[u8], buf: &mut T) -> usize {
    let mut left = src;
    for part in iovecs_mut(buf).iter().filter(|v| v.iov_len > 0) {
        let (here, after) = left.split_at(left.len().min(part.iov_len));
        // SAFETY: Filled: the part has room for `here`, and is the buffer's alone.
        unsafe { ptr::copy_nonoverlapping(here.as_ptr(), part.iov_base.cast(), here.len()) };
        left = after;
    }
    let n = src.len() - left.len();
    // SAFETY: Told: the loop copied `n` bytes, to the parts in order.
    unsafe { buf.set_init(n) };
    n
}

impl AsyncReadRent for &[u8] {
    /// Reads from the start of the slice, which is then shorter by what was read.
    fn read<T: IoBufMut>(&mut self, mut buf: T) -> impl Future<Output = BufResult<usize, T>> {
        let n = fill(self, &mut buf);
        *self = &self[n..];
        ready((Ok(n), buf))
    }

    /// As [`read`](AsyncReadRent::read).
    fn readv<T: IoVecBufMut>(&mut self, mut buf: T) -> impl Future<Output = BufResult<usize, T>> {
        let n = scatter(self, &mut buf);
        *self = &self[n..];
        ready((Ok(n), buf))
    }
}

impl AsyncReadRent for &mut [u8] {
    /// Reads from the start of the slice, which is then shorter by what was read.
    fn read<T: IoBufMut>(&mut self, mut buf: T) -> impl Future<Output = BufResult<usize, T>> {
        let n = fill(self, &mut buf);
        *self = &mut take(self)[n..];
        ready((Ok(n), buf))
    }

    /// As [`read`](AsyncReadRent::read).
    fn readv<T: IoVecBufMut>(&mut self, mut buf: T) -> impl Future<Output = BufResult<usize, T>> {
        let n = scatter(self, &mut buf);
        *self = &mut take(self)[n..];
        ready((Ok(n), buf))
    }
}

/// What stands after the cursor's position: nothing, if that is past the end.
fn after<T: AsRef<[u8]>>(cursor: &Cursor<T>) -> &[u8] {
    let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    cursor.get_ref().as_ref().get(start..).unwrap_or_default()
}

impl<T: AsRef<[u8]>> AsyncReadRent for Cursor<T> {
    /// Reads from the cursor's position, and moves it.
    fn read<B: IoBufMut>(&mut self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> {
        let n = fill(after(self), &mut buf);
        self.set_position(self.position() + n as u64);
        ready((Ok(n), buf))
    }

    /// As [`read`](AsyncReadRent::read).
    fn readv<B: IoVecBufMut>(&mut self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> {
        let n = scatter(after(self), &mut buf);
        self.set_position(self.position() + n as u64);
        ready((Ok(n), buf))
    }
}

/// Writes the parts of `buf` until one is not taken whole. An error counts only if nothing was written before it.
fn gather<W: Write + ?Sized, T: IoVecBuf>(writer: &mut W, buf: &T) -> io::Result<usize> {
    let mut sum = 0;
    for part in parts(buf) {
        match writer.write(part) {
            Ok(n) if n == part.len() => sum += n,
            Ok(n) => return Ok(sum + n),
            Err(e) if sum == 0 => return Err(e),
            Err(_) => return Ok(sum),
        }
    }
    Ok(sum)
}

impl AsyncWriteRent for Vec<u8> {
    /// Appends all of `buf`.
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        ready((Write::write(self, buf.as_slice()), buf))
    }

    /// Appends all parts.
    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        ready((gather(self, &buf_vec), buf_vec))
    }

    /// Does nothing.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }

    /// Does nothing.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }
}

impl<W> AsyncWriteRent for Cursor<W>
where
    Cursor<W>: Write + Unpin,
{
    /// Writes at the cursor's position, and moves it. `Ok(0)` when what the cursor stands in is full.
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        ready((Write::write(self, buf.as_slice()), buf))
    }

    /// As [`write`](AsyncWriteRent::write).
    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        ready((gather(self, &buf_vec), buf_vec))
    }

    /// Does nothing.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Write::flush(self))
    }

    /// Does nothing.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentAt, AsyncWriteRentAt},
    };

    /// Polls once: memory is always ready.
    pub(in crate::io) fn block_on<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(out) => out,
            Poll::Pending => panic!("a stream in memory was not ready"),
        }
    }

    fn room(lens: &[usize]) -> VecBuf {
        VecBuf::from(lens.iter().map(|n| vec![0u8; *n]).collect::<Vec<_>>())
    }

    /// Reads five bytes in steps of 2, 2, 1 and 0, and then the same in parts.
    fn reads<R: AsyncReadRent>(stream: impl Fn() -> R) {
        let mut one = stream();
        for want in [&b"ab"[..], b"cd", b"e", b""] {
            let (res, buf) = block_on(one.read(Vec::with_capacity(2).slice_mut(..2)));
            assert_eq!((res.unwrap(), &buf[..]), (want.len(), want));
        }
        let mut two = stream();
        let (res, buf) = block_on(two.readv(room(&[1, 0, 2])));
        assert_eq!((res.unwrap(), Vec::from(buf)), (3, vec![b"a".to_vec(), vec![], b"bc".to_vec()]));
        let (res, buf) = block_on(two.readv(room(&[1, 9, 1])));
        assert_eq!((res.unwrap(), Vec::from(buf)), (2, vec![b"d".to_vec(), b"e".to_vec(), vec![0]]));
        assert_eq!(block_on(two.readv(room(&[4]))).0.unwrap(), 0);
        assert_eq!(block_on(two.readv(room(&[]))).0.unwrap(), 0);
    }

    #[test]
    fn every_reader_goes_on_where_it_was() {
        reads(|| &b"abcde"[..]);
        reads(|| &mut *b"abcde".to_vec().leak());
        reads(|| Cursor::new(b"abcde"));
        reads(|| Cursor::new(b"abcde".to_vec()));
        reads(|| Box::new(&b"abcde"[..]));
        reads(|| &mut *Box::leak(Box::new(Cursor::new("abcde"))));
    }

    #[test]
    fn a_cursor_reads_from_its_position() {
        let mut cursor = Cursor::new(b"abcde");
        cursor.set_position(3);
        assert_eq!(block_on(cursor.read(Vec::with_capacity(9))).1, b"de");
        assert_eq!(cursor.position(), 5);
        cursor.set_position(u64::MAX);
        assert_eq!(block_on(cursor.read(Vec::with_capacity(9))).0.unwrap(), 0);
        assert_eq!(block_on(cursor.readv(room(&[9]))).0.unwrap(), 0);
        assert_eq!(cursor.position(), u64::MAX);
    }

    #[test]
    fn a_read_of_nothing_cuts_a_vec() {
        let (res, buf) = block_on((&b""[..]).read(b"old".to_vec()));
        assert_eq!((res.unwrap(), &buf[..]), (0, &b""[..]));
    }

    /// Writes bytes and parts, and gives the writer back.
    fn writes<W: AsyncWriteRent>(mut writer: W) -> W {
        let (res, buf) = block_on(writer.write("ab"));
        assert_eq!((res.unwrap(), buf), (2, "ab"));
        let (res, _) = block_on(writer.writev(VecBuf::from(vec![b"c".to_vec(), vec![], b"de".to_vec()])));
        assert_eq!(res.unwrap(), 3);
        assert_eq!(block_on(writer.writev(room(&[]))).0.unwrap(), 0);
        block_on(writer.flush()).unwrap();
        block_on(writer.shutdown()).unwrap();
        writer
    }

    #[test]
    fn every_writer_goes_on_where_it_was() {
        assert_eq!(writes(b"0".to_vec()), b"0abcde");
        assert_eq!(*writes(Box::new(Vec::new())), b"abcde");
        assert_eq!(*writes(&mut Vec::new()), b"abcde");
        assert_eq!(writes(Cursor::new([0u8; 5])).into_inner(), *b"abcde");
        let mut inside = Cursor::new(b"0123456".to_vec());
        inside.set_position(1);
        assert_eq!(writes(inside).into_inner(), b"0abcde6");
    }

    #[test]
    fn a_full_cursor_takes_what_fits() {
        let mut cursor = Cursor::new([0u8; 4]);
        let parts = VecBuf::from(vec![b"abc".to_vec(), b"def".to_vec(), b"g".to_vec()]);
        let (res, parts) = block_on(cursor.writev(parts));
        assert_eq!((res.unwrap(), cursor.get_ref()), (4, b"abcd"));
        assert_eq!(block_on(cursor.writev(parts)).0.unwrap(), 0);
        assert_eq!(block_on(AsyncWriteRent::write(&mut cursor, "x")).0.unwrap(), 0);
    }

    /// Takes `left` bytes, and then fails.
    struct Failing(usize);

    impl Write for Failing {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_after_some_parts_is_a_short_write() {
        assert_eq!(gather(&mut Failing(5), &room(&[2, 2, 2])).unwrap(), 4);
        assert_eq!(gather(&mut Failing(1), &room(&[2, 2, 2])).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    /// Takes one byte at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.extend(buf.first());
            Ok(buf.len().min(1))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_short_part_ends_the_write() {
        let mut slow = Slow(Vec::new());
        let parts = VecBuf::from(vec![b"a".to_vec(), b"bc".to_vec(), b"d".to_vec()]);
        assert_eq!((gather(&mut slow, &parts).unwrap(), &slow.0[..]), (2, &b"ab"[..]));
    }

    /// Bytes at positions.
    struct Paper(Vec<u8>);

    impl AsyncReadRentAt for Paper {
        async fn read_at<T: IoBufMut>(&mut self, buf: T, pos: usize) -> BufResult<usize, T> {
            (&self.0[pos..]).read(buf).await
        }
    }

    impl AsyncWriteRentAt for Paper {
        async fn write_at<T: IoBuf>(&mut self, buf: T, pos: usize) -> BufResult<usize, T> {
            AsyncWriteRent::write(&mut Cursor::new(&mut self.0[pos..]), buf).await
        }
    }

    /// Overwrites two bytes at 1 and reads from 2 on.
    fn at<P: AsyncReadRentAt + AsyncWriteRentAt>(mut paper: P) -> Vec<u8> {
        assert_eq!(block_on(paper.write_at("XY", 1)).0.unwrap(), 2);
        block_on(paper.read_at(Vec::with_capacity(9), 2)).1
    }

    #[test]
    fn positions_pass_through_pointers() {
        assert_eq!(at(&mut Paper(b"abcd".to_vec())), b"Yd");
        assert_eq!(at(Box::new(Paper(b"abcd".to_vec()))), b"Yd");
    }
}
