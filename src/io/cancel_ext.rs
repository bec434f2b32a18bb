//! What every stream can do until it is cancelled, as methods; as monoio has them.
//!
//! [`EarlyEnd::cancelable`](super::EarlyEnd::cancelable) does the same for any future that is made of operations. These
//! ask the stream itself at each step, which may have [its own way](CancelableAsyncReadRent) to be cancelled.
//!
//! ```
//! use annulus::io::{AsyncWriteRent, Canceller, cancel_ext::CancelableAsyncReadRentExt};
//! use annulus::net::{TcpListener, TcpStream};
//!
//! annulus::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!     client.write(b"half").await.0?;
//!
//!     let canceller = Canceller::new();
//!     let reading = server.cancelable_read_exact(Vec::with_capacity(8), canceller.handle());
//!     let (res, _) = annulus::join!(reading, async {
//!         annulus::time::sleep(std::time::Duration::from_millis(5)).await;
//!         canceller.cancel()
//!     });
//!     let (read, buf) = res;
//!     assert_eq!((read.unwrap_err().raw_os_error(), &buf[..]), (Some(libc::ECANCELED), &b"half"[..]));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use super::{
    AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, CancelHandle, CancelableAsyncReadRent,
    CancelableAsyncWriteRent,
};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use std::{future::Future, io};

/// A stream of which each step ends when a handle is cancelled.
struct Until<'a, S: ?Sized>(&'a mut S, CancelHandle);

impl<S: CancelableAsyncReadRent + ?Sized> AsyncReadRent for Until<'_, S> {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.0.cancelable_read(buf, self.1.clone())
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.0.cancelable_readv(buf, self.1.clone())
    }
}

impl<S: CancelableAsyncWriteRent + ?Sized> AsyncWriteRent for Until<'_, S> {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.0.cancelable_write(buf, self.1.clone())
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.0.cancelable_writev(buf_vec, self.1.clone())
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.0.cancelable_flush(self.1.clone())
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.0.cancelable_shutdown(self.1.clone())
    }
}

/// Methods for numbers.
macro_rules! numbers {
    ($($cancelable:ident $plain:ident $number:ty,)*) => {$(
        #[doc = concat!("[`AsyncReadRentExt::", stringify!($plain), "`], until `c` is cancelled.")]
        ///
        /// # Errors
        /// As there; `ECANCELED` when it was cancelled before all bytes were there.
        ///
        /// # Cancellation
        /// **Lossy**: bytes that were already taken from the stream are gone, also when it was cancelled by `c`.
        fn $cancelable(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<$number>> {
            async move { Until(self, c).$plain().await }
        }
    )*};
}

/// [`AsyncReadRentExt`], until a handle is cancelled.
pub trait CancelableAsyncReadRentExt: CancelableAsyncReadRent {
    /// [`AsyncReadRentExt::read_exact`], until `c` is cancelled.
    ///
    /// # Errors
    /// As there; `ECANCELED` when it was cancelled before. The buffer then holds what was read.
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were already taken from the stream go with the buffer, if it is dropped. By `c`, nothing
    /// is lost.
    fn cancelable_read_exact<T: IoBufMut + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        async move { Until(self, c).read_exact(buf).await }
    }

    /// [`AsyncReadRentExt::read_vectored_exact`], until `c` is cancelled.
    ///
    /// # Errors
    /// As for [`cancelable_read_exact`](CancelableAsyncReadRentExt::cancelable_read_exact).
    ///
    /// # Cancellation
    /// **Lossy**: as there.
    fn cancelable_read_vectored_exact<T: IoVecBufMut + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        async move { Until(self, c).read_vectored_exact(buf).await }
    }

    numbers! {
        cancelable_read_u8 read_u8 u8,
        cancelable_read_u16 read_u16 u16,
        cancelable_read_u32 read_u32 u32,
        cancelable_read_u64 read_u64 u64,
        cancelable_read_u128 read_u128 u128,
        cancelable_read_i8 read_i8 i8,
        cancelable_read_i16 read_i16 i16,
        cancelable_read_i32 read_i32 i32,
        cancelable_read_i64 read_i64 i64,
        cancelable_read_i128 read_i128 i128,
        cancelable_read_f32 read_f32 f32,
        cancelable_read_f64 read_f64 f64,
        cancelable_read_u8_le read_u8_le u8,
        cancelable_read_u16_le read_u16_le u16,
        cancelable_read_u32_le read_u32_le u32,
        cancelable_read_u64_le read_u64_le u64,
        cancelable_read_u128_le read_u128_le u128,
        cancelable_read_i8_le read_i8_le i8,
        cancelable_read_i16_le read_i16_le i16,
        cancelable_read_i32_le read_i32_le i32,
        cancelable_read_i64_le read_i64_le i64,
        cancelable_read_i128_le read_i128_le i128,
        cancelable_read_f32_le read_f32_le f32,
        cancelable_read_f64_le read_f64_le f64,
    }
}

impl<A: CancelableAsyncReadRent + ?Sized> CancelableAsyncReadRentExt for A {}

/// [`AsyncWriteRentExt`], until a handle is cancelled. Its names are that trait's, as they are in monoio: who imports
/// both names the trait at the call.
pub trait CancelableAsyncWriteRentExt: CancelableAsyncWriteRent {
    /// [`AsyncWriteRentExt::write_all`], until `c` is cancelled.
    ///
    /// # Errors
    /// As there; `ECANCELED` when it was cancelled before all was written. How much was, nobody learns.
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn write_all<T: IoBuf + 'static>(&mut self, buf: T, c: CancelHandle) -> impl Future<Output = BufResult<usize, T>> {
        async move { AsyncWriteRentExt::write_all(&mut Until(self, c), buf).await }
    }

    /// [`AsyncWriteRentExt::write_vectored_all`], until `c` is cancelled.
    ///
    /// # Errors
    /// As for [`write_all`](CancelableAsyncWriteRentExt::write_all).
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn write_vectored_all<T: IoVecBuf + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        async move { AsyncWriteRentExt::write_vectored_all(&mut Until(self, c), buf).await }
    }
}

