//! Bytes between a pipe and another descriptor that the process does not see.

use crate::net::Pipe;
use annulus::{
    Fd,
    io::{AsReadFd, AsWriteFd, Interest},
    op,
};
use socket2::SockRef;
use std::{future::Future, io};

/// What can be spliced from.
pub trait SpliceSource {
    /// Moves up to `len` bytes to `pipe`, and gives their number: 0 at the end.
    fn splice_to_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>>;
}

/// What can be spliced to.
pub trait SpliceDestination {
    /// Moves up to `len` bytes from `pipe`, and gives their number: 0 at the end.
    fn splice_from_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>>;
}

impl<T: AsReadFd> SpliceSource for T {
    fn splice_to_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>> {
        splice(self.as_reader_fd(), pipe.as_writer_fd(), len)
    }
}

impl<T: AsWriteFd> SpliceDestination for T {
    fn splice_from_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>> {
        splice(pipe.as_reader_fd(), self.as_writer_fd(), len)
    }
}

/// The call waits for files alone; for sockets and pipes we do, and a socket must not keep the thread meanwhile.
async fn splice(from: &Fd, to: &Fd, len: u32) -> io::Result<u32> {
    for fd in [from, to] {
        let socket = SockRef::from(fd);
        if socket.r#type().is_ok() {
            socket.set_nonblocking(true)?;
        }
    }
    loop {
        match op::splice(from, None, to, None, len as usize).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                op::poll(from, Interest::Read).await?;
                op::poll(to, Interest::Write).await?;
            }
            moved => return moved.map(|n| n as u32),
        }
    }
}
