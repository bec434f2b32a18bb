//! What every stream can do: transfers that do not stop half-way, and numbers.

use std::{
    future::Future,
    io::{self, ErrorKind},
};

use super::{AsyncReadRent, AsyncWriteRent, traits::step};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, Rest, VecRest};

/// Reads `N` bytes.
async fn array<const N: usize, R: AsyncReadRent + ?Sized>(stream: &mut R) -> io::Result<[u8; N]> {
    let (res, bytes) = stream.read_exact(Box::new([0; N])).await;
    res.map(|_| *bytes)
}

/// One method for each pair of a number's type and its order of bytes.
macro_rules! numbers {
    ($($order:literal $from:ident: $($name:ident $number:ty),*;)*) => {$($(
        #[doc = concat!("Reads a ", $order, "-endian `", stringify!($number), "`.")]
        ///
        /// # Errors
        /// `UnexpectedEof` if the stream ends within it, or whatever stopped the stream.
        ///
        /// # Cancellation
        /// **Lossy**: bytes that were already taken from the stream are gone.
        fn $name(&mut self) -> impl Future<Output = io::Result<$number>> {
            async move { array(self).await.map(<$number>::$from) }
        }
    )*)*};
}

/// What every [`AsyncReadRent`] can do.
pub trait AsyncReadRentExt: AsyncReadRent {
    /// Reads until `buf` is full: to its [`bytes_total`](IoBufMut::bytes_total), which for a `Vec` is its capacity.
    ///
    /// Allocates nothing. Interrupted reads are repeated.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends before; `InvalidData` if the stream reports more than it read; or whatever
    /// stopped it. The buffer then holds what was read before.
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were already taken from the stream go with the buffer.
    fn read_exact<T: IoBufMut + 'static>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        async move {
            let mut rest = Rest::new(buf);
            while rest.bytes_total() > 0 {
                let (res, back) = self.read(rest).await;
                rest = back;
                match step(res, rest.told(), ErrorKind::UnexpectedEof) {
                    Ok(n) => rest.advance(n),
                    Err(e) => return (Err(e), rest.into_inner()),
                }
            }
            (Ok(rest.done()), rest.into_inner())
        }
    }

    /// Reads until all parts of `buf` are full.
    ///
    /// Copies the array of parts once; interrupted reads are repeated. [`set_init`](IoVecBufMut::set_init) is called at
    /// the end, for all that was read.
    ///
    /// # Errors
    /// As for [`read_exact`](AsyncReadRentExt::read_exact).
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were already taken from the stream go with the buffer.
    fn read_vectored_exact<T: IoVecBufMut + 'static>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        async move {
            let mut rest = VecRest::of_mut(buf);
            while rest.left() > 0 {
                let (res, back) = self.readv(rest).await;
                rest = back;
                match step(res, rest.told(), ErrorKind::UnexpectedEof) {
                    Ok(n) => rest.advance_told(n),
                    Err(e) => return (Err(e), rest.into_told()),
                }
            }
            (Ok(rest.done()), rest.into_told())
        }
    }

    numbers! {
        "big" from_be_bytes: read_u8 u8, read_u16 u16, read_u32 u32, read_u64 u64, read_u128 u128,
            read_i8 i8, read_i16 i16, read_i32 i32, read_i64 i64, read_i128 i128, read_f32 f32, read_f64 f64;
        "little" from_le_bytes: read_u8_le u8, read_u16_le u16, read_u32_le u32, read_u64_le u64, read_u128_le u128,
            read_i8_le i8, read_i16_le i16, read_i32_le i32, read_i64_le i64, read_i128_le i128,
            read_f32_le f32, read_f64_le f64;
    }
}

impl<A: AsyncReadRent + ?Sized> AsyncReadRentExt for A {}

