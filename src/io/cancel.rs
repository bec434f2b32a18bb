//! An early end for operations, without losing what they have done.

use super::{AsyncReadRent, AsyncWriteRent};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    op::ending::end_early,
    sync::CancellationToken,
    time::{Instant, sleep_until},
};
use std::{
    cell::UnsafeCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// Asks operations for an early end: all that have a [handle](Canceller::handle) of it.
///
/// An operation that is cancelled is awaited all the same, and so gives its buffer back, with what it had done by then.
/// Dropping a canceller asks nobody.
///
/// ```
/// use annulus::io::{AsyncWriteRentExt, CancelableAsyncReadRent, Canceller};
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let canceller = Canceller::new();
///     let reading = client.cancelable_read(vec![0; 64], canceller.handle());
///     let (res, _canceller) = annulus::join!(reading, async { canceller.cancel() });
///     let (read, buf) = res;
///     assert_eq!((read.unwrap_err().raw_os_error(), buf.len()), (Some(libc::ECANCELED), 64));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Default)]
pub struct Canceller(CancellationToken);

impl Canceller {
    /// A canceller that nobody has a handle of.
    #[must_use]
    pub fn new() -> Canceller {
        Canceller::default()
    }

    /// Cancels all that have a handle of this one, and gives another one for what comes.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "it is called for what it does")]
    pub fn cancel(self) -> Canceller {
        self.0.cancel();
        Canceller::new()
    }

    /// What is given to an operation that this one may cancel.
    #[must_use]
    pub fn handle(&self) -> CancelHandle {
        CancelHandle(self.0.clone())
    }
}

/// By which an operation is cancelled; made by [`Canceller::handle`], or of a
/// [`CancellationToken`](crate::sync::CancellationToken).
#[derive(Clone, Debug)]
pub struct CancelHandle(CancellationToken);

impl From<CancellationToken> for CancelHandle {
    fn from(token: CancellationToken) -> CancelHandle {
        CancelHandle(token)
    }
}

/// What every future can do that is made of operations.
///
/// All operations in it are asked for an early end that it polls itself. Those of other tasks are not, even if it waits
/// for these, nor are the [streams](crate::op::Multi) of operations, and whatever else it may wait for: it ends when
/// all that it waits for has ended. Where that is to be dropped instead, there is [`timeout`](crate::time::timeout).
///
/// ```
/// use annulus::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt, EarlyEnd};
/// use annulus::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     client.write_all("half").await.0?;
///     // Whatever came in time is in the buffer.
///     let (res, buf) = server.read_exact(Vec::with_capacity(8)).time_limit(Duration::from_millis(10)).await;
///     assert_eq!((res.unwrap_err().kind(), &buf[..]), (std::io::ErrorKind::TimedOut, &b"half"[..]));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait EarlyEnd: Future + Sized {
    /// Asks for an early end at `deadline`: an operation that has done nothing by then answers `TimedOut`
    /// (`ETIMEDOUT`), with its buffer; any other gives what it has done. When the deadline has passed already, no
    /// operation begins.
    ///
    /// # Panics
    /// Outside a runtime, if it has to wait.
    ///
    /// # Cancellation
    /// **Lossy**, if the future itself is: dropped, it is dropped.
    fn deadline(self, deadline: Instant) -> impl Future<Output = Self::Output> {
        until(self, deadline)
    }

    /// Asks for an early end when `limit` has passed, as [`deadline`](EarlyEnd::deadline) does. The time runs from now.
    ///
    /// # Panics
    /// Outside a runtime, if it has to wait.
    ///
    /// # Cancellation
    /// **Lossy**, if the future itself is: dropped, it is dropped.
    fn time_limit(self, limit: Duration) -> impl Future<Output = Self::Output> {
        until(self, Instant::now().after(limit))
    }

    /// Asks for an early end when `handle` is cancelled: an operation that has done nothing by then answers
    /// `ECANCELED`, with its buffer; any other gives what it has done. When it is cancelled already, no operation
    /// begins.
    ///
    /// # Cancellation
    /// **Lossy**, if the future itself is: dropped, it is dropped.
    fn cancelable(self, handle: CancelHandle) -> impl Future<Output = Self::Output> {
        unless(self, handle)
    }
}

impl<F: Future> EarlyEnd for F {}

pub(super) async fn until<F: Future>(future: F, deadline: Instant) -> F::Output {
    let (mut future, mut sleep, mut late) = (pin!(future), sleep_until(deadline), Instant::now() >= deadline);
    poll_fn(|cx| {
        if !late {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            late = Pin::new(&mut sleep).poll(cx).is_ready();
        }
        if late { end_early(libc::ETIMEDOUT, || future.as_mut().poll(cx)) } else { Poll::Pending }
    })
    .await
}

