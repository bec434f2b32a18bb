//! A stream in two halves, to be read and written at the same time.
//!
//! Halves that are two mutable references to one stream would be undefined behaviour, however careful the stream is. So
//! a stream that can be split is one that reads and writes through shared references.

use super::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use std::{cell::UnsafeCell, error::Error, fmt, future::Future, io, rc::Rc};

/// A stream that can be read and written at the same time: its halves do it through shared references.
///
/// The methods mean what those of [`AsyncReadRent`] and [`AsyncWriteRent`] mean. At most one half reads and one writes;
/// what else is to happen if more do, an implementor decides, as long as it is safe.
pub trait Split {
    /// [`AsyncReadRent::read`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Lossy**: as there.
    fn shared_read<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// [`AsyncReadRent::readv`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Lossy**: as there.
    fn shared_readv<T: IoVecBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// [`AsyncWriteRent::write`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn shared_write<T: IoBuf>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>>;

    /// [`AsyncWriteRent::writev`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn shared_writev<T: IoVecBuf>(&self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>>;

    /// [`AsyncWriteRent::flush`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn shared_flush(&self) -> impl Future<Output = io::Result<()>>;

    /// [`AsyncWriteRent::shutdown`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancellation
    /// **Detached**: as there.
    fn shared_shutdown(&self) -> impl Future<Output = io::Result<()>>;

    /// Tells the other side that no more is coming, as far as that can be done at once: an [`OwnedWriteHalf`] that is
    /// dropped does it. Nothing, unless an implementor has something better.
    fn hang_up(&self) {}

    /// Two halves that borrow the stream: for two futures of one task.
    ///
    /// ```
    /// use annulus::io::{AsyncReadRent, AsyncWriteRentExt, Split};
    /// use annulus::net::{TcpListener, TcpStream};
    ///
    /// annulus::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (mut server, _) = listener.accept().await?;
    ///     annulus::spawn(async move { annulus::io::AsyncReadRentExt::read_u8(&mut server).await.unwrap();
    ///         server.write_all("pong").await });
    ///
    ///     let (mut reader, mut writer) = client.split();
    ///     let (read, written) = annulus::join!(reader.read(Vec::with_capacity(4)), writer.write_all("p"));
    ///     written.0?;
    ///     assert_eq!((read.0?, &read.1[..]), (4, &b"pong"[..]));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        (ReadHalf(self), WriteHalf(self))
    }
}

/// A stream that can be split by ownership.
pub trait Splitable {
    /// The half that is read.
    type OwnedRead;
    /// The half that is written.
    type OwnedWrite;

    /// Two halves that own the stream: for two tasks. It is closed when both are gone.
    fn into_split(self) -> (Self::OwnedRead, Self::OwnedWrite);
}

impl<T: Split> Splitable for T {
    type OwnedRead = OwnedReadHalf<T>;
    type OwnedWrite = OwnedWriteHalf<T>;

    fn into_split(self) -> (OwnedReadHalf<T>, OwnedWriteHalf<T>) {
        let stream = Rc::new(self);
        (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, hang_up: T::hang_up })
    }
}

/// The half of a stream that is read; made by [`Splitable::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf<T>(Rc<T>);

/// The half of a stream that is written; made by [`Splitable::into_split`].
///
/// Dropping it tells the other side that no more is coming ([`Split::hang_up`]): a TCP connection is shut down in this
/// direction.
pub struct OwnedWriteHalf<T> {
    stream: Rc<T>,
    hang_up: fn(&T),
}

/// The half of a stream that is read; made by [`Split::split`].
#[derive(Debug)]
pub struct ReadHalf<'a, T: ?Sized>(&'a T);

/// The half of a stream that is written; made by [`Split::split`]. Dropping it does nothing.
#[derive(Debug)]
pub struct WriteHalf<'a, T: ?Sized>(&'a T);