impl<A: CancelableAsyncWriteRent + ?Sized> CancelableAsyncWriteRentExt for A {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::Canceller,
        net::UnixStream,
        time::{sleep, timeout},
    };
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    /// Runs a future, cancels it while it waits, and sees to it that it ends.
    async fn cancelled<F: Future>(start: impl FnOnce(CancelHandle) -> F) -> F::Output {
        let canceller = Canceller::new();
        let (output, _) = crate::join!(timeout(SOON, start(canceller.handle())), async {
            sleep(Duration::from_millis(1)).await;
            canceller.cancel()
        });
        output.expect("it waits on")
    }

    fn ended<T: std::fmt::Debug>(res: io::Result<T>) {
        assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    }

    /// Each number: one that has come whole, and one whose last byte does not come.
    macro_rules! numbers {
        ($a:ident $b:ident: $($number:ident $name:ident $from:ident;)*) => {$(
            let bytes: Vec<u8> = (1..=size_of::<$number>() as u8).collect();
            AsyncWriteRentExt::write_all(&mut $a, bytes.clone()).await.0.unwrap();
            let number = $b.$name(Canceller::new().handle()).await.unwrap();
            assert_eq!(number, $number::$from(bytes.clone().try_into().unwrap()), stringify!($name));
            AsyncWriteRentExt::write_all(&mut $a, bytes[1..].to_vec()).await.0.unwrap();
            ended(cancelled(|c| $b.$name(c)).await);
        )*};
    }

    /// Red when a method is another's, or goes on when it is cancelled.
    #[crate::test]
    async fn numbers_are_cancelled_while_they_wait() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        numbers! { a b:
            u8 cancelable_read_u8 from_be_bytes; u8 cancelable_read_u8_le from_le_bytes;
            u16 cancelable_read_u16 from_be_bytes; u16 cancelable_read_u16_le from_le_bytes;
            u32 cancelable_read_u32 from_be_bytes; u32 cancelable_read_u32_le from_le_bytes;
            u64 cancelable_read_u64 from_be_bytes; u64 cancelable_read_u64_le from_le_bytes;
            u128 cancelable_read_u128 from_be_bytes; u128 cancelable_read_u128_le from_le_bytes;
        }
        numbers! { a b:
            i8 cancelable_read_i8 from_be_bytes; i8 cancelable_read_i8_le from_le_bytes;
            i16 cancelable_read_i16 from_be_bytes; i16 cancelable_read_i16_le from_le_bytes;
            i32 cancelable_read_i32 from_be_bytes; i32 cancelable_read_i32_le from_le_bytes;
            i64 cancelable_read_i64 from_be_bytes; i64 cancelable_read_i64_le from_le_bytes;
            i128 cancelable_read_i128 from_be_bytes; i128 cancelable_read_i128_le from_le_bytes;
            f32 cancelable_read_f32 from_be_bytes; f32 cancelable_read_f32_le from_le_bytes;
            f64 cancelable_read_f64 from_be_bytes; f64 cancelable_read_f64_le from_le_bytes;
        }
    }

    /// Red when a buffer that was begun is not given back as it is, or a byte is lost by cancelling.
    #[crate::test]
    async fn whole_transfers_are_cancelled_while_they_wait() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        AsyncWriteRentExt::write_all(&mut a, "half").await.0.unwrap();
        let (res, buf) = cancelled(|c| b.cancelable_read_exact(Vec::with_capacity(8), c)).await;
        ended(res);
        assert_eq!(buf, b"half");
        AsyncWriteRentExt::write_all(&mut a, "more").await.0.unwrap();
        let parts = VecBuf::from(vec![vec![0; 3], vec![0; 3]]);
        let (res, parts) = cancelled(|c| b.cancelable_read_vectored_exact(parts, c)).await;
        ended(res);
        assert_eq!(Vec::from(parts)[0], b"mor");

        let big = vec![7; 8 << 20];
        let (res, big) = cancelled(|c| CancelableAsyncWriteRentExt::write_all(&mut a, big, c)).await;
        ended(res);
        assert_eq!(big.len(), 8 << 20);
        let (res, parts) =
            cancelled(|c| CancelableAsyncWriteRentExt::write_vectored_all(&mut a, VecBuf::from(vec![big]), c)).await;
        ended(res);
        assert_eq!(Vec::from(parts)[0].len(), 8 << 20);
    }

    /// Ends each read of its own accord.
    struct Own;

    impl AsyncReadRent for Own {
        async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(0), buf)
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(0), buf)
        }
    }

    impl CancelableAsyncReadRent for Own {
        async fn cancelable_read<T: IoBufMut>(&mut self, buf: T, _: CancelHandle) -> BufResult<usize, T> {
            (Err(io::Error::other("in its own way")), buf)
        }
    }

    /// Red when a stream's own way to be cancelled is passed by.
    #[crate::test]
    async fn a_stream_is_asked_in_its_own_way() {
        let error = Own.cancelable_read_u32(Canceller::new().handle()).await.unwrap_err();
        assert_eq!(error.to_string(), "in its own way");
        let (res, _) = Own.cancelable_read_exact(vec![0; 4], Canceller::new().handle()).await;
        assert_eq!(res.unwrap_err().to_string(), "in its own way");
    }
}
