//! A writer that holds small writes back.

use super::{
    AsyncBufRead, AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent,
    buf_reader::CAPACITY,
};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, overclaim, parts};
use std::{
    future::Future,
    io::{self, ErrorKind},
    mem::take,
};

/// Holds up to 8 KiB back, so that many small writes are one to `W`.
///
/// What is held goes out when more does not fit, at [`flush`](AsyncWriteRent::flush) and at
/// [`shutdown`](AsyncWriteRent::shutdown), and not when this is dropped: flush before. Writes as large as the buffer
/// are not copied. After an error the rest is still held, and nothing of it is sent twice.
///
/// When a future is dropped that was writing what was held, nobody knows how much of it went out. Every later write
/// answers an error then: to go on would leave a hole. An [early end](super::EarlyEnd) keeps the account.
///
/// ```
/// use annulus::io::{AsyncWriteRent, AsyncWriteRentExt, BufWriter};
///
/// # annulus::run(async {
/// let mut writer = BufWriter::new(Vec::new());
/// writer.write_all("hello ").await.0?;
/// writer.write_all("world").await.0?;
/// assert!(writer.get_ref().is_empty());
/// writer.flush().await?;
/// assert_eq!(writer.into_inner(), b"hello world");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct BufWriter<W> {
    inner: W,
    buf: Vec<u8>,
    /// How much of it went out.
    pos: usize,
    capacity: usize,
    /// It is being written, or was when the future was dropped.
    lent: bool,
}

impl<W> BufWriter<W> {
    /// Holds up to 8 KiB back.
    pub fn new(inner: W) -> BufWriter<W> {
        BufWriter::with_capacity(CAPACITY, inner)
    }

    /// Holds up to `capacity` bytes back.
    pub fn with_capacity(capacity: usize, inner: W) -> BufWriter<W> {
        BufWriter { inner, buf: Vec::new(), pos: 0, capacity, lent: false }
    }

    /// The stream below.
    pub const fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The stream below. What is written to it directly overtakes what is held here.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The stream below; what is held here is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// What is held and has not gone out; nothing after a write that was dropped half-way.
    pub fn buffer(&self) -> &[u8] {
        self.buf.get(self.pos..).unwrap_or_default()
    }
}

impl<W: AsyncWriteRent> BufWriter<W> {
    /// Sends what is held.
    async fn send(&mut self) -> io::Result<()> {
        if self.lent {
            return Err(io::Error::other("a write was dropped half-way, and nobody knows what of it went out"));
        }
        while self.pos < self.buf.len() {
            self.lent = true;
            let (res, part) = self.inner.write(take(&mut self.buf).slice(self.pos..)).await;
            self.buf = part.into_inner();
            self.lent = false;
            let left = self.buf.len() - self.pos;
            match res {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) if n > left => return Err(overclaim(n, left)),
                Ok(n) => self.pos += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.buf.clear();
        self.pos = 0;
        Ok(())
    }

    /// Makes room for so many bytes; more than it can hold go past it, when nothing is held.
    async fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if self.lent || bytes > self.capacity.saturating_sub(self.buf.len()) {
            self.send().await?;
        }
        if self.buf.capacity() == 0 && bytes < self.capacity {
            self.buf.reserve_exact(self.capacity);
        }
        Ok(())
    }
}

impl<W: AsyncWriteRent> AsyncWriteRent for BufWriter<W> {
    async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
        let bytes = buf.bytes_init();
        if let Err(e) = self.make_room(bytes).await {
            return (Err(e), buf);
        }
        if bytes >= self.capacity && self.buf.is_empty() {
            return self.inner.write(buf).await;
        }
        self.buf.extend_from_slice(buf.as_slice());
        (Ok(bytes), buf)
    }

    async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
        let bytes = parts(&buf_vec).map(<[u8]>::len).fold(0, usize::saturating_add);
        if let Err(e) = self.make_room(bytes).await {
            return (Err(e), buf_vec);
        }
        if bytes >= self.capacity && self.buf.is_empty() {
            return self.inner.writev(buf_vec).await;
        }
        parts(&buf_vec).for_each(|part| self.buf.extend_from_slice(part));
        (Ok(bytes), buf_vec)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.send().await?;
        self.inner.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.send().await?;
        self.inner.shutdown().await
    }
}

