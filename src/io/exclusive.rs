//! Streams that are read and written through exclusive references, in two halves; as monoio has them.
//!
//! The [`Split`](super::Split) of [`io`](super) is safe, since it reads and writes through shared references. Most
//! streams of others have no such methods, only those of [`AsyncReadRent`] and [`AsyncWriteRent`]. Whoever knows that
//! one of them can be written while it is read says so by the marker [`Split`] of this module, which is unsafe to
//! implement.
//!
//! The halves take turns: in a direction one call at a time, whoever has a share of the stream, and never one within
//! another. Those of annulus's own connections use shared references here, too.
//!
//! ```
//! use annulus::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
//! use annulus::io::exclusive::{Split, Splitable};
//! use annulus::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt};
//! use annulus::net::{TcpListener, TcpStream};
//!
//! /// Counts what is sent.
//! struct Counted { sent: u64, stream: TcpStream }
//! # impl AsyncReadRent for Counted {
//! #   fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> { self.stream.read(buf) }
//! #   fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
//! #       self.stream.readv(buf)
//! #   }
//! # }
//!
//! impl AsyncWriteRent for Counted {
//!     fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
//!         self.sent += 1;
//!         self.stream.write(buf)
//!     }
//!     // and so on
//! #   fn writev<T: IoVecBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
//! #       self.stream.writev(buf)
//! #   }
//! #   fn flush(&mut self) -> impl Future<Output = std::io::Result<()>> { self.stream.flush() }
//! #   fn shutdown(&mut self) -> impl Future<Output = std::io::Result<()>> { self.stream.shutdown() }
//! }
//!
//! // SAFETY: no future of the methods uses the reference: those of a `TcpStream` hold the descriptor.
//! unsafe impl Split for Counted {}
//!
//! annulus::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let stream = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut reader, mut writer) = Counted { sent: 0, stream }.into_split();
//!     let (mut server, _) = listener.accept().await?;
//!     annulus::spawn(async move {
//!         let (_, bytes) = server.read_exact(vec![0; 4]).await;
//!         server.write_all(bytes).await
//!     });
//!
//!     let (read, written) = annulus::join!(reader.read_exact(vec![0; 4]), writer.write_all("ping"));
//!     assert_eq!((read.1, written.0?), (b"ping".to_vec(), 4));
//!     assert!(reader.reunite(writer).is_ok_and(|whole| whole.sent == 1));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use super::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use std::{
    cell::{Cell, UnsafeCell},
    error::Error,
    fmt,
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    task::Poll,
};

/// A stream that can be written while it is read, each through an exclusive reference.
///
/// # Safety
/// The halves call its methods with references to the whole stream at a time. Who implements this promises that they
/// can stand that: while the future of one that reads (of [`AsyncReadRent`] or [`CancelableAsyncReadRent`]) lives, one
/// that writes may be called and its future polled, and the other way around; and a future may be dropped at any time.
/// So what the future of one refers to is nothing that the other uses.
///
/// Nothing else has to be promised: no two calls of one direction are in flight at a time, and none is begun or polled
/// while another is on the stack. A future may be dropped, though, while one is.
pub unsafe trait Split {}

/// A stream that can be split by ownership.
pub trait Splitable {
    /// The half that is read.
    type OwnedRead;
    /// The half that is written.
    type OwnedWrite;

    /// Two halves that own the stream. It is dropped when both are gone.
    fn into_split(self) -> (Self::OwnedRead, Self::OwnedWrite);
}

impl<T: Split + AsyncWriteRent> Splitable for T {
    type OwnedRead = OwnedReadHalf<T>;
    type OwnedWrite = OwnedWriteHalf<T>;

    fn into_split(self) -> (OwnedReadHalf<T>, OwnedWriteHalf<T>) {
        let shared = Rc::new(Shared {
            stream: UnsafeCell::new(self),
            reads: Cell::new(false),
            writes: Cell::new(false),
            entered: Cell::new(false),
            whole: Cell::new(false),
        });
        (OwnedReadHalf(shared.clone()), OwnedWriteHalf(shared))
    }
}

