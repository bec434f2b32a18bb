//! Streams that are polled: tokio's traits over connections of annulus. Feature `tokio`.
//!
//! A library that is written for `tokio::io::AsyncRead` and `AsyncWrite` lends buffers for the length of a call alone,
//! so its bytes are moved by calls that do not wait, and the driver says when to call. [`IntoPollIo`] makes a
//! connection one that such a library can use, [`IntoCompIo`] makes it one of annulus again.
//!
//! ```
//! use annulus::io::poll::{IntoCompIo, IntoPollIo};
//! use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
//! use annulus::net::{TcpListener, TcpStream};
//! use std::{future::poll_fn, pin::Pin};
//! use tokio::io::{AsyncRead, ReadBuf};
//!
//! annulus::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let mut server = listener.accept().await?.0.into_poll_io()?;
//!     client.write_all("ping").await.0?;
//!
//!     let mut room = [0; 64];
//!     let mut buf = ReadBuf::new(&mut room);
//!     poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf)).await?;
//!     assert_eq!(buf.filled(), b"ping");
//!
//!     server.into_comp_io()?.write_all("pong").await.0?;
//!     assert_eq!(client.read(Vec::with_capacity(64)).await.1, b"pong");
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use crate::{
    driver::{Driver, Fd},
    entry::Interest,
    op::{self, Multi, PollMulti},
    rt::coop::poll_proceed,
};
use socket2::SockRef;
use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    ptr,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What can be made a stream that is polled.
pub trait IntoPollIo: Sized {
    /// The stream that is polled.
    type PollIo;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one, with the stream as it was: a direct connection has no number for calls, `Unsupported`.
    fn try_into_poll_io(self) -> Result<Self::PollIo, (io::Error, Self)>;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one. The stream is dropped then.
    fn into_poll_io(self) -> io::Result<Self::PollIo> {
        self.try_into_poll_io().map_err(|(error, _)| error)
    }
}

/// What can be made a stream that takes buffers and gives them back.
pub trait IntoCompIo: Sized {
    /// The stream that takes buffers.
    type CompIo;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one, with the stream as it was.
    fn try_into_comp_io(self) -> Result<Self::CompIo, (io::Error, Self)>;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one. The stream is dropped then.
    fn into_comp_io(self) -> io::Result<Self::CompIo> {
        self.try_into_comp_io().map_err(|(error, _)| error)
    }
}

/// A connection by a socket of annulus, and nothing else: bytes are received and sent as they are.
pub trait Connection {
    /// The socket.
    fn socket(&self) -> &Fd;
}

/// For calls that neither wait nor send a signal.
const SEND: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A connection with tokio's traits, made by [`IntoPollIo`].
///
/// It is awaited in any runtime, and moves from one to another between two calls: what waited in one waits anew in the
/// next. An error is told once, and the next call tries again. As any connection that an operation holds, it is closed
/// when that operation has ended: dropped outside of the runtime that it waited in, when that one has its next turn.
///
/// # Cancellation
/// Nothing is in flight between two calls but a wait for readiness, so nothing is lost by not calling again.
#[derive(Debug)]
pub struct Polled<S> {
    stream: S,
    readable: Side,
    writable: Side,
}

/// The wait for one direction.
#[derive(Debug)]
struct Side {
    interest: Interest,
    /// `None` before the first wait, and after one that has ended.
    changes: Option<Multi<PollMulti>>,
    /// Where it waits, to be compared.
    driver: *const Driver,
}

impl Side {
    fn new(interest: Interest) -> Side {
        Side { interest, changes: None, driver: ptr::null() }
    }

    /// Makes a call again at each change, until it need not wait. A call that is answered takes a unit of the task's
    /// budget.
    fn when_ready<R>(
        &mut self,
        fd: &Fd,
        cx: &mut Context<'_>,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let unit = ready!(poll_proceed(cx));
        loop {
            match call() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.change(fd, cx))?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                answer => {
                    unit.made_progress();
                    return Poll::Ready(answer);
                }
            }
        }
    }

    /// The next change, or the error of a wait that has ended by it.
    fn change(&mut self, fd: &Fd, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Another runtime of this thread does not turn while this one does.
        let here = Driver::current().map_or(self.driver, |driver| Rc::as_ptr(&driver));
        if self.driver != here {
            (self.changes, self.driver) = (None, here);
        }
        // One that its runtime has given up is followed by another; that one ends only if this runtime does.
        for _ in 0..2 {
            let changes = self.changes.get_or_insert_with(|| op::poll_multi(fd, self.interest));
            match ready!(changes.poll_next(cx)) {
                Some(Ok(())) => return Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    self.changes = None;
                    return Poll::Ready(Err(error));
                }
                None => self.changes = None,
            }
        }
        Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)))
    }
}

impl<S: Connection> IntoPollIo for S {
    type PollIo = Polled<S>;

    fn try_into_poll_io(self) -> Result<Polled<S>, (io::Error, S)> {
        match self.socket().numbered() {
            Ok(_) => {
                Ok(Polled { stream: self, readable: Side::new(Interest::Read), writable: Side::new(Interest::Write) })
            }
            Err(error) => Err((error, self)),
        }
    }
}

impl<S: Connection> IntoCompIo for Polled<S> {
    type CompIo = S;

    fn try_into_comp_io(self) -> Result<S, (io::Error, Polled<S>)> {
        Ok(self.stream)
    }
}

impl<S: Connection> Polled<S> {
    /// The connection as it was; as the method of [`IntoCompIo`].
    ///
    /// # Errors
    /// None yet.
    #[allow(clippy::result_large_err, reason = "the stream is given back, as by the trait")]
    pub fn try_into_comp_io(self) -> Result<S, (io::Error, Polled<S>)> {
        IntoCompIo::try_into_comp_io(self)
    }
}

impl<S> AsRef<S> for Polled<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Connection + Unpin> AsyncRead for Polled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Polled { stream, readable, .. } = &mut *self;
        let socket = SockRef::from(stream.socket());
        // SAFETY: Filled: a receive makes nothing uninitialised.
        let room = unsafe { buf.unfilled_mut() };
        let offered = room.len();
        let receive = || socket.recv_with_flags(room, libc::MSG_DONTWAIT);
        let n = ready!(readable.when_ready(stream.socket(), cx, receive))?.min(offered);
        // SAFETY: Told: the call said that it filled so many bytes.
        unsafe { buf.assume_init(n) };
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: Connection + Unpin> AsyncWrite for Polled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Polled { stream, writable, .. } = &mut *self;
        let socket = SockRef::from(stream.socket());
        writable.when_ready(stream.socket(), cx, || socket.send_with_flags(buf, SEND))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Polled { stream, writable, .. } = &mut *self;
        let socket = SockRef::from(stream.socket());
        writable.when_ready(stream.socket(), cx, || socket.send_vectored_with_flags(bufs, SEND))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.stream.socket()).shutdown(Shutdown::Write))
    }
}

impl<S: AsRawFd> AsRawFd for Polled<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
