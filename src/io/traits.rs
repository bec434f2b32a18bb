//! The traits, and the references and boxes that pass every call on.

use std::{
    cell::UnsafeCell,
    future::Future,
    io::{self, ErrorKind},
};

use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, Slice, overclaim};

/// The bytes of one step towards a whole transfer: `Ok(0)` becomes the error `end`, an interruption `Ok(0)`.
///
/// `most` is what the step can have transferred; a stream that reports more is wrong, and gets an error for it.
pub(super) fn step(res: io::Result<usize>, most: usize, end: ErrorKind) -> io::Result<usize> {
    match res {
        Ok(0) => Err(end.into()),
        Ok(n) if n > most => Err(overclaim(n, most)),
        Err(e) if e.kind() == ErrorKind::Interrupted => Ok(0),
        res => res,
    }
}

/// Writes all of `buf`, as often as that takes.
pub(super) async fn write_in_steps<W: AsyncWriteRent + ?Sized, T: IoBuf>(
    stream: &mut W,
    mut buf: T,
) -> BufResult<usize, T> {
    let len = buf.bytes_init();
    let mut done = 0;
    while done < len {
        // SAFETY: `done < len`, and `len` is what is initialised; a slice checks that again when it is used.
        let slice = unsafe { Slice::new_unchecked(buf, done, len) };
        let (res, slice) = stream.write(slice).await;
        buf = slice.into_inner();
        match step(res, len - done, ErrorKind::WriteZero) {
            Ok(n) => done += n,
            Err(e) => return (Err(e), buf),
        }
    }
    (Ok(done), buf)
}

/// A stream of bytes to be read, into buffers that it owns meanwhile.
pub trait AsyncReadRent {
    /// Reads at most [`bytes_total`](IoBufMut::bytes_total) bytes to the start of `buf`, and returns how many.
    ///
    /// `Ok(0)` means the end of the stream, or that `buf` has no room. An implementor calls
    /// [`set_init`](IoBufMut::set_init) once after a success, with the number that it returns, and never after an
    /// error.
    ///
    /// # Errors
    /// Whatever stopped the stream. No byte was read then, and `buf` is as it was.
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were already taken from the stream go with the buffer.
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// [`read`](AsyncReadRent::read) into several parts, one after the other, as if they were one.
    ///
    /// # Errors
    /// As for [`read`](AsyncReadRent::read).
    ///
    /// # Cancellation
    /// **Lossy**: as [`read`](AsyncReadRent::read).
    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// The stream of one [half](super::exclusive), which refers to no more of it than reading needs.
    ///
    /// # Safety
    /// While what this gives lives, nothing else refers to the stream but one [`AsyncWriteRent::writer`], and that only
    /// if the stream is [`exclusive::Split`](super::exclusive::Split).
    #[doc(hidden)]
    unsafe fn reader(stream: &UnsafeCell<Self>) -> impl AsyncReadRent
    where
        Self: Sized,
    {
        // SAFETY: Marked: there is no other reference, or its owner has promised to stand it.
        unsafe { &mut *stream.get() }
    }
}

/// Bytes to be read at any position.
pub trait AsyncReadRentAt {
    /// Reads at most [`bytes_total`](IoBufMut::bytes_total) bytes from position `pos` on, as `pread` does, and returns
    /// how many: 0 at the end. [`set_init`](IoBufMut::set_init) is called as for [`AsyncReadRent::read`].
    ///
    /// # Errors
    /// Whatever stopped the read. `buf` is as it was.
    ///
    /// # Cancellation
    /// **Clean**: the same bytes can be read again.
    fn read_at<T: IoBufMut>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>>;
}

