//! A reader that reads ahead.

use super::{AsyncBufRead, AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, iovecs_mut, overclaim};
use std::{future::Future, io, mem::take};

/// Reads from `R` as much as there is and up to 8 KiB, and gives it in pieces.
///
/// What is asked for in pieces as large as the buffer goes to the caller's own, without being copied. Writes go to the
/// stream below as they are.
///
/// ```
/// use annulus::io::{AsyncBufReadExt, BufReader};
///
/// # annulus::run(async {
/// let mut reader = BufReader::new(&b"one\ntwo"[..]);
/// let mut line = String::new();
/// while reader.read_line(&mut line).await? > 0 {}
/// assert_eq!(line, "one\ntwo");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct BufReader<R> {
    inner: R,
    /// Empty, and without memory, while it is lent and after a read was dropped.
    buf: Vec<u8>,
    /// How much of it was given.
    pos: usize,
    capacity: usize,
}

/// How much is read ahead.
pub(super) const CAPACITY: usize = 8 * 1024;

impl<R> BufReader<R> {
    /// Reads up to 8 KiB ahead.
    pub fn new(inner: R) -> BufReader<R> {
        BufReader::with_capacity(CAPACITY, inner)
    }

    /// Reads up to `capacity` bytes ahead, and at least one.
    pub fn with_capacity(capacity: usize, inner: R) -> BufReader<R> {
        BufReader { inner, buf: Vec::new(), pos: 0, capacity: capacity.max(1) }
    }

    /// The stream below.
    pub const fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The stream below. What is read from it directly is behind what is held here.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The stream below; what is held here is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// What was read and not given yet.
    pub fn buffer(&self) -> &[u8] {
        &self.buf[self.pos..]
    }
}

impl<R: AsyncReadRent> BufReader<R> {
    /// Reads ahead, if nothing is held.
    async fn fill(&mut self) -> io::Result<()> {
        if self.pos < self.buf.len() {
            return Ok(());
        }
        let mut buf = take(&mut self.buf);
        self.pos = 0;
        buf.clear();
        buf.reserve_exact(self.capacity);
        let (res, buf) = self.inner.read(buf).await;
        self.buf = buf;
        match res? {
            n if n > self.buf.len() => Err(overclaim(n, self.buf.len())),
            _ => Ok(()),
        }
    }
}

impl<R: AsyncReadRent> AsyncReadRent for BufReader<R> {
    async fn read<T: IoBufMut>(&mut self, mut buf: T) -> BufResult<usize, T> {
        let room = buf.bytes_total();
        if self.buffer().is_empty() && room >= self.capacity {
            return self.inner.read(buf).await;
        }
        if room > 0 {
            if let Err(e) = self.fill().await {
                return (Err(e), buf);
            }
        }
        let mut held = self.buffer();
        let (res, buf) = held.read(buf).await;
        self.pos = self.buf.len() - held.len();
        (res, buf)
    }

    async fn readv<T: IoVecBufMut>(&mut self, mut buf: T) -> BufResult<usize, T> {
        let room = iovecs_mut(&mut buf).iter().map(|part| part.iov_len).fold(0, usize::saturating_add);
        if self.buffer().is_empty() && room >= self.capacity {
            return self.inner.readv(buf).await;
        }
        if room > 0 {
            if let Err(e) = self.fill().await {
                return (Err(e), buf);
            }
        }
        let mut held = self.buffer();
        let (res, buf) = held.readv(buf).await;
        self.pos = self.buf.len() - held.len();
        (res, buf)
    }
}

impl<R: AsyncReadRent> AsyncBufRead for BufReader<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill().await?;
        Ok(self.buffer())
    }

    fn consume(&mut self, amt: usize) {
        self.pos = self.pos.saturating_add(amt).min(self.buf.len());
    }
}

impl<R: AsyncWriteRent> AsyncWriteRent for BufReader<R> {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.inner.write(buf)
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.inner.writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.inner.flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.inner.shutdown()
    }
}

