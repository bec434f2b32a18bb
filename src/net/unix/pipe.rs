//! Pipes: with two ends that are ours, and with a name in the file system.

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    driver::{Driver, Fd},
    entry::Interest,
    io::{AsReadFd, AsWriteFd, AsyncReadRent, AsyncWriteRent},
    op::{self, OpenHow},
    sys::{
        self,
        unix::{self, Kind},
    },
};
use std::{
    future::{Future, ready},
    io,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd},
    path::Path,
    process::Stdio,
};

/// One end of a pipe. Writing to one that is read, and reading from one that is written, is an error.
///
/// ```
/// use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
/// use annulus::net::unix::new_pipe;
///
/// annulus::run(async {
///     let (mut reader, mut writer) = new_pipe()?;
///     writer.write_all("through").await.0?;
///     assert_eq!(reader.read(Vec::with_capacity(16)).await.1, b"through");
///     drop(writer);
///     assert_eq!(reader.read(Vec::with_capacity(16)).await.0?, 0);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Pipe {
    /// `None` after a shutdown.
    fd: Option<Fd>,
}

/// A new pipe: the end to read, and the end to write. Children inherit neither.
///
/// # Errors
/// `EMFILE` when no descriptors are left.
pub fn new_pipe() -> io::Result<(Pipe, Pipe)> {
    let (reader, writer) = unix::pipe()?;
    Ok((reader.into(), writer.into()))
}

impl Pipe {
    /// Opens the named pipe at `path` to read. It waits for no writer: until one comes, [`Pipe::readable`] waits and a
    /// read gives 0 bytes, as it does after the last one has gone.
    ///
    /// # Errors
    /// Those of `openat(2)`, and `InvalidInput` for what is no pipe.
    ///
    /// # Cancellation
    /// **Clean**: a descriptor that was opened is closed.
    pub async fn open_reader(path: impl AsRef<Path>) -> io::Result<Pipe> {
        Pipe::open(path.as_ref(), libc::O_RDONLY).await
    }

    /// Opens the named pipe at `path` to write. It waits for no reader.
    ///
    /// # Errors
    /// `ENXIO` while nobody has it open to read, those of `openat(2)`, and `InvalidInput` for what is no pipe.
    ///
    /// # Cancellation
    /// **Clean**: a descriptor that was opened is closed.
    pub async fn open_writer(path: impl AsRef<Path>) -> io::Result<Pipe> {
        Pipe::open(path.as_ref(), libc::O_WRONLY).await
    }

    async fn open(path: &Path, flags: i32) -> io::Result<Pipe> {
        let flags = flags | libc::O_NONBLOCK;
        let fd = op::openat(path, OpenHow { flags, mode: 0 })?.await?;
        if unix::kind(fd.as_raw_fd()) != Kind::Stream {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is no named pipe")));
        }
        let on_ring = |opcode| Driver::current().is_some_and(|driver| driver.on_ring(opcode as u8));
        if on_ring(sys::IORING_OP_READ) && on_ring(sys::IORING_OP_WRITE) {
            // The ring would say that there is nothing, instead of waiting.
            unix::set_nonblocking(fd.as_raw_fd(), false)?;
        }
        Ok(fd.into())
    }

    /// The pipe's descriptor, for operations of [`op`](crate::op). `None` after a shutdown.
    #[must_use]
    pub fn fd(&self) -> Option<&Fd> {
        self.fd.as_ref()
    }

    fn open_fd(&self) -> io::Result<&Fd> {
        self.fd.as_ref().ok_or_else(|| io::Error::new(io::ErrorKind::BrokenPipe, "the pipe was shut down"))
    }

    /// Waits until there is something to read, or the last writer has gone.
    ///
    /// # Errors
    /// Those of `poll(2)`, and `BrokenPipe` after a shutdown.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn readable(&self) -> io::Result<()> {
        op::poll(self.open_fd()?, Interest::Read).await
    }

    /// Waits until there is room to write, or the last reader has gone.
    ///
    /// # Errors
    /// Those of `poll(2)`, and `BrokenPipe` after a shutdown.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn writable(&self) -> io::Result<()> {
        op::poll(self.open_fd()?, Interest::Write).await
    }

    /// The descriptor itself. `Ok(None)` after a shutdown.
    ///
    /// # Errors
    /// Gives the pipe back while operations on it are in flight.
    pub fn try_into_owned(mut self) -> Result<Option<OwnedFd>, Pipe> {
        match self.fd.take().map(Fd::try_into_owned) {
            None => Ok(None),
            Some(Ok(fd)) => Ok(Some(fd)),
            Some(Err(fd)) => Err(Pipe { fd: Some(fd) }),
        }
    }
}

impl AsyncReadRent for Pipe {
    async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        match self.open_fd() {
            Ok(fd) => op::read(fd, buf).await,
            Err(e) => (Err(e), buf),
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        match self.open_fd() {
            Ok(fd) => op::readv(fd, buf).await,
            Err(e) => (Err(e), buf),
        }
    }
}