/// A stream of bytes to be written, from buffers that it owns meanwhile.
pub trait AsyncWriteRent {
    /// Writes from the start of `buf`, and returns how many bytes: perhaps not all, and then it is no error.
    ///
    /// `Ok(0)` means that the stream takes no more, or that `buf` is empty.
    ///
    /// # Errors
    /// Whatever stopped the stream. No byte was written then.
    ///
    /// # Cancellation
    /// **Detached**: the bytes may still be written, some or all of them, after the future is gone.
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// What [`write_all`](super::AsyncWriteRentExt::write_all) does, for streams that have a shorter way to it.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Lossy**: as there.
    #[doc(hidden)]
    #[inline]
    fn write_whole<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        write_in_steps(self, buf)
    }

    /// [`write`](AsyncWriteRent::write) from several parts, one after the other, as if they were one.
    ///
    /// # Errors
    /// As for [`write`](AsyncWriteRent::write).
    ///
    /// # Cancellation
    /// **Detached**: as [`write`](AsyncWriteRent::write).
    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>>;

    /// Hands on what the stream holds back, and returns when that is done.
    ///
    /// # Errors
    /// Whatever kept the stream from writing all of it.
    ///
    /// # Cancellation
    /// **Detached**: an unknown part of what was held back is written.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Flushes, and tells the other side that no more is coming. Nothing can be written afterwards.
    ///
    /// # Errors
    /// Whatever kept the stream from flushing or from being shut down.
    ///
    /// # Cancellation
    /// **Detached**: the shutdown may still happen.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;

    /// The stream of the other [half](super::exclusive), which refers to no more of it than writing needs.
    ///
    /// # Safety
    /// As for [`AsyncReadRent::reader`], the other way around.
    #[doc(hidden)]
    unsafe fn writer(stream: &UnsafeCell<Self>) -> impl AsyncWriteRent
    where
        Self: Sized,
    {
        // SAFETY: Marked: there is no other reference, or its owner has promised to stand one that reads.
        unsafe { &mut *stream.get() }
    }

    /// What dropping the half that is written tells the other side: nothing, but for annulus's own connections.
    ///
    /// # Safety
    /// As for [`AsyncReadRent::reader`]; and an implementor makes shared references alone, as there may be a reader,
    /// and a writer of another half that was made of the same share.
    #[doc(hidden)]
    unsafe fn hang_up_at(_stream: &UnsafeCell<Self>)
    where
        Self: Sized,
    {
    }
}

/// Bytes to be written at any position.
pub trait AsyncWriteRentAt {
    /// Writes from the start of `buf` to position `pos`, as `pwrite` does, and returns how many bytes.
    ///
    /// # Errors
    /// Whatever stopped the write. No byte was written then.
    ///
    /// # Cancellation
    /// **Detached**: the bytes may still be written, some or all of them, after the future is gone.
    fn write_at<T: IoBuf>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>>;
}

/// Implements the traits for a pointer to something that implements them.
macro_rules! pass_on {
    ($($t:ty),*) => {$(
        impl<A: ?Sized + AsyncReadRent> AsyncReadRent for $t {
            #[inline]
            fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                (**self).read(buf)
            }

            #[inline]
            fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                (**self).readv(buf)
            }
        }

        impl<A: ?Sized + AsyncReadRentAt> AsyncReadRentAt for $t {
            #[inline]
            fn read_at<T: IoBufMut>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>> {
                (**self).read_at(buf, pos)
            }
        }

        impl<A: ?Sized + AsyncWriteRent> AsyncWriteRent for $t {
            #[inline]
            fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                (**self).write(buf)
            }

            #[inline]
            fn write_whole<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                (**self).write_whole(buf)
            }

            #[inline]
            fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
                (**self).writev(buf_vec)
            }

            #[inline]
            fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
                (**self).flush()
            }

            #[inline]
            fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
                (**self).shutdown()
            }
        }

        impl<A: ?Sized + AsyncWriteRentAt> AsyncWriteRentAt for $t {
            #[inline]
            fn write_at<T: IoBuf>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>> {
                (**self).write_at(buf, pos)
            }
        }
    )*};
}

pass_on!(&mut A, Box<A>);
