//! Bytes from one descriptor to another that the process does not see.

use super::{AsReadFd, AsWriteFd, flow::Flow};
use std::{cell::Cell, io};

/// Copies all that `reader` gives to `writer`, until its end, without reading it: by `splice(2)` through a pipe of the
/// runtime's own. Gives the number of bytes.
///
/// Sockets, pipes and files can be either; a file is read and written from its own position on. What cannot be spliced
/// (a file that appends, a terminal) and systems other than Linux get the same by a buffer. Sockets become
/// non-blocking, which is nothing to operations here, but is seen by whoever else has the same open socket.
///
/// ```
/// use annulus::fs::File;
/// use annulus::io::{AsyncReadRentExt, zero_copy};
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let mut file = File::open("Cargo.toml").await?;
///     let n = zero_copy(&mut file, &mut server).await?;
///     drop(server);
///     let (res, text) = client.read_exact(vec![0; n as usize]).await;
///     res?;
///     assert_eq!(text, std::fs::read("Cargo.toml")?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Whatever ended either stream; an unknown part was copied then. `WriteZero` when nothing more is taken.
///
/// # Cancellation
/// **Lossy**: bytes that were read and not yet written are lost.
///
/// # Panics
/// Outside of a runtime.
pub async fn zero_copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsReadFd + ?Sized,
    W: AsWriteFd + ?Sized,
{
    let passed = Cell::new(0);
    let flow = Flow::new(reader.as_reader_fd(), writer.as_writer_fd(), u64::MAX, &passed);
    flow.run().await.map_err(|failed| failed.into_error())?;
    Ok(passed.get())
}

/// Sends `len` bytes of a file from `offset` on, both in bytes, as [`zero_copy`] does; the file's own position stays.
/// Gives the number of bytes that `writer` took, of those before an error, too. They are fewer if the file ends before.
///
/// # Errors
/// Whatever ended the file or the stream, with the number of bytes that had been sent by then.
///
/// # Cancellation
/// **Lossy**: bytes may have been sent, and nobody learns how many.
///
/// # Panics
/// Outside of a runtime.
pub async fn send_file<R, W>(file: &mut R, offset: u64, len: u64, writer: &mut W) -> (io::Result<()>, u64)
where
    R: AsReadFd + ?Sized,
    W: AsWriteFd + ?Sized,
{
    let passed = Cell::new(0);
    let flow = Flow::new(file.as_reader_fd(), writer.as_writer_fd(), len, &passed).at(offset);
    let res = flow.run().await.map_err(|failed| failed.into_error());
    (res, passed.get())
}
