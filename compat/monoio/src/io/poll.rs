//! Streams that are polled: tokio's traits over sockets of annulus.

use annulus::{
    io::Interest,
    op::{self, Multi, PollMulti},
};
use socket2::SockRef;
use std::{
    io,
    net::Shutdown,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What can be made a stream that is polled.
pub trait IntoPollIo: Sized {
    /// The stream that is polled.
    type PollIo;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one, with the stream as it was.
    fn try_into_poll_io(self) -> Result<Self::PollIo, (io::Error, Self)>;

    /// Makes it one.
    ///
    /// # Errors
    /// Why it cannot be one.
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
    /// Why it cannot be one.
    fn into_comp_io(self) -> io::Result<Self::CompIo> {
        self.try_into_comp_io().map_err(|(error, _)| error)
    }
}

/// For calls that neither wait nor send a signal.
#[cfg(not(target_vendor = "apple"))]
const SEND: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: i32 = libc::MSG_DONTWAIT;

/// Makes a call again at each change, until it need not wait.
fn when_ready<R>(
    changes: &mut Multi<PollMulti>,
    cx: &mut Context<'_>,
    mut call: impl FnMut() -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            answer => return Poll::Ready(answer),
        }
        match ready!(changes.poll_next(cx)) {
            Some(change) => change.map(drop)?,
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

macro_rules! polled {
    ($(#[$doc:meta])* $module:ident: $name:ident, $stream:ty, $addr:ty) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// A connection with tokio's traits.
            #[derive(Debug)]
            pub struct $name {
                pub(super) stream: $stream,
                readable: Multi<PollMulti>,
                writable: Multi<PollMulti>,
            }

            impl IntoPollIo for $stream {
                type PollIo = $name;

                fn try_into_poll_io(self) -> Result<$name, (io::Error, $stream)> {
                    let readable = op::poll_multi(self.fd(), Interest::Read);
                    let writable = op::poll_multi(self.fd(), Interest::Write);
                    Ok($name { stream: self, readable, writable })
                }
            }

            impl IntoCompIo for $name {
                type CompIo = $stream;

                fn try_into_comp_io(self) -> Result<$stream, (io::Error, $name)> {
                    Ok(self.stream)
                }
            }

            impl $name {
                /// The connection as it was.
                ///
                /// # Errors
                /// None yet.
                #[allow(clippy::result_large_err, reason = "the signature is monoio's")]
                pub fn try_into_comp_io(self) -> Result<$stream, (io::Error, $name)> {
                    IntoCompIo::try_into_comp_io(self)
                }

                /// The address of this end.
                ///
                /// # Errors
                /// Those of `getsockname(2)`.
                pub fn local_addr(&self) -> io::Result<$addr> {
                    self.stream.local_addr()
                }

                /// The address of the other end.
                ///
                /// # Errors
                /// `NotConnected` when there is none any more.
                pub fn peer_addr(&self) -> io::Result<$addr> {
                    self.stream.peer_addr()
                }
            }

            impl AsyncRead for $name {
                fn poll_read(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    buf: &mut ReadBuf<'_>,
                ) -> Poll<io::Result<()>> {
                    let this = &mut *self;
                    let socket = SockRef::from(&this.stream);
                    // SAFETY: Filled: a receive makes nothing uninitialised.
                    let room = unsafe { buf.unfilled_mut() };
                    let receive = || socket.recv_with_flags(room, libc::MSG_DONTWAIT);
                    let n = ready!(when_ready(&mut this.readable, cx, receive))?;
                    // SAFETY: Told: the call said that it filled so many bytes.
                    unsafe { buf.assume_init(n) };
                    buf.advance(n);
                    Poll::Ready(Ok(()))
                }
            }

            impl AsyncWrite for $name {
                fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                    let this = &mut *self;
                    let socket = SockRef::from(&this.stream);
                    when_ready(&mut this.writable, cx, || socket.send_with_flags(buf, SEND))
                }

                fn poll_write_vectored(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    bufs: &[io::IoSlice<'_>],
                ) -> Poll<io::Result<usize>> {
                    let this = &mut *self;
                    let socket = SockRef::from(&this.stream);
                    when_ready(&mut this.writable, cx, || socket.send_vectored_with_flags(bufs, SEND))
                }

                fn is_write_vectored(&self) -> bool {
                    true
                }

                fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(Ok(()))
                }

                fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(SockRef::from(&self.stream).shutdown(Shutdown::Write))
                }
            }

            impl AsRawFd for $name {
                fn as_raw_fd(&self) -> RawFd {
                    self.stream.as_raw_fd()
                }
            }
        }
    };
}

polled!(
    /// TCP connections that are polled.
    tcp: TcpStreamPoll, annulus::net::TcpStream, std::net::SocketAddr
);
polled!(
    /// Connections in the file system that are polled.
    unix: UnixStreamPoll, annulus::net::UnixStream, annulus::net::unix::SocketAddr
);

impl tcp::TcpStreamPoll {
    /// Whether small writes are sent at once.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.stream.nodelay()
    }

    /// Has small writes sent at once, or gathered.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream.set_nodelay(nodelay)
    }

    /// Has the peer asked whether it is still there.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_tcp_keepalive(
        &self,
        time: Option<Duration>,
        interval: Option<Duration>,
        retries: Option<u32>,
    ) -> io::Result<()> {
        self.stream.set_tcp_keepalive(time, interval, retries)
    }
}
