//! Unix sockets: between processes of one machine, by names in the file system, abstract names (Linux) or none.

mod cred;
mod datagram;
mod listener;
mod pipe;
mod seqpacket;
mod stream;

pub use crate::sys::sockaddr::SockAddr as SocketAddr;
pub use cred::UCred;
pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use pipe::{Pipe, new_pipe};
pub use seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use stream::{UnixOwnedReadHalf, UnixOwnedWriteHalf, UnixStream};

use super::Spare;
use crate::{
    buf::{BufResult, Envelope, IoBuf, IoBufMut},
    driver::Fd,
    op,
    sys::unix,
};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// The most descriptors that Linux lets go with one message (`SCM_MAX_FD`).
const MAX_FDS: usize = 253;

/// Descriptors that came with a message.
#[derive(Debug, Default)]
pub struct Fds {
    /// The descriptors, in the order of their sending. Children do not inherit them.
    pub fds: Vec<OwnedFd>,
    /// More had been sent than there was room for; the others were closed on their way.
    pub truncated: bool,
}

/// Sends `buf` together with descriptors.
async fn send_fds<T: IoBuf>(fd: &Fd, spare: &Spare, buf: T, fds: Vec<OwnedFd>) -> BufResult<usize, (T, Vec<OwnedFd>)> {
    let mut envelope = spare.take();
    envelope.clear_addr();
    envelope.send_fds(fds);
    let (res, (buf, mut envelope)) = op::sendmsg_unix(fd, buf, envelope).await;
    let fds = envelope.clear();
    spare.put(envelope);
    (res, (buf, fds))
}

/// Receives into `buf`, and up to `most` descriptors.
async fn recv_fds<T: IoBufMut>(fd: &Fd, buf: T, most: usize) -> BufResult<(usize, Fds), T> {
    let mut envelope = Envelope::new();
    envelope.set_room_for_fds(most.min(MAX_FDS));
    let (res, (buf, mut envelope)) = op::recvmsg(fd, buf, envelope, 0).await;
    let came = |n| (n, Fds { fds: envelope.take_fds(), truncated: envelope.is_control_truncated() });
    (res.map(came), buf)
}

/// A socket of this kind at `addr`.
fn bound(kind: i32, addr: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = unix::socket(libc::AF_UNIX, kind)?;
    unix::bind(socket.as_raw_fd(), addr)?;
    Ok(socket)
}

/// A socket of this kind that is connected to `addr`.
async fn connected(kind: i32, addr: SocketAddr) -> io::Result<Fd> {
    let fd = Fd::socket(op::socket(libc::AF_UNIX, kind, 0).await?);
    op::connect_to(&fd, addr).await?;
    Ok(fd)
}

/// What every Unix socket has. `$name` has a field `fd`, and is made of one by `$name::from_fd`.
macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// The socket's descriptor, for operations of [`op`](crate::op).
            #[must_use]
            pub fn fd(&self) -> &crate::driver::Fd {
                &self.fd
            }

            /// The descriptor itself.
            ///
            /// # Errors
            /// Gives the socket back while operations on it are in flight.
            pub fn try_into_owned(self) -> Result<std::os::fd::OwnedFd, $name> {
                self.fd.try_into_owned().map_err($name::from_fd)
            }

            /// The address of this end.
            ///
            /// # Errors
            /// Those of `getsockname(2)`.
            pub fn local_addr(&self) -> std::io::Result<super::SocketAddr> {
                crate::sys::unix::socket_addr(self.fd.as_raw_fd(), crate::sys::unix::End::Local)
            }

            /// Waits until there is something to take, or the peer has gone. `relaxed` is there for monoio's programs:
            /// the answer is always a true one.
            ///
            /// # Errors
            /// Those of `poll(2)`.
            ///
            /// # Cancellation
            /// **Clean**: waiting takes nothing.
            pub async fn readable(&self, relaxed: bool) -> std::io::Result<()> {
                let _ = relaxed;
                crate::op::poll(&self.fd, crate::entry::Interest::Read).await
            }
        }

        impl From<std::os::fd::OwnedFd> for $name {
            /// Takes a descriptor over, which ought to be such a socket's.
            fn from(fd: std::os::fd::OwnedFd) -> $name {
                $name::from_fd(crate::driver::Fd::socket(fd))
            }
        }

        impl std::os::fd::AsRawFd for $name {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.fd.as_raw_fd()
            }
        }

        impl std::os::fd::AsFd for $name {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }

        impl std::os::fd::IntoRawFd for $name {
            /// The descriptor, which is the caller's to close. While an operation on the socket is in flight the number
            /// must stay open for it, and a duplicate is given instead.
            ///
            /// # Panics
            /// When a duplicate is needed and no descriptor is left.
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                match self.try_into_owned() {
                    Ok(fd) => fd.into_raw_fd(),
                    Err(shared) => shared.fd.duplicate().expect("a descriptor for a duplicate").into_raw_fd(),
                }
            }
        }
    };
}