/// What two halves have in common. Only [`Splitable::into_split`] makes one, of a stream that is [`Split`].
pub struct Shared<T> {
    stream: UnsafeCell<T>,
    /// Somebody reads; who forgets the future does for ever.
    reads: Cell<bool>,
    /// Somebody writes.
    writes: Cell<bool>,
    /// Code of the stream is on the stack.
    entered: Cell<bool>,
    /// The halves are one again.
    whole: Cell<bool>,
}

impl<T> Shared<T> {
    /// The stream. Whoever uses the pointer sees to it that no half is at work meanwhile.
    pub fn get(&self) -> *mut T {
        self.stream.get()
    }

    fn read(self: &Rc<Self>) -> io::Result<Reading<T>> {
        if self.reads.replace(true) { Err(busy("read")) } else { Ok(Reading(self.clone())) }
    }

    fn write(self: &Rc<Self>) -> io::Result<Writing<T>> {
        if self.writes.replace(true) { Err(busy("write")) } else { Ok(Writing(self.clone())) }
    }

    /// A future that calls the stream, polled when no other is on the stack.
    async fn enter<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let poll = poll_fn(|cx| {
            if self.entered.replace(true) {
                // The other half is being polled, and has called us.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let _entered = Entered(&self.entered);
            future.as_mut().poll(cx)
        });
        poll.await
    }
}

fn busy(what: &str) -> io::Error {
    let text =
        format!("another {what} of this stream is in flight, or its future was forgotten: await or drop it first");
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

struct Entered<'a>(&'a Cell<bool>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The turn to read. There is one at a time, so its handle is the only one. It has a share of the stream, for there are
/// wrappers (monoio-compat's) that drop a half before a future of its.
struct Reading<T>(Rc<Shared<T>>);

impl<T: AsyncReadRent> Reading<T> {
    fn stream(&mut self) -> impl AsyncReadRent {
        // SAFETY: Marked: the stream is `Split`, this is the turn to read, and the handle lives no longer.
        unsafe { T::reader(&self.0.stream) }
    }
}

impl<T: CancelableAsyncReadRent> Reading<T> {
    fn cancelable(&mut self) -> impl CancelableAsyncReadRent {
        // SAFETY: Marked: as in `stream`, whose handle borrows the turn as this one does.
        unsafe { T::cancelable_reader(&self.0.stream) }
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.0.reads.set(false);
    }
}

/// The turn to write, likewise.
struct Writing<T>(Rc<Shared<T>>);

impl<T: AsyncWriteRent> Writing<T> {
    fn stream(&mut self) -> impl AsyncWriteRent {
        // SAFETY: Marked: the stream is `Split`, this is the turn to write, and the handle lives no longer.
        unsafe { T::writer(&self.0.stream) }
    }
}

impl<T: CancelableAsyncWriteRent> Writing<T> {
    fn cancelable(&mut self) -> impl CancelableAsyncWriteRent {
        // SAFETY: Marked: as in the other `stream`, whose handle borrows the turn as this one does.
        unsafe { T::cancelable_writer(&self.0.stream) }
    }
}

impl<T> Drop for Writing<T> {
    fn drop(&mut self) {
        self.0.writes.set(false);
    }
}

/// The half of a stream that is read. Its share of the stream is open: with a copy of it another half can be made, and
/// the two take turns. A read that finds another one in flight answers `ResourceBusy`, with its buffer.
pub struct OwnedReadHalf<T>(pub Rc<Shared<T>>);

/// The half of a stream that is written, likewise. Dropping it tells the other side of a connection of annulus's that
/// no more is coming, also if something was [put before it](super::PrefixedReadIo).
pub struct OwnedWriteHalf<T: AsyncWriteRent>(pub Rc<Shared<T>>);

/// Two halves that are not of one stream, or that others have shares of.
pub struct ReuniteError<T: AsyncWriteRent>(pub OwnedReadHalf<T>, pub OwnedWriteHalf<T>);

impl<T: AsyncWriteRent> OwnedReadHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream, or if there is a third share of it, as a forgotten future
    /// has one.
    pub fn reunite(self, other: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(self, other)
    }
}

impl<T: AsyncWriteRent> OwnedWriteHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream, or if there is a third share of it, as a forgotten future
    /// has one.
    pub fn reunite(self, other: OwnedReadHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(other, self)
    }
}