async fn unless<F: Future>(future: F, CancelHandle(token): CancelHandle) -> F::Output {
    let (mut future, mut cancelled, mut late) = (pin!(future), token.cancelled(), token.is_cancelled());
    poll_fn(|cx| {
        if !late {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            late = Pin::new(&mut cancelled).poll(cx).is_ready();
        }
        if late { end_early(libc::ECANCELED, || future.as_mut().poll(cx)) } else { Poll::Pending }
    })
    .await
}

/// [`AsyncReadRent`] by operations that can be cancelled. An implementor has nothing to add, unless it reads by
/// something else than operations of annulus.
pub trait CancelableAsyncReadRent: AsyncReadRent {
    /// [`read`](AsyncReadRent::read), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`read`](AsyncReadRent::read); `ECANCELED` when it was cancelled and no byte was read.
    ///
    /// # Cancellation
    /// **Lossy**: as [`read`](AsyncReadRent::read), if it is dropped. By `c`, nothing is lost.
    fn cancelable_read<T: IoBufMut>(&mut self, buf: T, c: CancelHandle) -> impl Future<Output = BufResult<usize, T>> {
        unless(self.read(buf), c)
    }

    /// [`readv`](AsyncReadRent::readv), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`readv`](AsyncReadRent::readv); `ECANCELED` when it was cancelled and no byte was read.
    ///
    /// # Cancellation
    /// **Lossy**: as [`readv`](AsyncReadRent::readv), if it is dropped. By `c`, nothing is lost.
    fn cancelable_readv<T: IoVecBufMut>(
        &mut self,
        buf: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        unless(self.readv(buf), c)
    }

    /// As [`AsyncReadRent::reader`], for reads that can be cancelled.
    ///
    /// # Safety
    /// As there.
    #[doc(hidden)]
    unsafe fn cancelable_reader(stream: &UnsafeCell<Self>) -> impl CancelableAsyncReadRent
    where
        Self: Sized,
    {
        // SAFETY: Marked: as in `AsyncReadRent::reader`, whose contract is this one's.
        unsafe { &mut *stream.get() }
    }
}

/// [`AsyncWriteRent`] by operations that can be cancelled. An implementor has nothing to add, unless it writes by
/// something else than operations of annulus.
pub trait CancelableAsyncWriteRent: AsyncWriteRent {
    /// [`write`](AsyncWriteRent::write), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`write`](AsyncWriteRent::write); `ECANCELED` when it was cancelled and no byte was written.
    ///
    /// # Cancellation
    /// **Detached**: as [`write`](AsyncWriteRent::write), if it is dropped. By `c`, nothing is lost.
    fn cancelable_write<T: IoBuf>(&mut self, buf: T, c: CancelHandle) -> impl Future<Output = BufResult<usize, T>> {
        unless(self.write(buf), c)
    }

    /// [`writev`](AsyncWriteRent::writev), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`writev`](AsyncWriteRent::writev); `ECANCELED` when it was cancelled and no byte was written.
    ///
    /// # Cancellation
    /// **Detached**: as [`writev`](AsyncWriteRent::writev), if it is dropped. By `c`, nothing is lost.
    fn cancelable_writev<T: IoVecBuf>(
        &mut self,
        buf_vec: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        unless(self.writev(buf_vec), c)
    }

    /// [`flush`](AsyncWriteRent::flush), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`flush`](AsyncWriteRent::flush); `ECANCELED` when it was cancelled before.
    ///
    /// # Cancellation
    /// **Detached**: as [`flush`](AsyncWriteRent::flush).
    fn cancelable_flush(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
        unless(self.flush(), c)
    }

    /// [`shutdown`](AsyncWriteRent::shutdown), until `c` is cancelled.
    ///
    /// # Errors
    /// Those of [`shutdown`](AsyncWriteRent::shutdown); `ECANCELED` when it was cancelled before.
    ///
    /// # Cancellation
    /// **Detached**: as [`shutdown`](AsyncWriteRent::shutdown).
    fn cancelable_shutdown(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
        unless(self.shutdown(), c)
    }

    /// As [`AsyncWriteRent::writer`], for writes that can be cancelled.
    ///
    /// # Safety
    /// As there.
    #[doc(hidden)]
    unsafe fn cancelable_writer(stream: &UnsafeCell<Self>) -> impl CancelableAsyncWriteRent
    where
        Self: Sized,
    {
        // SAFETY: Marked: as in `AsyncWriteRent::writer`, whose contract is this one's.
        unsafe { &mut *stream.get() }
    }
}

