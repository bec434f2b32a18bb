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

    /// Connections with tokio's traits.
    #[cfg(feature = "poll-io")]
    pub mod stream_poll {
        pub use annulus::net::polled::TcpStreamPoll;
    }

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

    /// Connections with tokio's traits.
    #[cfg(feature = "poll-io")]
    pub mod stream_poll {
        pub use annulus::net::polled::UnixStreamPoll;
    }

    /// The half of a connection that is read.
    pub type UnixOwnedReadHalf = OwnedReadHalf<UnixStream>;
    /// The half of a connection that is written.
    pub type UnixOwnedWriteHalf = OwnedWriteHalf<UnixStream>;
}
