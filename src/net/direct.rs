//! Connections without a number.

use super::{TcpListener, TcpStream, domain};
use crate::{driver::Fd, op};
use std::{io, net::SocketAddr};

/// Direct connections: in the ring's table instead of having a number, where the ring can have such (since Linux 6.8);
/// elsewhere, and on the poll driver, ordinary ones. What reads and writes works for both; what needs a number
/// (options, addresses, `AsFd`) does not work for a direct one, before [`TcpStream::install`].
impl TcpListener {
    /// As [`accept`](TcpListener::accept), for a direct connection.
    ///
    /// ```
    /// use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
    /// use annulus::net::{TcpListener, TcpStream};
    ///
    /// annulus::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let mut client = TcpStream::connect_direct(listener.local_addr()?).await?;
    ///     let (mut server, _) = listener.accept_direct().await?;
    ///     client.write_all("without a number").await.0?;
    ///     assert_eq!(server.read(vec![0; 16]).await.1, b"without a number");
    ///
    ///     let server = server.install().await?;
    ///     assert!(!server.fd().is_direct() && server.peer_addr()?.ip().is_loopback());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// Those of [`op::accept_direct`].
    ///
    /// # Cancellation
    /// **Lossy**: a connection that was accepted is closed.
    pub async fn accept_direct(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, peer) = op::accept_direct(self.fd()).await;
        Ok((TcpStream::from_fd(fd?), peer.ip()?))
    }
}

impl TcpStream {
    /// As [`connect_addr`](TcpStream::connect_addr), for a direct connection.
    ///
    /// # Errors
    /// Those of [`op::socket_direct`] and `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_direct(addr: SocketAddr) -> io::Result<TcpStream> {
        let fd = op::socket_direct(domain(addr), libc::SOCK_STREAM, 0).await?;
        op::connect(&fd, addr).await?;
        Ok(TcpStream::from_fd(fd))
    }

    /// The connection, with a number; an ordinary one stays as it is.
    ///
    /// # Errors
    /// `EMFILE` when the process may have no more descriptors; the connection is closed then.
    ///
    /// # Cancellation
    /// **Lossy**: the connection is closed.
    pub async fn install(self) -> io::Result<TcpStream> {
        match self.fd().is_direct() {
            true => Ok(TcpStream::from_fd(Fd::socket(op::install(self.fd()).await?))),
            false => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
        testing::settle,
        time::timeout,
    };

    #[crate::test]
    async fn a_conversation_without_numbers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect_direct(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, peer) = listener.accept_direct().await.unwrap();
        assert!(peer.ip().is_loopback());
        client.write_all("ping").await.0.unwrap();
        assert_eq!(server.read(Vec::with_capacity(8)).await.1, b"ping");
        // Red when an option of a connection without a number panics.
        if server.fd().is_direct() {
            let errors = [server.set_nodelay(true).unwrap_err(), server.peer_addr().unwrap_err()];
            assert!(errors.iter().all(|e| e.kind() == io::ErrorKind::Unsupported), "{errors:?}");
        }
        op::setsockopt(server.fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1).await.unwrap();
        let mut server = server.install().await.unwrap();
        assert!(server.nodelay().unwrap() && server.peer_addr().unwrap() == peer);
        server.write_all("pong").await.0.unwrap();
        assert_eq!(client.read(Vec::with_capacity(8)).await.1, b"pong");
        server.shutdown().await.unwrap();
        assert_eq!(client.read(Vec::with_capacity(8)).await.0.unwrap(), 0);
    }

    /// Red when the half that is dropped panics, for want of a number, or says nothing.
    #[crate::test]
    async fn a_dropped_write_half_hangs_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect_direct(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept_direct().await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        writer.write_all("last").await.0.unwrap();
        drop(writer);
        assert_eq!(server.read(Vec::with_capacity(8)).await.1, b"last");
        let soon = std::time::Duration::from_secs(5);
        let (end, _) = timeout(soon, server.read(Vec::with_capacity(8))).await.expect("it says nothing");
        assert_eq!(end.unwrap(), 0);
        server.write_all("answer").await.0.unwrap();
        assert_eq!(reader.read(Vec::with_capacity(8)).await.1, b"answer");
        drop(reader);
        settle().await;
    }

    /// Red when what cannot be done by hand fails as if the connection were gone.
    #[crate::test]
    async fn what_does_not_wait_needs_a_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect_direct(listener.local_addr().unwrap()).await.unwrap();
        let error = client.try_read(vec![1, 2]).0.unwrap_err();
        let wanted = if client.fd().is_direct() { libc::EOPNOTSUPP } else { libc::EAGAIN };
        assert_eq!(error.raw_os_error(), Some(wanted));
    }
}