/// [`AsyncReadRent::reader`] of a stream that is read through shared references.
///
/// # Safety
/// While the half lives, nobody has an exclusive reference to the stream.
pub(crate) unsafe fn shared_reader<T: Split>(stream: &UnsafeCell<T>) -> ReadHalf<'_, T> {
    // SAFETY: Marked: this stream's halves make shared references alone.
    ReadHalf(unsafe { &*stream.get() })
}

/// [`AsyncWriteRent::writer`] of such a stream.
///
/// # Safety
/// As for [`shared_reader`].
pub(crate) unsafe fn shared_writer<T: Split>(stream: &UnsafeCell<T>) -> WriteHalf<'_, T> {
    // SAFETY: Marked: as in `shared_reader`, every reference is a shared one.
    WriteHalf(unsafe { &*stream.get() })
}

impl<T> OwnedReadHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream.
    pub fn reunite(self, other: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(self, other)
    }
}

impl<T> OwnedWriteHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream.
    pub fn reunite(self, other: OwnedReadHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(other, self)
    }

    /// Drops the half, and tells the other side nothing.
    pub fn forget(mut self) {
        self.hang_up = |_| {};
    }
}

fn reunite<T>(reader: OwnedReadHalf<T>, writer: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
    if !Rc::ptr_eq(&reader.0, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.forget();
    Ok(Rc::into_inner(reader.0).expect("a stream has two halves, and both were here"))
}

impl<T> Drop for OwnedWriteHalf<T> {
    fn drop(&mut self) {
        (self.hang_up)(&self.stream);
    }
}

/// Two halves that are not of one stream, given back by [`OwnedReadHalf::reunite`].
#[derive(Debug)]
pub struct ReuniteError<T>(pub OwnedReadHalf<T>, pub OwnedWriteHalf<T>);

impl<T> fmt::Display for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl<T: fmt::Debug> Error for ReuniteError<T> {}

impl<T: fmt::Debug> fmt::Debug for OwnedWriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedWriteHalf").field(&self.stream).finish()
    }
}

impl<T> AsRef<T> for OwnedReadHalf<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T> AsRef<T> for OwnedWriteHalf<T> {
    fn as_ref(&self) -> &T {
        &self.stream
    }
}

impl<T: ?Sized> AsRef<T> for ReadHalf<'_, T> {
    fn as_ref(&self) -> &T {
        self.0
    }
}

impl<T: ?Sized> AsRef<T> for WriteHalf<'_, T> {
    fn as_ref(&self) -> &T {
        self.0
    }
}

impl<T: Split> AsyncReadRent for OwnedReadHalf<T> {
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_read(buf)
    }

    fn readv<B: IoVecBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_readv(buf)
    }
}

impl<T: Split + ?Sized> AsyncReadRent for ReadHalf<'_, T> {
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_read(buf)
    }

    fn readv<B: IoVecBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_readv(buf)
    }
}

impl<T: Split> AsyncWriteRent for OwnedWriteHalf<T> {
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.stream.shared_write(buf)
    }

    fn writev<B: IoVecBuf>(&mut self, buf_vec: B) -> impl Future<Output = BufResult<usize, B>> {
        self.stream.shared_writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.stream.shared_flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.stream.shared_shutdown()
    }
}

impl<T: Split + ?Sized> AsyncWriteRent for WriteHalf<'_, T> {
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_write(buf)
    }

    fn writev<B: IoVecBuf>(&mut self, buf_vec: B) -> impl Future<Output = BufResult<usize, B>> {
        self.0.shared_writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.0.shared_flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.0.shared_shutdown()
    }
}