impl<R: CancelableAsyncReadRent> CancelableAsyncReadRent for BufReader<R> {}
impl<R: CancelableAsyncWriteRent> CancelableAsyncWriteRent for BufReader<R> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncBufReadExt, AsyncReadRentExt, AsyncWriteRentExt, CancelHandle, Canceller},
        net::{TcpListener, TcpStream},
        testing::poll_once,
    };
    use std::io::ErrorKind;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[crate::test]
    async fn pieces_are_given_of_what_was_read_at_once() {
        let mut reader = BufReader::with_capacity(4, &b"abcdefghijklm"[..]);
        assert_eq!(reader.read(Vec::with_capacity(3)).await.1, b"abc");
        assert_eq!((reader.buffer(), reader.get_ref().len()), (&b"d"[..], 9));
        assert_eq!(reader.read(Vec::with_capacity(9)).await.1, b"d", "what is held comes first");
        assert_eq!(reader.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(reader.get_ref().len(), 9, "without room nothing is read");
        let (res, parts) = reader.readv(VecBuf::from(vec![vec![0; 1], vec![0; 2]])).await;
        assert_eq!((res.unwrap(), Vec::from(parts)), (3, vec![b"e".to_vec(), b"fg".to_vec()]));
        assert_eq!(reader.buffer(), b"h");
        reader.consume(9);
        let (res, parts) = reader.readv(VecBuf::from(vec![vec![0; 2], vec![0; 3]])).await;
        assert_eq!((res.unwrap(), Vec::from(parts).concat()), (5, b"ijklm".to_vec()), "all parts, past the buffer");
        assert_eq!(reader.fill_buf().await.unwrap(), b"");
        assert_eq!(reader.into_inner(), b"");
    }

    #[crate::test]
    async fn lines_and_parts_end_where_told() {
        let mut reader = BufReader::with_capacity(2, &b"one\ntwo;three\nfour"[..]);
        let (mut line, mut part) = (String::from("> "), Vec::new());
        assert_eq!(reader.read_line(&mut line).await.unwrap(), 4);
        assert_eq!(reader.read_until(b';', &mut part).await.unwrap(), 4);
        assert_eq!((line.as_str(), &part[..]), ("> one\n", &b"two;"[..]));
        for (n, now) in [(6, "> one\nthree\n"), (4, "> one\nthree\nfour"), (0, "> one\nthree\nfour")] {
            assert_eq!((reader.read_line(&mut line).await.unwrap(), line.as_str()), (n, now));
        }
        let mut reader = BufReader::new(&b"\xff\xfe\nrest"[..]);
        assert_eq!(reader.read_line(&mut line).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!((line.len(), reader.buffer()), (16, &b"rest"[..]));
    }

    /// Red when a buffer that went down with a dropped read is missed.
    #[crate::test]
    async fn it_goes_on_after_a_read_was_dropped() {
        let (mut a, b) = pair().await;
        let mut reader = BufReader::new(b);
        {
            let mut reading = Box::pin(reader.read_u16());
            poll_once(&mut reading).await;
        }
        crate::testing::settle().await;
        a.write_all(b"\x01\x02\x03").await.0.unwrap();
        assert_eq!(reader.read_u16().await.unwrap(), 0x102);
        assert_eq!(reader.buffer(), b"\x03");
    }

    /// Red when what came before an early end is lost.
    #[crate::test]
    async fn an_early_end_keeps_everything() {
        let (mut a, b) = pair().await;
        let mut reader = BufReader::new(b);
        let (canceller, gone) = (Canceller::new(), Canceller::new());
        let handle: CancelHandle = gone.handle();
        gone.cancel();
        let (res, buf) = reader.cancelable_read(vec![7; 3], handle).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::ECANCELED), vec![7; 3]));
        a.write_all("there").await.0.unwrap();
        let (res, buf) = reader.cancelable_read(Vec::with_capacity(3), canceller.handle()).await;
        assert_eq!((res.unwrap(), &buf[..], reader.buffer()), (3, &b"the"[..], &b"re"[..]));
        reader.write_all("back").await.0.unwrap();
        assert_eq!(a.read_exact(vec![0; 4]).await.1, b"back");
    }

    /// Says that it has read, and has not.
    struct Liar;

    impl AsyncReadRent for Liar {
        async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(5), buf)
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Ok(5), buf)
        }
    }

    #[crate::test]
    async fn a_liar_is_not_believed() {
        let mut reader = BufReader::new(Liar);
        assert_eq!(reader.fill_buf().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(reader.read(Vec::with_capacity(3)).await.0.unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
