//! What every stream can do, until it is cancelled.

use annulus::{
    BufResult,
    buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    io::{
        AsyncReadRentExt, AsyncWriteRentExt, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent, EarlyEnd,
    },
};
use std::{future::Future, io};

/// Methods for numbers.
macro_rules! numbers {
    ($($cancelable:ident $plain:ident $number:ident,)*) => {$(
        #[doc = concat!("[`AsyncReadRentExt::", stringify!($plain), "`], until `c` is cancelled.")]
        fn $cancelable(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<$number>> {
            self.$plain().cancelable(c)
        }
    )*};
}

/// [`AsyncReadRentExt`], until a handle is cancelled. All methods answer `ECANCELED` then, with what was read so far.
pub trait CancelableAsyncReadRentExt: CancelableAsyncReadRent {
    /// [`AsyncReadRentExt::read_exact`], until `c` is cancelled.
    fn cancelable_read_exact<T: IoBufMut + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.read_exact(buf).cancelable(c)
    }

    /// [`AsyncReadRentExt::read_vectored_exact`], until `c` is cancelled.
    fn cancelable_read_vectored_exact<T: IoVecBufMut + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.read_vectored_exact(buf).cancelable(c)
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

/// [`AsyncWriteRentExt`], until a handle is cancelled. Its names are that trait's: who imports both names the trait at
/// the call.
pub trait CancelableAsyncWriteRentExt: CancelableAsyncWriteRent {
    /// [`AsyncWriteRentExt::write_all`], until `c` is cancelled.
    fn write_all<T: IoBuf + 'static>(&mut self, buf: T, c: CancelHandle) -> impl Future<Output = BufResult<usize, T>> {
        AsyncWriteRentExt::write_all(self, buf).cancelable(c)
    }

    /// [`AsyncWriteRentExt::write_vectored_all`], until `c` is cancelled.
    fn write_vectored_all<T: IoVecBuf + 'static>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        AsyncWriteRentExt::write_vectored_all(self, buf).cancelable(c)
    }
}

impl<A: CancelableAsyncWriteRent + ?Sized> CancelableAsyncWriteRentExt for A {}