/// What every [`AsyncWriteRent`] can do.
pub trait AsyncWriteRentExt: AsyncWriteRent {
    /// Writes all of `buf`.
    ///
    /// Allocates nothing. Interrupted writes are repeated.
    ///
    /// # Errors
    /// `WriteZero` if the stream takes no more; `InvalidData` if it reports more than it was given; or whatever stopped
    /// it. Some of the bytes may have been written before.
    ///
    /// # Cancellation
    /// **Lossy**: an unknown part of the buffer is written, and the rest is not.
    #[inline]
    fn write_all<T: IoBuf + 'static>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.write_whole(buf)
    }

    /// Writes all parts of `buf_vec`.
    ///
    /// Copies the array of parts once; interrupted writes are repeated.
    ///
    /// # Errors
    /// As for [`write_all`](AsyncWriteRentExt::write_all).
    ///
    /// # Cancellation
    /// **Lossy**: an unknown part of the buffer is written, and the rest is not.
    fn write_vectored_all<T: IoVecBuf + 'static>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        async move {
            let mut rest = VecRest::of(buf_vec);
            while rest.left() > 0 {
                let (res, back) = self.writev(rest).await;
                rest = back;
                match step(res, rest.left(), ErrorKind::WriteZero) {
                    Ok(n) => rest.advance(n),
                    Err(e) => return (Err(e), rest.into_inner()),
                }
            }
            (Ok(rest.done()), rest.into_inner())
        }
    }
}

