//! Our ends of a child's pipes.
//!
//! They are left as blocking as they are: operations do not need it otherwise, and one may become the standard input of
//! another child, which would not know what to do with `EAGAIN`.

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    driver::Fd,
    io::{AsyncReadRent, AsyncWriteRent},
    op,
};
use std::{
    future::{Future, ready},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process,
};

/// Reading ends.
macro_rules! output {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            fd: Fd,
        }

        impl $name {
            /// Takes over a pipe of `std`.
            ///
            /// # Errors
            /// None yet.
            pub fn from_std(pipe: process::$name) -> io::Result<$name> {
                Ok($name { fd: Fd::new(pipe.into()) })
            }

            /// The pipe's descriptor, for operations of [`op`](crate::op).
            #[must_use]
            pub fn fd(&self) -> &Fd {
                &self.fd
            }

            /// The descriptor itself, which as a [`Stdio`](process::Stdio) may be what another child reads.
            ///
            /// # Errors
            /// Gives the pipe back while operations on it are in flight.
            pub fn try_into_owned(self) -> Result<OwnedFd, $name> {
                self.fd.try_into_owned().map_err(|fd| $name { fd })
            }
        }

        impl AsyncReadRent for $name {
            fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                op::read(&self.fd, buf)
            }

            fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                op::readv(&self.fd, buf)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }
    };
}

output! {
    /// What a child writes to its standard output.
    ChildStdout
}
output! {
    /// What a child writes to its standard error.
    ChildStderr
}

/// What a child reads from its standard input. Dropping it is the end of the input, once the writes have ended.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` after a shutdown.
    fd: Option<Fd>,
}

impl ChildStdin {
    /// Takes over a pipe of `std`.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(pipe: process::ChildStdin) -> io::Result<ChildStdin> {
        Ok(ChildStdin { fd: Some(Fd::new(pipe.into())) })
    }

    /// The pipe's descriptor, for operations of [`op`](crate::op). `None` after a shutdown.
    #[must_use]
    pub fn fd(&self) -> Option<&Fd> {
        self.fd.as_ref()
    }
}

/// What a write after the shutdown gives.
fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the child's input was shut down")
}

impl AsyncWriteRent for ChildStdin {
    async fn write<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
        match &self.fd {
            Some(fd) => op::write(fd, buf).await,
            None => (Err(closed()), buf),
        }
    }

    async fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
        match &self.fd {
            Some(fd) => op::writev(fd, buf_vec).await,
            None => (Err(closed()), buf_vec),
        }
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }

    /// Ends the child's input. If a write that was given up is still in flight, that happens when it has ended.
    async fn shutdown(&mut self) -> io::Result<()> {
        match self.fd.take().map(op::close) {
            Some(Ok(closing)) => closing.await,
            Some(Err(_)) | None => Ok(()),
        }
    }
}
