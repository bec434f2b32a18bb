//! A stream with deadlines.

use super::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, Split, cancel::until};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    time::Instant,
};
use std::{cell::Cell, future::Future, io, time::Duration};

/// A stream whose reads and writes end in time, and lose nothing.
///
/// There are two clocks for each direction. A *deadline* is a point in time, and stays until another is set: a request
/// has to be there by then, in however many reads. A *timeout* is given to each operation anew: a connection may be
/// idle for so long. Whichever comes first ends an operation: one that has done nothing answers `TimedOut`, with its
/// buffer, and any other gives what it has done. After a deadline no operation begins.
///
/// ```
/// use annulus::io::{AsyncReadRentExt, AsyncWriteRentExt, WithDeadline};
/// use annulus::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let mut server = WithDeadline::new(listener.accept().await?.0);
///
///     client.write_all("GET").await.0?;
///     server.set_read_timeout(Some(Duration::from_millis(10)));
///     let (res, buf) = server.read_exact(Vec::with_capacity(16)).await;
///     assert_eq!((res.unwrap_err().kind(), &buf[..]), (std::io::ErrorKind::TimedOut, &b"GET"[..]));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// It can be [split](Split), and the clocks are set through any half then ([`AsRef`]). What is set counts for
/// operations that begin afterwards; one that waits is ended by [`cancelable`](super::EarlyEnd::cancelable).
#[derive(Debug, Default)]
pub struct WithDeadline<S> {
    stream: S,
    read: Clocks,
    write: Clocks,
}

#[derive(Debug, Default)]
struct Clocks {
    deadline: Cell<Option<Instant>>,
    timeout: Cell<Option<Duration>>,
}

impl Clocks {
    /// Runs an operation until the first clock is up. With none, it costs nothing.
    async fn run<F: Future>(&self, operation: F) -> F::Output {
        let timeout = self.timeout.get().map(|timeout| Instant::now().after(timeout));
        match self.deadline.get().into_iter().chain(timeout).min() {
            Some(end) => until(operation, end).await,
            None => operation.await,
        }
    }
}

impl<S> WithDeadline<S> {
    /// The stream, without any deadline yet.
    pub fn new(stream: S) -> WithDeadline<S> {
        WithDeadline { stream, read: Clocks::default(), write: Clocks::default() }
    }

    /// When reads end, whatever has come by then. `None`: never.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        self.read.deadline.set(deadline);
    }

    /// When writes end, however much is written by then. `None`: never.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) {
        self.write.deadline.set(deadline);
    }

    /// How long each read may take. `None`: for ever.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.read.timeout.set(timeout);
    }

    /// How long each write may take, each flush, and the shutdown. `None`: for ever.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.write.timeout.set(timeout);
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, to be used without deadlines.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream without its deadlines.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncReadRent> AsyncReadRent for WithDeadline<S> {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.read.run(self.stream.read(buf))
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.read.run(self.stream.readv(buf))
    }
}

impl<S: AsyncWriteRent> AsyncWriteRent for WithDeadline<S> {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.write.run(self.stream.write(buf))
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.write.run(self.stream.writev(buf_vec))
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.write.run(self.stream.flush())
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.write.run(self.stream.shutdown())
    }
}

impl<S: Split> Split for WithDeadline<S> {
    fn shared_read<T: IoBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.read.run(self.stream.shared_read(buf))
    }

    fn shared_readv<T: IoVecBufMut>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.read.run(self.stream.shared_readv(buf))
    }

    fn shared_write<T: IoBuf>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.write.run(self.stream.shared_write(buf))
    }

    fn shared_writev<T: IoVecBuf>(&self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.write.run(self.stream.shared_writev(buf_vec))
    }

    fn shared_flush(&self) -> impl Future<Output = io::Result<()>> {
        self.write.run(self.stream.shared_flush())
    }

    fn shared_shutdown(&self) -> impl Future<Output = io::Result<()>> {
        self.write.run(self.stream.shared_shutdown())
    }

    fn hang_up(&self) {
        self.stream.hang_up();
    }
}

