//! The connections that come to a listener, one after the other.

use super::{TcpListener, TcpStream};
use crate::{
    driver::Fd,
    op::{self, AcceptMulti, Multi},
};
use std::{
    io,
    task::{Context, Poll},
};

/// The connections that come to a listener; made by [`TcpListener::incoming`].
///
/// On the ring they are all accepted by one request, where the kernel has such (since Linux 5.19). Some are accepted
/// before they are asked for, some hundred at most; dropping this closes those.
///
/// ```
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let mut incoming = listener.incoming();
///     while let Some(stream) = incoming.next().await {
///         let stream = stream?;
///         assert_eq!(stream.peer_addr()?, client.local_addr()?);
///         incoming.cancel();
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Incoming(Multi<AcceptMulti>);

impl TcpListener {
    /// The connections that come to this listener, without end.
    ///
    /// Who a connection is from, [`TcpStream::peer_addr`] tells, for a system call, unless the peer is gone already
    /// (`NotConnected`).
    #[must_use]
    pub fn incoming(&self) -> Incoming {
        Incoming(op::accept_multi(self.fd()))
    }
}

impl Incoming {
    /// The next connection; `None` after the last.
    ///
    /// When no descriptor is left (`EMFILE`) it waits until there is one again, and the connections wait in the
    /// listener's queue.
    ///
    /// # Errors
    /// What became of a connection before it was accepted (`ConnectionAborted`); more come after it. Any other error
    /// is the last item: those of `accept4(2)`.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was not given is the next one.
    ///
    /// # Panics
    /// The first time, outside of a runtime.
    pub async fn next(&mut self) -> Option<io::Result<TcpStream>> {
        self.0.next().await.map(stream)
    }

    /// As [`Incoming::next`], for a stream of one's own.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        self.0.poll_next(cx).map(|item| item.map(stream))
    }

    /// Asks for an early end. What was accepted by then is still given, and `None` after it.
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

fn stream(accepted: io::Result<std::os::fd::OwnedFd>) -> io::Result<TcpStream> {
    accepted.map(|fd| TcpStream::from_fd(Fd::socket(fd)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRent, AsyncWriteRentExt},
        testing::settle,
        time::timeout,
    };
    use std::time::Duration;

    /// Red when a connection is lost or told of twice.
    #[crate::test]
    async fn each_connection_comes_once_and_works() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        for n in 0..50 {
            let mut client = TcpStream::connect(addr).await.unwrap();
            let next = timeout(Duration::from_secs(5), incoming.next()).await.expect("a connection is lost");
            let mut server = next.unwrap().unwrap();
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
            server.write_all(vec![n; 3]).await.0.unwrap();
            assert_eq!(client.read(Vec::with_capacity(8)).await.1, vec![n; 3]);
        }
        assert!(timeout(Duration::from_millis(5), incoming.next()).await.is_err(), "nobody has connected");
        incoming.cancel();
        assert!(incoming.next().await.is_none());
        settle().await;
        // The listener goes on without it.
        let client = TcpStream::connect(addr).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
    }
}