impl<W: AsyncReadRent> AsyncReadRent for BufWriter<W> {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.inner.read(buf)
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.inner.readv(buf)
    }
}

impl<W: AsyncBufRead> AsyncBufRead for BufWriter<W> {
    fn fill_buf(&mut self) -> impl Future<Output = io::Result<&[u8]>> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amt: usize) {
        self.inner.consume(amt);
    }
}

impl<W: CancelableAsyncReadRent> CancelableAsyncReadRent for BufWriter<W> {}
impl<W: CancelableAsyncWriteRent> CancelableAsyncWriteRent for BufWriter<W> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, BufReader, memory::tests::block_on},
        net::{TcpListener, TcpStream},
        testing::poll_once,
    };

    #[crate::test]
    async fn small_writes_are_held_and_large_ones_pass() {
        let mut writer = BufWriter::with_capacity(4, Vec::new());
        assert_eq!(writer.write("ab").await.0.unwrap(), 2);
        let parts = |all: &[&str]| VecBuf::from(all.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(writer.writev(parts(&["c", "", "d"])).await.0.unwrap(), 2);
        assert_eq!((writer.buffer(), writer.get_ref().len()), (&b"abcd"[..], 0));
        assert_eq!(writer.write("e").await.0.unwrap(), 1);
        assert_eq!((writer.buffer(), &writer.get_ref()[..]), (&b"e"[..], &b"abcd"[..]));
        assert_eq!(writer.write("fghij").await.0.unwrap(), 5);
        assert_eq!((writer.buffer(), &writer.get_ref()[..]), (&b""[..], &b"abcdefghij"[..]));
        assert_eq!(writer.writev(parts(&["k", "lm", "no"])).await.0.unwrap(), 5);
        assert_eq!(writer.write("").await.0.unwrap(), 0);
        writer.write("p").await.0.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(writer.into_inner(), b"abcdefghijklmnop");
    }

    /// Takes a byte at a time, and fails at each second call.
    struct Stubborn(Vec<u8>, bool);

    impl AsyncWriteRent for Stubborn {
        async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
            self.1 = !self.1;
            if !self.1 {
                return (Err(ErrorKind::ConnectionReset.into()), buf);
            }
            self.0.extend(buf.as_slice().first());
            (Ok(1), buf)
        }

        async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
            (Err(ErrorKind::Unsupported.into()), buf_vec)
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Red when a flush that is tried again begins from the front.
    #[test]
    fn nothing_is_sent_twice_after_an_error() {
        let mut writer = BufWriter::new(Stubborn(Vec::new(), false));
        block_on(writer.write("abcd")).0.unwrap();
        let tries = (0..9).take_while(|_| block_on(writer.flush()).is_err()).count();
        assert_eq!((tries, &writer.get_ref().0[..], writer.buffer()), (3, &b"abcd"[..], &b""[..]));
    }

    /// Red when a write after a dropped one panics, or leaves a hole without a word.
    #[crate::test]
    async fn a_dropped_flush_is_not_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut b, _) = listener.accept().await.unwrap();
        let mut writer = BufWriter::with_capacity(64 << 20, a);
        writer.write(vec![7; 32 << 20]).await.0.unwrap();
        {
            let mut flushing = Box::pin(writer.flush());
            poll_once(&mut flushing).await;
        }
        let (res, back) = writer.write("more").await;
        assert!(res.unwrap_err().to_string().contains("nobody knows"));
        assert_eq!((back, writer.buffer()), ("more", &[][..]));
        writer.flush().await.unwrap_err();
        writer.shutdown().await.unwrap_err();
        drop(writer);
        while b.read(Vec::with_capacity(1 << 20)).await.0.is_ok_and(|n| n > 0) {}
    }

    #[test]
    fn reads_pass_through() {
        let mut both = BufWriter::new(BufReader::new(&b"\x01\x02\x03rest"[..]));
        assert_eq!(block_on(both.read_u8()).unwrap(), 1);
        let (res, parts) = block_on(both.readv(VecBuf::from(vec![vec![0; 1]])));
        assert_eq!((res.unwrap(), Vec::from(parts)), (1, vec![vec![2]]));
        both.consume(1);
        assert_eq!(block_on(both.fill_buf()).unwrap(), b"rest");
    }
}
