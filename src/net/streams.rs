//! Listeners, and what comes to them, as streams of items.

use super::{
    Incoming, TcpListener, TcpStream,
    unix::{SocketAddr as UnixAddr, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream},
};
use crate::io::stream::Stream;
use std::{io, net::SocketAddr};

/// The stream never ends.
impl Stream for TcpListener {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    async fn next(&mut self) -> Option<Self::Item> {
        Some(self.accept().await)
    }
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    async fn next(&mut self) -> Option<Self::Item> {
        Incoming::next(self).await
    }
}

/// The stream never ends.
impl Stream for UnixListener {
    type Item = io::Result<(UnixStream, UnixAddr)>;

    async fn next(&mut self) -> Option<Self::Item> {
        Some(self.accept().await)
    }
}

/// The stream never ends.
impl Stream for UnixSeqpacketListener {
    type Item = io::Result<(UnixSeqpacket, UnixAddr)>;

    async fn next(&mut self) -> Option<Self::Item> {
        Some(self.accept().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{io::stream::StreamExt, testing::temp_path};

    #[crate::test]
    async fn connections_are_items() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut addrs = listener.map(|came| came.unwrap().1);
        assert_eq!(addrs.next().await, client.local_addr().ok());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut addrs = listener.incoming().map(|came| came.unwrap().peer_addr().unwrap());
        assert_eq!(addrs.next().await, client.local_addr().ok());

        let path = temp_path();
        let mut listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        assert!(Stream::next(&mut listener).await.unwrap().unwrap().1.is_unnamed());
        std::fs::remove_file(path).unwrap();
    }
}
