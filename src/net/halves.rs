//! What the [halves](crate::io::exclusive) of connections know and can, besides reading and writing.

use super::{TcpStream, UdpSocket, UnixStream, unix};
use crate::{
    driver::Fd,
    io::{
        AsReadFd, AsWriteFd,
        exclusive::{OwnedReadHalf, OwnedWriteHalf, Split},
    },
};
use std::{io, net};

macro_rules! connections {
    ($($stream:ty: $addr:ty;)*) => {$(
        // SAFETY: Marked: its halves use shared references.
        unsafe impl Split for $stream {}

        connections!($stream, OwnedReadHalf, $addr);
        connections!($stream, OwnedWriteHalf, $addr);

        impl AsReadFd for OwnedReadHalf<$stream> {
            fn as_reader_fd(&mut self) -> &Fd {
                (*self).as_ref().fd()
            }
        }

        impl AsWriteFd for OwnedWriteHalf<$stream> {
            fn as_writer_fd(&mut self) -> &Fd {
                (*self).as_ref().fd()
            }
        }
    )*};
    ($stream:ty, $half:ident, $addr:ty) => {
        impl AsRef<$stream> for $half<$stream> {
            fn as_ref(&self) -> &$stream {
                // SAFETY: Marked: the halves of this type make shared references alone, and it is theirs while one
                // is borrowed.
                unsafe { &*self.0.get() }
            }
        }

        impl $half<$stream> {
            /// The address of this end.
            ///
            /// # Errors
            /// Those of `getsockname(2)`.
            pub fn local_addr(&self) -> io::Result<$addr> {
                self.as_ref().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// `NotConnected` when there is none any more.
            pub fn peer_addr(&self) -> io::Result<$addr> {
                self.as_ref().peer_addr()
            }
        }
    };
}

connections! {
    TcpStream: net::SocketAddr;
    UnixStream: unix::SocketAddr;
}

// SAFETY: Marked: it is no stream, and has no halves that do anything.
unsafe impl Split for UdpSocket {}