impl<T: Split> CancelableAsyncReadRent for OwnedReadHalf<T> {}
impl<T: Split> CancelableAsyncWriteRent for OwnedWriteHalf<T> {}
impl<T: Split + ?Sized> CancelableAsyncReadRent for ReadHalf<'_, T> {}
impl<T: Split + ?Sized> CancelableAsyncWriteRent for WriteHalf<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRentExt, AsyncWriteRentExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// More than the buffers between the two hold, both ways at once. Red when a half waits for the other.
    #[crate::test]
    async fn two_tasks_read_and_write_at_once() {
        const TOTAL: usize = 3 << 20;
        let (a, b) = pair().await;
        let mut tasks = Vec::new();
        for stream in [a, b] {
            let (mut reader, mut writer) = stream.into_split();
            tasks.push(crate::spawn(async move {
                let (n, _) = writer.write_all((0..TOTAL).map(|n| n as u8).collect::<Vec<_>>()).await;
                assert_eq!(n.unwrap(), TOTAL);
            }));
            tasks.push(crate::spawn(async move {
                let (n, buf) = reader.read_exact(Vec::with_capacity(TOTAL)).await;
                assert!(n.unwrap() == TOTAL && buf.iter().enumerate().all(|(n, &byte)| byte == n as u8));
                assert_eq!(reader.read(buf).await.0.unwrap(), 0, "the writer has hung up");
            }));
        }
        for task in tasks {
            timeout(Duration::from_secs(30), task).await.expect("a half waits for ever").unwrap();
        }
    }

    /// Red when a dropped half says nothing, or one that is forgotten or reunited says something.
    #[crate::test]
    async fn a_dropped_write_half_hangs_up() {
        let (a, mut b) = pair().await;
        let (reader, mut writer) = a.into_split();
        assert_eq!(reader.as_ref().local_addr().unwrap(), writer.as_ref().local_addr().unwrap());
        writer.write_all("last").await.0.unwrap();
        let mut a = reader.reunite(writer).unwrap();
        a.write_all("word").await.0.unwrap();
        let (reader, writer) = a.into_split();
        writer.forget();
        assert_eq!(b.read_exact(vec![0; 8]).await.1, b"lastword");
        assert!(timeout(Duration::from_millis(5), b.readable(false)).await.is_err(), "nobody has hung up");
        drop(reader);
        assert_eq!(timeout(SOON, b.read(vec![0; 8])).await.expect("it is not closed").0.unwrap(), 0);

        let (a, mut b) = pair().await;
        let (mut reader, writer) = a.into_split();
        drop(writer);
        assert_eq!(timeout(SOON, b.read(vec![0; 8])).await.expect("nobody has hung up").0.unwrap(), 0);
        b.write_all("still").await.0.unwrap();
        assert_eq!(reader.read(Vec::with_capacity(8)).await.1, b"still");
    }

    #[crate::test]
    async fn strangers_are_not_reunited() {
        let ((a, _a), (b, _b)) = (pair().await, pair().await);
        let ((reader, other), (stranger, writer)) = (a.into_split(), b.into_split());
        let ReuniteError(reader, writer) = reader.reunite(writer).unwrap_err();
        reader.reunite(other).unwrap();
        let (error, kept) = (writer.reunite(stranger), _b);
        error.unwrap();
        drop(kept);
    }

    #[crate::test]
    async fn a_borrowed_split_leaves_the_stream_as_it_was() {
        let (mut a, mut b) = pair().await;
        {
            let (mut reader, mut writer) = a.split();
            let both = async {
                let (read, written) = crate::join!(reader.read_exact(vec![0; 4]), writer.write_all("ping"));
                (read.1, written.0.unwrap())
            };
            let echo = async {
                let (_, buf) = b.read_exact(vec![0; 4]).await;
                b.write_all(buf).await.0.unwrap()
            };
            assert_eq!(crate::join!(both, echo).0, (b"ping".to_vec(), 4));
        }
        assert!(timeout(Duration::from_millis(5), b.readable(false)).await.is_err(), "nobody has hung up");
        a.write_all("more").await.0.unwrap();
        assert_eq!(b.read(Vec::with_capacity(8)).await.1, b"more");
    }
}
