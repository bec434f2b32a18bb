//! Both directions between two connections, for proxies.

use super::TcpStream;
use crate::{
    driver::Fd,
    io::{
        AsReadFd, AsWriteFd,
        flow::{Failed, Flow},
    },
    op,
};
use std::{cell::Cell, error, fmt, io, net::Shutdown};

impl AsReadFd for TcpStream {
    fn as_reader_fd(&mut self) -> &Fd {
        self.fd()
    }
}

impl AsWriteFd for TcpStream {
    fn as_writer_fd(&mut self) -> &Fd {
        self.fd()
    }
}

/// How many bytes went which way: those that the other side's socket took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Copied {
    /// From the first connection to the second, in bytes.
    pub a_to_b: u64,
    /// From the second connection to the first, in bytes.
    pub b_to_a: u64,
}

/// Counts what [`copy_bidirectional_counted`] passes on, to be looked at while it does: by whoever ends a connection on
/// which nothing moves, or prints what did. What was passed on by a copy that was dropped is here as well.
#[derive(Debug, Default)]
pub struct CopyCounter {
    a_to_b: Cell<u64>,
    b_to_a: Cell<u64>,
}

impl CopyCounter {
    /// A counter at 0.
    #[must_use]
    pub fn new() -> CopyCounter {
        CopyCounter::default()
    }

    /// What has been passed on so far.
    #[must_use]
    pub fn copied(&self) -> Copied {
        Copied { a_to_b: self.a_to_b.get(), b_to_a: self.b_to_a.get() }
    }
}

/// One of two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// Why a copy in both directions ended before both had: which side failed, and what had been passed on by then.
#[derive(Debug)]
pub struct CopyError {
    /// What the system said.
    pub error: io::Error,
    /// Whose connection it said that of.
    pub side: Side,
    /// What had been passed on in either direction.
    pub copied: Copied,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::A => "first",
            Side::B => "second",
        };
        let Copied { a_to_b, b_to_a } = self.copied;
        write!(f, "the {side} connection failed after {a_to_b} bytes there and {b_to_a} back: {}", self.error)
    }
}

impl error::Error for CopyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<CopyError> for io::Error {
    fn from(failed: CopyError) -> io::Error {
        failed.error
    }
}

/// Passes on what comes from either connection to the other, until both have ended. Gives how much that was.
///
/// The end of one direction (the peer has shut down its writing) is passed on as such, and the other one goes on. The
/// bytes move inside the kernel, by `splice(2)` through pipes that the runtime keeps; a direction in which nothing
/// moves has none. Outside of Linux, and without descriptors for pipes, they go by a buffer. Both sockets become
/// non-blocking, which is nothing to operations here.
///
/// ```
/// use annulus::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
/// use annulus::net::{TcpListener, TcpStream, copy_bidirectional};
///
/// annulus::run(async {
///     let (proxy, server) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
///     let upstream = server.local_addr()?;
///     let mut client = TcpStream::connect(proxy.local_addr()?).await?;
///     let proxied = annulus::spawn(async move {
///         let (mut from, _) = proxy.accept().await?;
///         let mut to = TcpStream::connect(upstream).await?;
///         Ok::<_, std::io::Error>(copy_bidirectional(&mut from, &mut to).await?)
///     });
///     let (mut there, _) = server.accept().await?;
///
///     client.write_all("ping").await.0?;
///     assert_eq!(there.read(Vec::with_capacity(9)).await.1, b"ping");
///     there.write_all("pong!").await.0?;
///     drop(there);
///     assert_eq!(client.read(Vec::with_capacity(9)).await.1, b"pong!");
///     client.shutdown().await?;
///     let copied = proxied.await.unwrap()?;
///     assert_eq!((copied.a_to_b, copied.b_to_a), (4, 5));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// The first error of either connection ends both directions. It says which one that was, and how much had been passed
/// on; the connections are left as they are, and dropping them tells the peers.
///
/// # Cancellation
/// **Lossy**: bytes that were read and not yet written are lost.
///
/// # Panics
/// Outside of a runtime.
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> Result<Copied, CopyError>
where
    A: AsReadFd + AsWriteFd + ?Sized,
    B: AsReadFd + AsWriteFd + ?Sized,
{
    copy_bidirectional_counted(a, b, &CopyCounter::new()).await
}

/// As [`copy_bidirectional`], and adds to `counter` as the bytes pass.
///
/// # Errors
/// As there.
///
/// # Cancellation
/// **Lossy**: bytes that were read and not yet written are lost, and are not counted.
///
/// # Panics
/// Outside of a runtime.
pub async fn copy_bidirectional_counted<A, B>(a: &mut A, b: &mut B, counter: &CopyCounter) -> Result<Copied, CopyError>
where
    A: AsReadFd + AsWriteFd + ?Sized,
    B: AsReadFd + AsWriteFd + ?Sized,
{
    let (from_a, from_b) = (a.as_reader_fd().clone(), b.as_reader_fd().clone());
    let ended = crate::try_join!(
        one_way(&from_a, b.as_writer_fd(), &counter.a_to_b, (Side::A, Side::B)),
        one_way(&from_b, a.as_writer_fd(), &counter.b_to_a, (Side::B, Side::A)),
    );
    let copied = counter.copied();
    match ended {
        Ok(((), ())) => Ok(copied),
        Err((side, error)) => Err(CopyError { error, side, copied }),
    }
}

/// Passes on all bytes of one direction, and its end.
async fn one_way(from: &Fd, to: &Fd, passed: &Cell<u64>, sides: (Side, Side)) -> Result<(), (Side, io::Error)> {
    Flow::new(from, to, u64::MAX, passed).run().await.map_err(|failed| match failed {
        Failed::Reading(error) => (sides.0, error),
        Failed::Writing(error) => (sides.1, error),
    })?;
    match op::shutdown(to, Shutdown::Write).await {
        // Whoever has gone altogether reads no end; whether something was lost is for the other direction to find out.
        Err(gone) if gone.kind() == io::ErrorKind::NotConnected => Ok(()),
        res => res.map_err(|error| (sides.1, error)),
    }
}