fn reunite<T: AsyncWriteRent>(reader: OwnedReadHalf<T>, writer: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
    if !Rc::ptr_eq(&reader.0, &writer.0) || Rc::strong_count(&reader.0) != 2 {
        return Err(ReuniteError(reader, writer));
    }
    reader.0.whole.set(true);
    drop(writer);
    Ok(Rc::into_inner(reader.0).expect("a stream has two halves, and both were here").stream.into_inner())
}

impl<T: AsyncWriteRent> Drop for OwnedWriteHalf<T> {
    fn drop(&mut self) {
        if !self.0.whole.get() {
            // SAFETY: Marked: the stream is `Split`, and this makes a shared reference at most, whoever is at work.
            unsafe { T::hang_up_at(&self.0.stream) };
        }
    }
}

impl<T: AsyncReadRent> AsyncReadRent for OwnedReadHalf<T> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        match self.0.read() {
            Ok(mut turn) => self.0.enter(async { turn.stream().read(buf).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }

    async fn readv<B: IoVecBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        match self.0.read() {
            Ok(mut turn) => self.0.enter(async { turn.stream().readv(buf).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }
}

impl<T: CancelableAsyncReadRent> CancelableAsyncReadRent for OwnedReadHalf<T> {
    async fn cancelable_read<B: IoBufMut>(&mut self, buf: B, c: CancelHandle) -> BufResult<usize, B> {
        match self.0.read() {
            Ok(mut turn) => self.0.enter(async { turn.cancelable().cancelable_read(buf, c).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }

    async fn cancelable_readv<B: IoVecBufMut>(&mut self, buf: B, c: CancelHandle) -> BufResult<usize, B> {
        match self.0.read() {
            Ok(mut turn) => self.0.enter(async { turn.cancelable().cancelable_readv(buf, c).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }
}

impl<T: AsyncWriteRent> AsyncWriteRent for OwnedWriteHalf<T> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        match self.0.write() {
            Ok(mut turn) => self.0.enter(async { turn.stream().write(buf).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }

    async fn writev<B: IoVecBuf>(&mut self, buf_vec: B) -> BufResult<usize, B> {
        match self.0.write() {
            Ok(mut turn) => self.0.enter(async { turn.stream().writev(buf_vec).await }).await,
            Err(busy) => (Err(busy), buf_vec),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut turn = self.0.write()?;
        self.0.enter(async { turn.stream().flush().await }).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        let mut turn = self.0.write()?;
        self.0.enter(async { turn.stream().shutdown().await }).await
    }
}

impl<T: CancelableAsyncWriteRent> CancelableAsyncWriteRent for OwnedWriteHalf<T> {
    async fn cancelable_write<B: IoBuf>(&mut self, buf: B, c: CancelHandle) -> BufResult<usize, B> {
        match self.0.write() {
            Ok(mut turn) => self.0.enter(async { turn.cancelable().cancelable_write(buf, c).await }).await,
            Err(busy) => (Err(busy), buf),
        }
    }

    async fn cancelable_writev<B: IoVecBuf>(&mut self, buf_vec: B, c: CancelHandle) -> BufResult<usize, B> {
        match self.0.write() {
            Ok(mut turn) => self.0.enter(async { turn.cancelable().cancelable_writev(buf_vec, c).await }).await,
            Err(busy) => (Err(busy), buf_vec),
        }
    }

    async fn cancelable_flush(&mut self, c: CancelHandle) -> io::Result<()> {
        let mut turn = self.0.write()?;
        self.0.enter(async { turn.cancelable().cancelable_flush(c).await }).await
    }

    async fn cancelable_shutdown(&mut self, c: CancelHandle) -> io::Result<()> {
        let mut turn = self.0.write()?;
        self.0.enter(async { turn.cancelable().cancelable_shutdown(c).await }).await
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("reads", &self.reads).field("writes", &self.writes).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for OwnedReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedReadHalf").field(&self.0).finish()
    }
}

impl<T: AsyncWriteRent> fmt::Debug for OwnedWriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedWriteHalf").field(&self.0).finish()
    }
}

impl<T: AsyncWriteRent> fmt::Debug for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError")
    }
}

impl<T: AsyncWriteRent> fmt::Display for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream, or somebody else has a share of it")
    }
}

impl<T: AsyncWriteRent> Error for ReuniteError<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, AsyncWriteRentExt, Canceller, PrefixedReadIo},
        net::{TcpListener, TcpStream, UnixStream},
        testing::{poll_once, settle},
        time::{sleep, timeout},
    };
    use std::{cell::RefCell, future::ready, io::ErrorKind, mem, time::Duration};

    const SOON: Duration = Duration::from_secs(5);
    const MS: Duration = Duration::from_millis(1);

    type Call = Box<dyn FnMut()>;

    /// A stream of somebody else's: it has no methods but those that take it for itself.
    struct Foreign {
        stream: UnixStream,
        /// How many of its methods are on the stack.
        depth: Rc<Cell<u32>>,
        /// What the methods that write call while they are polled.
        calls: Rc<RefCell<Option<Call>>>,
    }

    impl Foreign {
        fn pair() -> (Foreign, UnixStream) {
            let (stream, other) = UnixStream::pair().unwrap();
            (Foreign { stream, depth: Rc::default(), calls: Rc::default() }, other)
        }
    }

    impl AsyncReadRent for Foreign {
        fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
            let (depth, reading) = (self.depth.clone(), crate::io::Split::shared_read(&self.stream, buf));
            async move {
                let mut reading = pin!(reading);
                poll_fn(|cx| {
                    assert_eq!(depth.replace(1), 0, "one method was polled within the other");
                    let polled = reading.as_mut().poll(cx);
                    depth.set(0);
                    polled
                })
                .await
            }
        }

        fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
            self.stream.readv(buf)
        }
    }

