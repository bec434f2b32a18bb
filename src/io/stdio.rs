//! The standard streams of the process.
//!
//! Each goes to the open file as it is: nothing is kept back, so what `std` keeps back (`println!` to a pipe does until
//! the line ends) comes when it is flushed. The open file is shared, perhaps with the shell that started the program,
//! and its flags stay as they are; the numbers 0, 1 and 2 are never closed.

use super::{AsyncReadRent, AsyncWriteRent};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    driver::Fd,
    entry::Interest,
    op,
};
use std::{
    future::{Future, ready},
    io::{self, IsTerminal},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

/// What the process reads.
///
/// A read from a terminal waits until there is something before it asks for it: given up until then it has taken
/// nothing, and neither a thread of the pool nor the runtime's end is kept waiting for a line that nobody types (unless
/// somebody else reads the same terminal, and takes the line in between).
#[derive(Debug)]
pub struct Stdin {
    fd: Fd,
    is_terminal: bool,
}

/// What the process writes.
///
/// Writing to a terminal that was stopped (Ctrl-S) keeps a thread of the pool, or of the kernel's. The runtime's end
/// waits for it no longer than its [deadline](crate::Builder::shutdown_deadline), and then leaves the write behind.
#[derive(Debug)]
pub struct Stdout {
    fd: Fd,
}

/// What the process complains to. It is as [`Stdout`] is.
#[derive(Debug)]
pub struct Stderr {
    fd: Fd,
}

/// The standard input.
#[must_use]
pub fn stdin() -> Stdin {
    let std = io::stdin();
    Stdin { fd: Fd::lasting(std.as_raw_fd()), is_terminal: std.is_terminal() }
}

/// The standard output.
#[must_use]
pub fn stdout() -> Stdout {
    Stdout { fd: Fd::lasting(io::stdout().as_raw_fd()) }
}

/// The standard error.
#[must_use]
pub fn stderr() -> Stderr {
    Stderr { fd: Fd::lasting(io::stderr().as_raw_fd()) }
}

impl Stdin {
    /// Whether there is a terminal at the other end.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The stream's descriptor, for operations of [`op`](crate::op).
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Waits for a line, where a read would block a thread. What cannot be waited for is for the read to explain.
    async fn wait(&self) {
        if self.is_terminal {
            let _ = op::poll(&self.fd, Interest::Read).await;
        }
    }
}

impl AsyncReadRent for Stdin {
    async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        self.wait().await;
        op::read(&self.fd, buf).await
    }

    async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        self.wait().await;
        op::readv(&self.fd, buf).await
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Streams to write to.
macro_rules! output {
    ($name:ident) => {
        impl $name {
            /// Whether there is a terminal at the other end.
            #[must_use]
            pub fn is_terminal(&self) -> bool {
                self.fd.as_fd().is_terminal()
            }

            /// The stream's descriptor, for operations of [`op`](crate::op).
            #[must_use]
            pub fn fd(&self) -> &Fd {
                &self.fd
            }
        }

        impl AsyncWriteRent for $name {
            fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
                op::write(&self.fd, buf)
            }

            fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
                op::writev(&self.fd, buf_vec)
            }

            fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
                ready(Ok(()))
            }

            /// Does nothing: the stream belongs to the whole process.
            fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
                ready(Ok(()))
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }
    };
}

output!(Stdout);
output!(Stderr);