impl<S: AsyncReadRent> CancelableAsyncReadRent for WithDeadline<S> {}
impl<S: AsyncWriteRent> CancelableAsyncWriteRent for WithDeadline<S> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRentExt, AsyncWriteRentExt, Splitable},
        net::{TcpListener, TcpStream},
        time::{sleep, timeout},
    };
    use std::io::ErrorKind;

    const SOON: Duration = Duration::from_secs(5);
    const MS: Duration = Duration::from_millis(1);

    async fn pair() -> (WithDeadline<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (WithDeadline::new(client), listener.accept().await.unwrap().0)
    }

    /// A drip of bytes is in time for each timeout, and not for the deadline. Red when a deadline is forgotten after it
    /// was met once, or a timeout is none.
    #[crate::test]
    async fn a_timeout_is_for_each_read_and_a_deadline_for_all() {
        let (mut a, mut b) = pair().await;
        let drip = crate::spawn(async move {
            while b.write_all("x").await.0.is_ok() {
                sleep(5 * MS).await;
            }
        });
        a.set_read_timeout(Some(SOON));
        let (res, buf) = a.read_exact(vec![0; 4]).await;
        assert_eq!((res.unwrap(), &buf[..]), (4, &b"xxxx"[..]));
        let start = Instant::now();
        a.set_read_deadline(Some(start.after(30 * MS)));
        let (res, buf) = timeout(SOON, a.read_exact(Vec::with_capacity(1000))).await.expect("no deadline");
        assert_eq!(res.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((1..100).contains(&buf.len()) && start.elapsed() >= 30 * MS, "{}", buf.len());
        sleep(10 * MS).await;
        let (res, buf) = a.read(vec![0; 8]).await;
        assert_eq!((res.unwrap_err().kind(), buf), (ErrorKind::TimedOut, vec![0; 8]), "something is there, but late");
        a.set_read_deadline(None);
        a.read(vec![0; 8]).await.0.unwrap();
        a.set_read_timeout(Some(Duration::ZERO));
        assert_eq!(a.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(a);
        drip.await.unwrap();
    }

    /// Red when the bytes that a write has brought on the way before its end are not told of.
    #[crate::test]
    async fn a_write_to_a_slow_reader_tells_how_far_it_came() {
        let (mut a, mut b) = pair().await;
        a.set_write_timeout(Some(20 * MS));
        let text: Vec<u8> = (0..8 << 20).map(|n| n as u8).collect();
        let mut sent = 0;
        let error = loop {
            match timeout(SOON, a.write(text[sent..].to_vec())).await.expect("no timeout").0 {
                Ok(n) => sent += n,
                Err(e) => break e,
            }
        };
        assert!(error.kind() == ErrorKind::TimedOut && sent > 0, "{error} after {sent}");
        a.shutdown().await.unwrap();
        let (mut got, mut buf) = (0, Vec::with_capacity(64 << 10));
        loop {
            let (n, back) = b.read(buf).await;
            match n.unwrap() {
                0 => break,
                n => {
                    assert!(back.iter().zip(&text[got..]).all(|(a, b)| a == b), "at {got}");
                    got += n;
                    buf = back;
                }
            }
        }
        assert_eq!(got, sent);
    }

    #[crate::test]
    async fn halves_keep_the_deadlines_and_the_other_direction_its_own() {
        let (a, mut b) = pair().await;
        let (mut reader, mut writer) = a.into_split();
        writer.as_ref().set_read_timeout(Some(5 * MS));
        let (res, buf) = timeout(SOON, reader.read(vec![0; 8])).await.expect("no timeout");
        assert_eq!((res.unwrap_err().kind(), buf.len()), (ErrorKind::TimedOut, 8));
        writer.write_all("on").await.0.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(b.read_exact(vec![0; 2]).await.1, b"on");
        b.write_all("back").await.0.unwrap();
        assert_eq!(reader.read(Vec::with_capacity(8)).await.1, b"back");
        drop(writer);
        assert_eq!(timeout(SOON, b.read(buf)).await.expect("nobody has hung up").0.unwrap(), 0);
    }
}
