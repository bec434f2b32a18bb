//! A connection on its way to another thread.

use super::TcpStream;
use crate::driver::Fd;
use std::{
    fmt,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// A connection that belongs to no runtime, made by [`TcpStream::detach`]: it can be sent to another thread, and is a
/// stream again there. Dropping it closes the connection.
///
/// ```
/// use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all("for whoever has it").await.0?;
///
///     let detached = server.detach().expect("nothing is in flight");
///     let other = std::thread::spawn(|| annulus::run(async move { detached.attach().read(vec![0; 18]).await.1 }));
///     assert_eq!(other.join().unwrap(), b"for whoever has it");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Detached(OwnedFd);

static_assertions::assert_impl_all!(Detached: Send, Sync);

impl Detached {
    /// The connection, for the runtime of this thread.
    #[must_use]
    pub fn attach(self) -> TcpStream {
        TcpStream::from_fd(Fd::socket(self.0))
    }
}

impl TcpStream {
    /// Takes the connection out of this runtime, to be sent to another thread. What has arrived and was not read waits
    /// in the socket, and nothing else is anywhere.
    ///
    /// # Errors
    /// Gives the stream back while an operation on it is in flight. One whose future was dropped is in flight until its
    /// cancellation was answered, which takes the runtime a turn, and it may still have taken what it was waiting for:
    /// [cancel](crate::op::Submit::cancel) it and await its result instead, and nothing is lost.
    pub fn detach(self) -> Result<Detached, TcpStream> {
        self.try_into_owned().map(Detached)
    }
}

impl From<Detached> for OwnedFd {
    fn from(detached: Detached) -> OwnedFd {
        detached.0
    }
}

impl AsRawFd for Detached {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Detached").field(&self.0.as_raw_fd()).finish()
    }
}