impl AsyncWriteRent for Pipe {
    async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
        match self.open_fd() {
            Ok(fd) => op::write(fd, buf).await,
            Err(e) => (Err(e), buf),
        }
    }

    async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
        match self.open_fd() {
            Ok(fd) => op::writev(fd, buf_vec).await,
            Err(e) => (Err(e), buf_vec),
        }
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }

    /// Closes this end. If a write that was given up is still in flight, that happens when it has ended.
    async fn shutdown(&mut self) -> io::Result<()> {
        match self.fd.take().map(op::close) {
            Some(Ok(closing)) => closing.await,
            Some(Err(_)) | None => Ok(()),
        }
    }
}

impl AsReadFd for Pipe {
    /// # Panics
    /// After a shutdown.
    fn as_reader_fd(&mut self) -> &Fd {
        self.fd.as_ref().expect("an annulus pipe that was not shut down")
    }
}

impl AsWriteFd for Pipe {
    /// # Panics
    /// After a shutdown.
    fn as_writer_fd(&mut self) -> &Fd {
        self.fd.as_ref().expect("an annulus pipe that was not shut down")
    }
}

impl AsRawFd for Pipe {
    /// The descriptor's number; -1, which is none, after a shutdown.
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, Fd::as_raw_fd)
    }
}

impl IntoRawFd for Pipe {
    /// The descriptor, which is the caller's to close. While an operation on the pipe is in flight the number must stay
    /// open for it, and a duplicate is given instead.
    ///
    /// # Panics
    /// After a shutdown, and when a duplicate is needed and no descriptor is left.
    fn into_raw_fd(self) -> RawFd {
        let fd = match self.try_into_owned() {
            Ok(fd) => fd,
            Err(shared) => shared.fd.map(|fd| fd.duplicate().expect("a descriptor for a duplicate")),
        };
        fd.expect("a pipe that was not shut down").into_raw_fd()
    }
}

impl From<OwnedFd> for Pipe {
    /// Takes a descriptor over, which ought to be a pipe's.
    fn from(fd: OwnedFd) -> Pipe {
        Pipe { fd: Some(Fd::new(fd)) }
    }
}

impl TryFrom<Pipe> for Stdio {
    type Error = Pipe;

    /// For a child. Gives the pipe back while operations on it are in flight, and after a shutdown.
    fn try_from(pipe: Pipe) -> Result<Stdio, Pipe> {
        pipe.try_into_owned()?.map(Stdio::from).ok_or(Pipe { fd: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{AsyncReadRentExt, AsyncWriteRentExt},
        testing::{await_gone, temp_path},
        time::timeout,
    };
    use std::{ffi::CString, os::unix::ffi::OsStrExt, time::Duration};

    const SOON: Duration = Duration::from_secs(5);

    #[crate::test]
    async fn bytes_go_through_and_end() {
        let (mut reader, mut writer) = new_pipe().unwrap();
        let text: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let expected = text.clone();
        let writing = crate::spawn(async move {
            writer.write_all(text).await.0.unwrap();
            writer.shutdown().await.unwrap();
            assert_eq!(writer.write("more").await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(writer.as_raw_fd(), -1);
            assert!(matches!(writer.try_into_owned(), Ok(None)));
        });
        let (res, buf) = timeout(SOON, reader.read_exact(vec![0; 300_000])).await.expect("it hangs");
        assert!(res.is_ok() && buf == expected);
        assert_eq!(reader.read(vec![0; 8]).await.0.unwrap(), 0);
        writing.await.unwrap();
        drop(reader);
        let (reader, mut writer) = new_pipe().unwrap();
        drop(reader);
        crate::testing::settle().await;
        await_gone(&writer);
        assert_eq!(writer.write("x").await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    fn fifo() -> std::path::PathBuf {
        let path = temp_path();
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: Kernel's word: the name ends in a zero, and is read before the call returns.
        unix::check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }).unwrap();
        path
    }

    /// Red when an open waits for a peer, or a pipe that was opened answers instead of waiting.
    #[crate::test]
    async fn a_named_pipe_needs_no_peer_to_be_opened() {
        let path = fifo();
        let alone = timeout(SOON, Pipe::open_writer(&path)).await.expect("it waits for a reader");
        assert_eq!(alone.unwrap_err().raw_os_error(), Some(libc::ENXIO));
        let mut reader = timeout(SOON, Pipe::open_reader(&path)).await.expect("it waits for a writer").unwrap();
        let mut writer = timeout(SOON, Pipe::open_writer(&path)).await.expect("there is a reader").unwrap();
        let reading = crate::spawn(async move { reader.read(vec![0; 16]).await });
        crate::time::sleep(Duration::from_millis(5)).await;
        assert!(!reading.is_finished(), "there is nothing yet");
        writer.write_all("named").await.0.unwrap();
        let (n, buf) = timeout(SOON, reading).await.unwrap().unwrap();
        assert_eq!((n.unwrap(), &buf[..5]), (5, &b"named"[..]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Pipe::open_reader("Cargo.toml").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