impl<A: AsyncWriteRent + ?Sized> AsyncWriteRentExt for A {}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, io::Cursor};

    use super::*;
    use crate::{
        buf::{RawBuf, VecBuf, parts},
        io::memory::tests::block_on,
    };

    /// Red when a socket's way is not the shorter one, by what its future takes.
    #[crate::test]
    async fn the_way_of_a_socket_is_shorter() {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut stream = crate::net::UnixStream::from_std(a).unwrap();
        let steps = size_of_val(&crate::io::traits::write_in_steps(&mut stream, Vec::new()));
        let whole = size_of_val(&stream.write_all(Vec::new()));
        assert!(2 * whole < steps, "{whole} and {steps} bytes");
    }

    const TEXT: &[u8] = b"abcdefghij";

    /// A stream that gives and takes as much per call as the script says, and does what it says else.
    struct Scripted {
        data: VecDeque<u8>,
        steps: VecDeque<io::Result<usize>>,
    }

    impl Scripted {
        fn reader(steps: impl IntoIterator<Item = io::Result<usize>>) -> Self {
            Self { data: TEXT.iter().copied().collect(), steps: steps.into_iter().collect() }
        }

        fn writer(steps: impl IntoIterator<Item = io::Result<usize>>) -> Self {
            Self { data: VecDeque::new(), ..Self::reader(steps) }
        }

        /// How many bytes this call may transfer: after the script, all.
        fn step(&mut self) -> io::Result<usize> {
            self.steps.pop_front().unwrap_or(Ok(usize::MAX))
        }

        fn taken(self) -> Vec<u8> {
            self.data.into()
        }
    }

    impl AsyncReadRent for Scripted {
        async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            match self.step() {
                Ok(n) => {
                    let n = n.min(self.data.len());
                    let mut now = &self.data.make_contiguous()[..n];
                    let out = now.read(buf).await;
                    let taken = n - now.len();
                    self.data.drain(..taken);
                    out
                }
                Err(e) => (Err(e), buf),
            }
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            match self.step() {
                Ok(n) => {
                    let n = n.min(self.data.len());
                    let mut now = &self.data.make_contiguous()[..n];
                    let out = now.readv(buf).await;
                    let taken = n - now.len();
                    self.data.drain(..taken);
                    out
                }
                Err(e) => (Err(e), buf),
            }
        }
    }

    impl AsyncWriteRent for Scripted {
        async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
            let res = self.step().map(|n| n.min(buf.bytes_init()));
            if let Ok(n) = res {
                self.data.extend(&buf.as_slice()[..n]);
            }
            (res, buf)
        }

        async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
            let all = parts(&buf_vec).collect::<Vec<_>>().concat();
            let res = self.step().map(|n| n.min(all.len()));
            if let Ok(n) = res {
                self.data.extend(&all[..n]);
            }
            (res, buf_vec)
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream that transfers nothing and says that it did.
    struct Liar;

    impl AsyncReadRent for Liar {
        async fn read<T: IoBufMut>(&mut self, mut buf: T) -> BufResult<usize, T> {
            (Ok(buf.bytes_total()), buf)
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(3), buf)
        }
    }

    impl AsyncWriteRent for Liar {
        async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(buf.bytes_init() + 1), buf)
        }

        async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
            (Ok(usize::MAX), buf_vec)
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The text in parts of 3, 0, 1, 4, 0 and 2 bytes.
    fn in_parts() -> VecBuf {
        VecBuf::from([&TEXT[..3], b"", &TEXT[3..4], &TEXT[4..8], b"", &TEXT[8..]].map(<[u8]>::to_vec).to_vec())
    }

    /// As many zeros, in parts of the same lengths.
    fn room_in_parts() -> VecBuf {
        VecBuf::from([3, 0, 1, 4, 0, 2].map(|n| vec![0u8; n]).to_vec())
    }

    fn kind<T, B>((res, buf): BufResult<T, B>) -> (ErrorKind, B) {
        (res.err().expect("an error").kind(), buf)
    }

    /// Every way to cut the text in three, with an interruption between.
    fn scripts() -> impl Iterator<Item = [io::Result<usize>; 3]> {
        let interrupted = || Err(ErrorKind::Interrupted.into());
        (1..TEXT.len()).flat_map(move |a| (1..=TEXT.len() - a).map(move |b| [Ok(a), interrupted(), Ok(b)]))
    }

    #[test]
    fn whole_transfers_survive_every_split() {
        assert_eq!(scripts().count(), 45);
        for script in scripts() {
            let (res, buf) = block_on(Scripted::reader(script).read_exact(Vec::with_capacity(TEXT.len())));
            assert_eq!((res.unwrap(), &buf[..]), (10, TEXT));
        }
        for script in scripts() {
            let (res, buf) = block_on(Scripted::reader(script).read_vectored_exact(room_in_parts()));
            assert_eq!((res.unwrap(), Vec::from(buf).concat()), (10, TEXT.to_vec()));
        }
        for script in scripts() {
            let mut writer = Scripted::writer(script);
            let (res, buf) = block_on(writer.write_all(TEXT));
            assert_eq!((res.unwrap(), buf, &writer.taken()[..]), (10, TEXT, TEXT));
        }
        for script in scripts() {
            let mut writer = Scripted::writer(script);
            let (res, buf) = block_on(writer.write_vectored_all(in_parts()));
            assert_eq!((res.unwrap(), Vec::from(buf).concat(), &writer.taken()[..]), (10, TEXT.to_vec(), TEXT));
        }
    }

    #[test]
    fn the_end_of_a_stream_gives_the_buffer_back() {
        let (why, buf) = kind(block_on((&TEXT[..]).read_exact(Vec::with_capacity(11))));
        assert_eq!((why, &buf[..]), (ErrorKind::UnexpectedEof, TEXT));
        let more = VecBuf::from(vec![vec![0; 8], vec![0; 8], vec![0; 8]]);
        let (why, buf) = kind(block_on((&TEXT[..]).read_vectored_exact(more)));
        assert_eq!(why, ErrorKind::UnexpectedEof);
        assert_eq!(Vec::from(buf), [&TEXT[..8], &TEXT[8..], &[0; 8]]);
        let (why, buf) = kind(block_on((&b""[..]).read_vectored_exact(room_in_parts())));
        assert_eq!((why, Vec::from(buf).concat().len()), (ErrorKind::UnexpectedEof, 10));
    }

    #[test]
    fn a_full_writer_gives_the_buffer_back() {
        let mut six = Cursor::new([0u8; 6]);
        assert_eq!(kind(block_on(six.write_all(TEXT))), (ErrorKind::WriteZero, TEXT));
        assert_eq!(six.get_ref(), &TEXT[..6]);
        let mut six = Cursor::new([0u8; 6]);
        let (why, buf) = kind(block_on(six.write_vectored_all(in_parts())));
        assert_eq!((why, Vec::from(buf).concat()), (ErrorKind::WriteZero, TEXT.to_vec()));
        assert_eq!(six.get_ref(), &TEXT[..6]);
    }

    #[test]
    fn an_error_on_the_way_gives_the_buffer_back() {
        let script = || [Ok(4), Err(ErrorKind::ConnectionReset.into())];
        let (why, buf) = kind(block_on(Scripted::reader(script()).read_exact(Vec::with_capacity(10))));
        assert_eq!((why, &buf[..]), (ErrorKind::ConnectionReset, &TEXT[..4]));
        let (why, buf) = kind(block_on(Scripted::reader(script()).read_vectored_exact(room_in_parts())));
        assert_eq!((why, Vec::from(buf).concat()), (ErrorKind::ConnectionReset, b"abcd\0\0\0\0\0\0".to_vec()));
        assert_eq!(kind(block_on(Scripted::writer(script()).write_all(TEXT))), (ErrorKind::ConnectionReset, TEXT));
        let (why, buf) = kind(block_on(Scripted::writer(script()).write_vectored_all(in_parts())));
        assert_eq!((why, Vec::from(buf).concat()), (ErrorKind::ConnectionReset, TEXT.to_vec()));
    }

    #[test]
    fn nothing_to_do_asks_the_stream_for_nothing() {
        let fail = || Scripted::reader([Err(ErrorKind::Other.into())]);
        assert_eq!(block_on(fail().read_exact(Vec::new())).0.unwrap(), 0);
        assert_eq!(block_on(fail().read_vectored_exact(VecBuf::from(vec![vec![]]))).0.unwrap(), 0);
        assert_eq!(block_on(fail().write_all("")).0.unwrap(), 0);
        assert_eq!(block_on(fail().write_vectored_all(VecBuf::from(vec![]))).0.unwrap(), 0);
        // SAFETY: an empty raw buffer names no memory.
        let null = unsafe { RawBuf::uninit() };
        assert_eq!(block_on(fail().read_exact(null)).0.unwrap(), 0);
    }

    #[test]
    fn a_stream_that_lies_is_not_believed() {
        let (why, buf) = kind(block_on(Liar.read_exact(Vec::with_capacity(8))));
        assert_eq!((why, buf.len()), (ErrorKind::InvalidData, 0), "garbage must not count as read");
        let (why, buf) = kind(block_on(Liar.read_vectored_exact(room_in_parts())));
        assert_eq!((why, Vec::from(buf).concat()), (ErrorKind::InvalidData, vec![0; 10]));
        assert_eq!(kind(block_on(Liar.write_all("abc"))), (ErrorKind::InvalidData, "abc"));
        assert_eq!(kind(block_on(Liar.write_vectored_all(in_parts()))).0, ErrorKind::InvalidData);
    }

    /// Each method against what std makes of the same bytes.
    macro_rules! agree {
        ($($name:ident $number:ident $from:ident;)*) => {$({
            const N: usize = size_of::<$number>();
            let bytes: [u8; N] = std::array::from_fn(|i| 0x81 + 7 * i as u8);
            let mut stream: &[u8] = &[&bytes[..], b"rest"].concat();
            let number: $number = block_on(stream.$name()).unwrap();
            assert_eq!(number.to_ne_bytes(), $number::$from(bytes).to_ne_bytes(), stringify!($name));
            assert_eq!(stream, b"rest", stringify!($name));
            let short = block_on((&bytes[1..]).$name()).unwrap_err();
            assert_eq!(short.kind(), ErrorKind::UnexpectedEof, stringify!($name));
        })*};
    }

    #[test]
    fn numbers_are_what_std_says() {
        agree! {
            read_u8 u8 from_be_bytes; read_u16 u16 from_be_bytes; read_u32 u32 from_be_bytes;
            read_u64 u64 from_be_bytes; read_u128 u128 from_be_bytes; read_i8 i8 from_be_bytes;
            read_i16 i16 from_be_bytes; read_i32 i32 from_be_bytes; read_i64 i64 from_be_bytes;
            read_i128 i128 from_be_bytes; read_f32 f32 from_be_bytes; read_f64 f64 from_be_bytes;
            read_u8_le u8 from_le_bytes; read_u16_le u16 from_le_bytes; read_u32_le u32 from_le_bytes;
            read_u64_le u64 from_le_bytes; read_u128_le u128 from_le_bytes; read_i8_le i8 from_le_bytes;
            read_i16_le i16 from_le_bytes; read_i32_le i32 from_le_bytes; read_i64_le i64 from_le_bytes;
            read_i128_le i128 from_le_bytes; read_f32_le f32 from_le_bytes; read_f64_le f64 from_le_bytes;
        }
    }
}
