//! Readiness of descriptors that are others'.

use crate::{
    driver::Fd,
    entry::Interest,
    op::{self, Multi, PollMulti},
};
use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    task::{Context, Poll},
};

/// Tells when a descriptor of somebody else's is ready: of a C library, a device, an inotify.
///
/// It works on what `T` has as its own, and never changes it: a descriptor that blocks goes on to block. So a call
/// after a wait for readiness may still block: a write of more than there is room for, or a read when somebody else has
/// read meanwhile. Where that matters, make it non-blocking yourself; what answers `WouldBlock` is called again by
/// [`AsyncFd::io`].
///
/// It holds a duplicate of the descriptor, so that a number that `T` closes is nobody else's while it is waited for.
///
/// ```
/// use annulus::io::{AsyncFd, Interest};
/// use std::io::{Read, Write};
///
/// annulus::run(async {
///     let (here, mut there) = std::os::unix::net::UnixStream::pair()?;
///     here.set_nonblocking(true)?;
///     let here = AsyncFd::new(here)?;
///     there.write_all(b"ready")?;
///     let mut buf = [0; 8];
///     let n = here.io(Interest::Read, |mut stream| stream.read(&mut buf)).await?;
///     assert_eq!(&buf[..n], b"ready");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct AsyncFd<T: AsFd> {
    inner: T,
    fd: Fd,
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes over whatever has a descriptor.
    ///
    /// # Errors
    /// `EMFILE` when the process may have no more descriptors.
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        let fd = Fd::new(inner.as_fd().try_clone_to_owned()?);
        Ok(AsyncFd { inner, fd })
    }

    /// What has the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The same, to change it. Should it have another descriptor afterwards, this waits for the former one.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives back what has the descriptor.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Waits until there is something to read, or the peer has gone. A regular file always is ready.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn readable(&self) -> io::Result<Ready<'_, T>> {
        op::poll(&self.fd, Interest::Read).await?;
        Ok(Ready(self))
    }

    /// Waits until there is room to write, or the peer has gone.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    ///
    /// # Cancellation
    /// **Clean**: waiting takes nothing.
    pub async fn writable(&self) -> io::Result<Ready<'_, T>> {
        op::poll(&self.fd, Interest::Write).await?;
        Ok(Ready(self))
    }

    /// Calls `call` when there is `interest`, again and again until it does not answer `WouldBlock`.
    ///
    /// # Errors
    /// Those of `call`, and those of `poll(2)`.
    ///
    /// # Cancellation
    /// **Clean**: `call` has given its answer, or has done nothing.
    pub async fn io<R>(&self, interest: Interest, mut call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            op::poll(&self.fd, interest).await?;
            if let Ok(answer) = Ready(self).try_io(&mut call) {
                return answer;
            }
        }
    }

    /// Tells each change: that there is something to read (or room to write) again, by one request where the kernel
    /// can. What was not read may not be told again: read until there is nothing.
    pub fn changes(&self, interest: Interest) -> Changes {
        Changes(op::poll_multi(&self.fd, interest))
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.inner).finish()
    }
}

/// A descriptor that was ready a moment ago.
#[derive(Debug)]
#[must_use = "somebody has to use what is ready"]
pub struct Ready<'a, T: AsFd>(&'a AsyncFd<T>);

/// The call would have had to wait: it was not as ready as it seemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl<'a, T: AsFd> Ready<'a, T> {
    /// Calls `call` with what has the descriptor.
    ///
    /// # Errors
    /// [`WouldBlock`] when that is what `call` answers: wait again then. Any other answer is given as it is.
    pub fn try_io<R>(&self, call: impl FnOnce(&'a T) -> io::Result<R>) -> Result<io::Result<R>, WouldBlock> {
        match call(&self.0.inner) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(WouldBlock),
            answer => Ok(answer),
        }
    }

    /// What has the descriptor.
    #[must_use]
    pub fn get_ref(&self) -> &'a T {
        &self.0.inner
    }
}

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the descriptor is not ready any more")
    }
}

impl std::error::Error for WouldBlock {}

/// The changes of a descriptor; made by [`AsyncFd::changes`].
#[derive(Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Changes(Multi<PollMulti>);

impl Changes {
    /// Waits for the next change. An error is the last item, and after it comes `None`.
    ///
    /// # Cancellation
    /// **Clean**: a change that was not given is the next one.
    pub async fn next(&mut self) -> Option<io::Result<()>> {
        self.0.next().await
    }

    /// As [`Changes::next`], for a stream of one's own.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<()>>> {
        self.0.poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::unix,
        testing::{poll_once, settle},
        time::{sleep, timeout},
    };
    use std::{
        io::{Read, Write, pipe},
        os::unix::net::UnixStream,
        time::Duration,
    };

    const SOON: Duration = Duration::from_secs(5);

    /// Red when the descriptor is made non-blocking, or its number is closed under its owner.
    #[crate::test]
    async fn a_descriptor_is_left_as_it_was() {
        let (reader, mut writer) = pipe().unwrap();
        let mut foreign = AsyncFd::new(reader).unwrap();
        assert!(timeout(Duration::from_millis(5), foreign.readable()).await.is_err(), "there is nothing");
        writer.write_all(b"xyz").unwrap();
        let ready = timeout(SOON, foreign.readable()).await.unwrap().unwrap();
        let mut buf = [0; 2];
        assert_eq!(ready.try_io(|mut pipe| pipe.read(&mut buf)).unwrap().unwrap(), 2);
        assert!(!unix::is_nonblocking(foreign.as_raw_fd()));
        drop(foreign.readable().await.unwrap());
        foreign.get_mut().read_exact(&mut buf[..1]).unwrap();
        let mut reader = foreign.into_inner();
        settle().await;
        writer.write_all(b"!").unwrap();
        assert_eq!(reader.read(&mut buf).unwrap(), 1);
    }

    #[crate::test]
    async fn a_call_that_would_block_is_made_again() {
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let here = AsyncFd::new(here).unwrap();
        let (mut calls, mut buf) = (0, [0; 8]);
        let mut reading = Box::pin(here.io(Interest::Read, |mut stream| {
            calls += 1;
            if calls == 1 { Err(io::ErrorKind::WouldBlock.into()) } else { stream.read(&mut buf) }
        }));
        poll_once(&mut reading).await;
        there.write_all(b"abc").unwrap();
        assert_eq!(timeout(SOON, reading).await.unwrap().unwrap(), 3);
        assert_eq!(calls, 2);
        let ready = here.writable().await.unwrap();
        assert!(matches!(ready.try_io(|mut stream| stream.read(&mut [0])), Err(WouldBlock)));
        let told = ready.try_io(|_| Err::<(), _>(io::ErrorKind::Other.into())).unwrap();
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[crate::test]
    async fn changes_are_told() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let foreign = AsyncFd::new(here.try_clone().unwrap()).unwrap();
        let mut changes = foreign.changes(Interest::Read);
        for _ in 0..10 {
            there.write_all(b"x").unwrap();
            timeout(SOON, changes.next()).await.unwrap().unwrap().unwrap();
            here.read_exact(&mut [0]).unwrap();
        }
        sleep(Duration::from_millis(1)).await;
        drop(there);
        timeout(SOON, changes.next()).await.unwrap().unwrap().unwrap();
    }
}
