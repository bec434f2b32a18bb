//! Sockets: [`annulus::net`].

pub use annulus::net::{
    ListenerOpts, Pipe, TcpConnectOpts, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};

/// The older name of [`ListenerOpts`].
#[deprecated(note = "it is called ListenerOpts")]
pub type ListenerConfig = ListenerOpts;

/// TCP.
pub mod tcp {
    use crate::io::{OwnedReadHalf, OwnedWriteHalf};
    pub use annulus::net::{TcpConnectOpts, TcpListener, TcpStream};

    #[cfg(feature = "poll-io")]
    pub use crate::io::poll::tcp as stream_poll;

    /// The half of a connection that is read.
    pub type TcpOwnedReadHalf = OwnedReadHalf<TcpStream>;
    /// The half of a connection that is written.
    pub type TcpOwnedWriteHalf = OwnedWriteHalf<TcpStream>;
}

/// UDP.
pub mod udp {
    pub use annulus::net::UdpSocket;
}

/// Sockets in the file system, and pipes.
pub mod unix {
    use crate::io::{OwnedReadHalf, OwnedWriteHalf};
    pub use annulus::net::unix::{
        Pipe, SocketAddr, UCred, UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream, new_pipe,
    };

    #[cfg(feature = "poll-io")]
    pub use crate::io::poll::unix as stream_poll;

    /// The half of a connection that is read.
    pub type UnixOwnedReadHalf = OwnedReadHalf<UnixStream>;
    /// The half of a connection that is written.
    pub type UnixOwnedWriteHalf = OwnedWriteHalf<UnixStream>;
}