    impl AsyncWriteRent for Foreign {
        fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
            let (depth, calls, writing) =
                (self.depth.clone(), self.calls.clone(), crate::io::Split::shared_write(&self.stream, buf));
            async move {
                depth.set(1);
                if let Some(call) = &mut *calls.borrow_mut() {
                    call();
                }
                depth.set(0);
                writing.await
            }
        }

        fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
            self.stream.writev(buf_vec)
        }

        fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
            self.stream.flush()
        }

        fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
            self.stream.shutdown()
        }
    }

    /// Cancelled, it says so in its own words.
    impl CancelableAsyncReadRent for Foreign {
        async fn cancelable_read<T: IoBufMut>(&mut self, buf: T, _: CancelHandle) -> BufResult<usize, T> {
            (Err(own()), buf)
        }

        async fn cancelable_readv<T: IoVecBufMut>(&mut self, buf: T, _: CancelHandle) -> BufResult<usize, T> {
            (Err(own()), buf)
        }
    }

    impl CancelableAsyncWriteRent for Foreign {
        async fn cancelable_write<T: IoBuf>(&mut self, buf: T, _: CancelHandle) -> BufResult<usize, T> {
            (Err(own()), buf)
        }

        async fn cancelable_writev<T: IoVecBuf>(&mut self, buf_vec: T, _: CancelHandle) -> BufResult<usize, T> {
            (Err(own()), buf_vec)
        }

        fn cancelable_flush(&mut self, _: CancelHandle) -> impl Future<Output = io::Result<()>> {
            ready(Err(own()))
        }

        fn cancelable_shutdown(&mut self, _: CancelHandle) -> impl Future<Output = io::Result<()>> {
            ready(Err(own()))
        }
    }

    fn own() -> io::Error {
        io::Error::other("in its own words")
    }

    // SAFETY: Marked: no future of its methods refers to it.
    unsafe impl Split for Foreign {}

    /// Red when a half waits for the other.
    #[crate::test]
    async fn a_foreign_stream_is_read_and_written_at_once() {
        let (foreign, mut other) = Foreign::pair();
        let (mut reader, mut writer) = foreign.into_split();
        let reading = crate::spawn(async move { (reader.read_exact(vec![0; 4]).await.1, reader) });
        sleep(MS).await;
        writer.write_all("ping").await.0.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(other.read_exact(vec![0; 4]).await.1, b"ping");
        other.write_all("pong").await.0.unwrap();
        let (got, mut reader) = timeout(SOON, reading).await.expect("the half waits on").unwrap();
        assert_eq!(got, b"pong");

        writer.writev(VecBuf::from(vec![b"a".to_vec(), b"b".to_vec()])).await.0.unwrap();
        assert_eq!(other.read_exact(vec![0; 2]).await.1, b"ab");
        other.write_all("cd").await.0.unwrap();
        let (res, parts) = reader.readv(VecBuf::from(vec![vec![0; 1], vec![0; 1]])).await;
        assert_eq!((res.unwrap(), Vec::from(parts)), (2, vec![b"c".to_vec(), b"d".to_vec()]));
        writer.shutdown().await.unwrap();
        assert_eq!(other.read(vec![0; 1]).await.0.unwrap(), 0);
        drop(other);
        assert_eq!(reader.read(vec![0; 1]).await.0.unwrap(), 0);
    }

    /// Red when two calls of one direction are in flight, or one that has ended or was dropped keeps its turn.
    #[crate::test]
    async fn a_direction_is_one_calls_at_a_time() {
        let (foreign, mut other) = Foreign::pair();
        let (mut reader, writer) = foreign.into_split();
        let mut second = OwnedReadHalf(reader.0.clone());
        let mut reading = Box::pin(reader.read(vec![0; 4]));
        poll_once(&mut reading).await;
        let (res, buf) = timeout(SOON, second.read(vec![7; 3])).await.expect("it waits");
        assert_eq!((res.unwrap_err().kind(), buf), (ErrorKind::ResourceBusy, vec![7; 3]));
        let (res, _) = second.readv(VecBuf::from(vec![vec![0; 1]])).await;
        assert_eq!(res.unwrap_err().kind(), ErrorKind::ResourceBusy);
        let (res, _) = second.cancelable_read(vec![0; 1], Canceller::new().handle()).await;
        assert_eq!(res.unwrap_err().kind(), ErrorKind::ResourceBusy);

        other.write_all("first").await.0.unwrap();
        assert_eq!(timeout(SOON, reading).await.unwrap().1, b"firs");
        let mut dropped = Box::pin(reader.read(vec![0; 4]));
        poll_once(&mut dropped).await;
        drop(dropped);
        // It may have been too late to cancel it, and it has room for more.
        crate::testing::settle().await;
        other.write_all("!").await.0.unwrap();
        assert!(timeout(SOON, second.read(vec![0; 1])).await.unwrap().0.is_ok());

        let mut other_writer = OwnedWriteHalf(writer.0.clone());
        let turn = writer.0.write().unwrap();
        assert_eq!(other_writer.write("x").await.0.unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(other_writer.flush().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(other_writer.shutdown().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        drop(turn);
        other_writer.write("x").await.0.unwrap();
    }

    /// Red when what a forgotten future refers to is lent again.
    #[crate::test]
    async fn a_forgotten_future_keeps_its_turn() {
        let (foreign, _other) = Foreign::pair();
        let (mut reader, mut writer) = foreign.into_split();
        let mut reading = Box::pin(reader.read(vec![0; 4]));
        poll_once(&mut reading).await;
        mem::forget(reading);
        let (res, _) = timeout(SOON, reader.read(vec![0; 4])).await.expect("it waits");
        assert_eq!(res.unwrap_err().kind(), ErrorKind::ResourceBusy);
        writer.write_all("on").await.0.unwrap();
        assert!(reader.reunite(writer).is_err(), "the future has a share");
    }

    /// Red when a turn only refers to the stream: its end writes into what the last half has freed.
    #[crate::test]
    async fn a_future_outlives_its_half() {
        let (foreign, _other) = Foreign::pair();
        let (reader, mut writer) = foreign.into_split();
        let shared = Rc::downgrade(&reader.0);
        while timeout(5 * MS, writer.write(vec![0; 1 << 16])).await.is_ok() {}
        let (reader, writer) = (Box::into_raw(Box::new(reader)), Box::into_raw(Box::new(writer)));
        // SAFETY: Marked: the half is freed below, when the future is polled no more.
        let mut reading = Box::pin(unsafe { &mut *reader }.read(vec![0; 4]));
        poll_once(&mut reading).await;
        // SAFETY: Marked: likewise.
        let mut writing = Box::pin(unsafe { &mut *writer }.write(vec![0; 1]));
        poll_once(&mut writing).await;
        // SAFETY: Marked: it is a box's.
        drop(unsafe { Box::from_raw(reader) });
        // SAFETY: Marked: it is a box's.
        drop(unsafe { Box::from_raw(writer) });
        assert_eq!(shared.strong_count(), 2, "the turns keep what their ends write to");
        drop((reading, writing));
        assert_eq!(shared.strong_count(), 0);
    }

    /// Red when a half runs code of the stream while the other half's is on the stack.
    #[crate::test]
    async fn no_call_is_within_another() {
        let (foreign, mut other) = Foreign::pair();
        let calls = foreign.calls.clone();
        let (mut reader, mut writer) = foreign.into_split();
        other.write_all("back").await.0.unwrap();
        let (mut reading, got) =
            (Box::pin(async move { reader.read_exact(vec![0; 4]).await.1 }), Rc::new(Cell::new(0)));
        let seen = got.clone();
        *calls.borrow_mut() = Some(Box::new(move || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            if seen.get() == 0 {
                seen.set(if reading.as_mut().poll(&mut cx).is_ready() { 2 } else { 1 });
            }
        }));
        writer.write_all("on").await.0.unwrap();
        assert_eq!(got.get(), 1, "the read waits for its turn");
        calls.take();
        settle().await;
    }

    /// Red when a half cancels by itself instead of asking the stream.
    #[crate::test]
    async fn a_stream_is_cancelled_in_its_own_way() {
        let (foreign, _other) = Foreign::pair();
        let c = || Canceller::new().handle();
        let (mut reader, mut writer) = PrefixedReadIo::new(foreign, &b""[..]).into_split();
        let texts = [
            reader.cancelable_read(vec![0; 1], c()).await.0.unwrap_err(),
            reader.cancelable_readv(VecBuf::from(vec![vec![0; 1]]), c()).await.0.unwrap_err(),
            writer.cancelable_write("x", c()).await.0.unwrap_err(),
            writer.cancelable_writev(VecBuf::from(vec![b"x".to_vec()]), c()).await.0.unwrap_err(),
            writer.cancelable_flush(c()).await.unwrap_err(),
            writer.cancelable_shutdown(c()).await.unwrap_err(),
        ];
        assert!(texts.iter().all(|error| error.to_string() == "in its own words"), "{texts:?}");
        let mut whole = reader.reunite(writer).unwrap();
        assert_eq!(whole.cancelable_read(vec![0; 1], c()).await.0.unwrap_err().to_string(), "in its own words");
        assert_eq!(whole.cancelable_write("x", c()).await.0.unwrap_err().to_string(), "in its own words");
    }

    /// Red when the dropped half of a connection, or of one with a prefix, says nothing, or one that is reunited says
    /// something.
    #[crate::test]
    async fn a_dropped_half_hangs_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        let (reader, writer) = Splitable::into_split(stream);
        let stream = reader.reunite(writer).unwrap();
        assert!(timeout(5 * MS, other.readable(false)).await.is_err(), "nobody has hung up");
        let (mut reader, writer) = Splitable::into_split(PrefixedReadIo::new(stream, &b"who is "[..]));
        drop(writer);
        assert_eq!(timeout(SOON, other.read(vec![0; 1])).await.expect("nobody has hung up").0.unwrap(), 0);
        other.write_all("there").await.0.unwrap();
        assert_eq!(reader.read_exact(vec![0; 12]).await.1, b"who is there");

        let (a, mut b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = Splitable::into_split(a);
        drop(writer);
        assert_eq!(timeout(SOON, b.read(vec![0; 1])).await.expect("nobody has hung up").0.unwrap(), 0);
        b.write_all("x").await.0.unwrap();
        assert_eq!(reader.read(vec![0; 1]).await.1, b"x");
    }

    /// Red when a share that somebody kept is the stream's end, or halves of two streams are taken for one's.
    #[crate::test]
    async fn only_two_halves_are_a_whole() {
        let ((a, _a), (b, _b)) = (Foreign::pair(), Foreign::pair());
        let ((reader, writer), (stranger, other)) = (Splitable::into_split(a), Splitable::into_split(b));
        let ReuniteError(reader, other) = reader.reunite(other).err().unwrap();
        drop(other.reunite(stranger).unwrap());
        let third = reader.0.clone();
        let error = writer.reunite(reader).err().unwrap();
        assert!(error.to_string().contains("share"));
        drop(third);
        let ReuniteError(reader, writer) = error;
        drop(reader.reunite(writer).unwrap());
    }
}