/// Implements the traits for a pointer to something that implements them.
macro_rules! pass_on {
    ($($t:ty),*) => {$(
        impl<A: ?Sized + CancelableAsyncReadRent> CancelableAsyncReadRent for $t {
            fn cancelable_read<T: IoBufMut>(
                &mut self,
                buf: T,
                c: CancelHandle,
            ) -> impl Future<Output = BufResult<usize, T>> {
                (**self).cancelable_read(buf, c)
            }

            fn cancelable_readv<T: IoVecBufMut>(
                &mut self,
                buf: T,
                c: CancelHandle,
            ) -> impl Future<Output = BufResult<usize, T>> {
                (**self).cancelable_readv(buf, c)
            }
        }

        impl<A: ?Sized + CancelableAsyncWriteRent> CancelableAsyncWriteRent for $t {
            fn cancelable_write<T: IoBuf>(
                &mut self,
                buf: T,
                c: CancelHandle,
            ) -> impl Future<Output = BufResult<usize, T>> {
                (**self).cancelable_write(buf, c)
            }

            fn cancelable_writev<T: IoVecBuf>(
                &mut self,
                buf_vec: T,
                c: CancelHandle,
            ) -> impl Future<Output = BufResult<usize, T>> {
                (**self).cancelable_writev(buf_vec, c)
            }

            fn cancelable_flush(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
                (**self).cancelable_flush(c)
            }

            fn cancelable_shutdown(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
                (**self).cancelable_shutdown(c)
            }
        }
    )*};
}

pass_on!(&mut A, Box<A>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, AsyncWriteRentExt},
        net::{TcpListener, TcpStream},
        testing::settle,
        time::{sleep, timeout},
    };

    const SOON: Duration = Duration::from_secs(5);
    const MS: Duration = Duration::from_millis(1);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn cancelled<T: std::fmt::Debug>(res: io::Result<T>) {
        assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    }

    /// Red when an operation is not reached, or a handle that was cancelled lets one begin.
    #[crate::test]
    async fn every_operation_ends_with_its_buffer() {
        let (mut a, mut b) = pair().await;
        let canceller = Canceller::new();
        let c = canceller.handle();
        let mut canceller = Some(canceller);
        let reading = crate::spawn(async move {
            let (res, buf) = Box::new(&mut a).cancelable_read(vec![0; 64], c.clone()).await;
            cancelled(res);
            let (res, bufs) = a.cancelable_readv(VecBuf::from(vec![buf]), c.clone()).await;
            cancelled(res);
            assert_eq!(Vec::from(bufs)[0].len(), 64);
            cancelled(a.cancelable_write("too late", c.clone()).await.0);
            cancelled(a.cancelable_writev(VecBuf::from(vec![b"likewise".to_vec()]), c.clone()).await.0);
            cancelled(a.cancelable_shutdown(c.clone()).await);
            a.cancelable_flush(c).await.expect("there is nothing to flush");
            a
        });
        sleep(2 * MS).await;
        let canceller = canceller.take().unwrap().cancel();
        let mut a = timeout(SOON, reading).await.expect("an operation waits on").unwrap();
        a.cancelable_write("in time", canceller.handle()).await.0.unwrap();
        assert_eq!(b.read(Vec::with_capacity(64)).await.1, b"in time");
        settle().await;
    }

    /// Red when what had been read before the end is dropped.
    #[crate::test]
    async fn a_whole_read_gives_what_it_had() {
        let (mut a, mut b) = pair().await;
        b.write_all("half").await.0.unwrap();
        let token = CancellationToken::new();
        let reading = crate::spawn({
            let handle = CancelHandle::from(token.child_token());
            async move { a.read_exact(Vec::with_capacity(8)).cancelable(handle).await }
        });
        sleep(2 * MS).await;
        token.cancel();
        let (res, buf) = timeout(SOON, reading).await.expect("it waits on").unwrap();
        cancelled(res);
        assert_eq!(buf, b"half");
    }

    /// Red when a connect or an accept goes on, or its descriptor stays open.
    #[crate::test]
    async fn connections_that_nobody_waits_for_are_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let start = Instant::now();
        let res = listener.accept().time_limit(5 * MS).await;
        assert!(res.unwrap_err().kind() == io::ErrorKind::TimedOut && start.elapsed() >= 5 * MS);
        let res = listener.readable(false).time_limit(5 * MS).await;
        assert_eq!(res.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let past = TcpStream::connect(listener.local_addr().unwrap()).deadline(start).await;
        assert_eq!(past.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let client = TcpStream::connect(listener.local_addr().unwrap()).time_limit(SOON).await.unwrap();
        let (_, peer) = listener.accept().time_limit(SOON).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap(), "the one that was given up is not there");
        settle().await;
    }

    /// The nearest end counts, and the outer one reaches in. Red when an inner end hides the outer one.
    #[crate::test]
    async fn ends_are_nested() {
        let (mut a, _b) = pair().await;
        let inner = a.read(vec![0; 8]).time_limit(5 * MS);
        let (res, _) = timeout(SOON, inner.time_limit(SOON)).await.expect("the inner one is not heard");
        assert_eq!(res.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let inner = a.read(vec![0; 8]).time_limit(SOON);
        let (res, _) = timeout(SOON, inner.time_limit(5 * MS)).await.expect("the outer one is not heard");
        assert_eq!(res.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