/// What every Unix socket with a peer has.
macro_rules! with_peer {
    ($name:ident) => {
        impl $name {
            /// The address of the other end.
            ///
            /// # Errors
            /// `NotConnected` when there is none.
            pub fn peer_addr(&self) -> std::io::Result<super::SocketAddr> {
                crate::sys::unix::socket_addr(self.fd.as_raw_fd(), crate::sys::unix::End::Peer)
            }

            /// Waits until there is room to send, or the peer has gone. `relaxed` is there for monoio's programs.
            ///
            /// # Errors
            /// Those of `poll(2)`.
            ///
            /// # Cancellation
            /// **Clean**: waiting takes nothing.
            pub async fn writable(&self, relaxed: bool) -> std::io::Result<()> {
                let _ = relaxed;
                crate::op::poll(&self.fd, crate::entry::Interest::Write).await
            }

            /// Sends `buf` together with descriptors, of which the peer gets some of its own. Gives buffer and
            /// descriptors back; whoever does not need them drops them. At least one byte has to go with them on a
            /// stream, and Linux takes 253 at most.
            ///
            /// # Errors
            /// Those of `sendmsg(2)`: `EINVAL` for too many, `ETOOMANYREFS` when too many are on their way.
            ///
            /// # Cancellation
            /// **Lossy**: they may have been sent. Ours are closed when the operation has ended.
            pub async fn send_fds<T: crate::buf::IoBuf>(
                &self,
                buf: T,
                fds: Vec<std::os::fd::OwnedFd>,
            ) -> crate::buf::BufResult<usize, (T, Vec<std::os::fd::OwnedFd>)> {
                super::send_fds(&self.fd, &self.spare, buf, fds).await
            }

            /// Receives into `buf`, and up to `most` descriptors (253 if that is more) that came with it. On a stream a
            /// receive stops where the next descriptors begin.
            ///
            /// # Errors
            /// Those of `recvmsg(2)`, with the buffer.
            ///
            /// # Cancellation
            /// **Lossy**: what was received is lost; descriptors are closed.
            pub async fn recv_fds<T: crate::buf::IoBufMut>(
                &self,
                buf: T,
                most: usize,
            ) -> crate::buf::BufResult<(usize, super::Fds), T> {
                super::recv_fds(&self.fd, buf, most).await
            }

            /// Sends `buf` with what is in `envelope`: descriptors and other control data.
            ///
            /// # Errors
            /// Those of `sendmsg(2)`, with buffer and envelope.
            ///
            /// # Cancellation
            /// **Lossy**: it may have been sent.
            pub async fn send_msg<T: crate::buf::IoBuf>(
                &self,
                buf: T,
                envelope: crate::buf::Envelope,
            ) -> crate::buf::BufResult<usize, (T, crate::buf::Envelope)> {
                crate::op::sendmsg_unix(&self.fd, buf, envelope).await
            }

            /// Receives into `buf`, and into `envelope` what came along, as far as there is
            /// [room](crate::buf::Envelope::set_room).
            ///
            /// # Errors
            /// Those of `recvmsg(2)`, with buffer and envelope.
            ///
            /// # Cancellation
            /// **Lossy**: what was received is lost; descriptors are closed.
            pub async fn recv_msg<T: crate::buf::IoBufMut>(
                &self,
                buf: T,
                envelope: crate::buf::Envelope,
            ) -> crate::buf::BufResult<usize, (T, crate::buf::Envelope)> {
                crate::op::recvmsg(&self.fd, buf, envelope, 0).await
            }
        }
    };
}

use {common, with_peer};

#[cfg(test)]
mod tests;
