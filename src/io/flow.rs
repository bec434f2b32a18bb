//! One direction of bytes, from a descriptor to another, through a pipe of the kernel's that is nobody's else.
//!
//! A pipe is held only while there is something in it: a direction that waits for its source has none, so ten thousand
//! idle connections need no more pipes than one. It goes back to the shelf when it is known to be empty, and is closed
//! otherwise: a copy that is dropped half-way, or fails, leaves no byte of its connection to the next one.
//!
//! Sockets and pipes are spliced by calls from this thread that do not block, and waited for by the driver; files by
//! operations. What cannot be spliced goes through a buffer, from wherever it is by then.

use crate::buf::{IoBuf, IoBufMut};
use crate::{
    driver::{Fd, Pipe, keep_buffer, keep_pipe, take_buffer, take_pipe},
    entry::Interest,
    op,
    rt::{coop::consume_budget, yield_now},
    sys::unix::{self, Kind},
};
use std::{
    cell::Cell,
    io::{self, ErrorKind},
    os::fd::AsRawFd,
};

/// How many bytes move before the others have their turn: a millisecond's worth.
const SLICE: u64 = 1 << 20;

/// What failed, and on which side.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The source.
    Reading(io::Error),
    /// Where it goes.
    Writing(io::Error),
}

impl Failed {
    pub(crate) fn into_error(self) -> io::Error {
        match self {
            Failed::Reading(error) | Failed::Writing(error) => error,
        }
    }
}

/// One direction.
pub(crate) struct Flow<'a> {
    from: &'a Fd,
    /// Where in the source it goes on, if not at its own position.
    at: Option<u64>,
    to: &'a Fd,
    /// The bytes that are still wanted.
    left: u64,
    /// The bytes that `to` has taken. Bytes in the pipe are not among them.
    passed: &'a Cell<u64>,
}

/// A pipe in use.
struct Held {
    /// There until this is dropped.
    pipe: Option<Pipe>,
    /// What is in it.
    inside: usize,
    /// An operation may be putting something into it, or taking something out.
    unsure: bool,
}

impl Held {
    fn take() -> io::Result<Held> {
        Ok(Held { pipe: Some(take_pipe()?), inside: 0, unsure: false })
    }

    fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("a pipe is held until the drop")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.inside == 0 && !self.unsure {
            self.pipe.take().into_iter().for_each(keep_pipe);
        }
    }
}

/// Whether an error says that these descriptors, or this system, cannot be spliced.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP))
}

/// A splice may be told not to wait for a pipe. A socket has to be one that does not block.
pub(crate) fn keep_from_blocking(fd: &Fd) -> io::Result<()> {
    if fd.kind() == Kind::Socket { unix::set_nonblocking(fd.as_raw_fd(), true) } else { Ok(()) }
}

impl<'a> Flow<'a> {
    /// Moves at most `left` bytes, and counts in `passed` those that `to` has taken.
    pub(crate) fn new(from: &'a Fd, to: &'a Fd, left: u64, passed: &'a Cell<u64>) -> Flow<'a> {
        Flow { from, at: None, to, left, passed }
    }

    /// Begins at `offset` of a file.
    pub(crate) fn at(self, offset: u64) -> Flow<'a> {
        Flow { at: Some(offset), ..self }
    }

    /// Moves all that is wanted, or that there is.
    pub(crate) async fn run(mut self) -> Result<(), Failed> {
        if self.from.is_direct() || self.to.is_direct() {
            // Calls from this thread need numbers.
            return self.by_hand().await;
        }
        keep_from_blocking(self.from).map_err(Failed::Reading)?;
        keep_from_blocking(self.to).map_err(Failed::Writing)?;
        let mut slice = 0;
        while self.left > 0 {
            let mut held = match self.fill().await {
                // No descriptors for a pipe, or no splice: that is no reason to fail.
                Err(None) => return self.by_hand().await,
                Err(Some(error)) => return Err(Failed::Reading(error)),
                Ok(held) if held.inside == 0 => return Ok(()),
                Ok(held) => held,
            };
            let moved = held.inside as u64;
            self.left -= moved;
            self.at = self.at.map(|at| at + moved);
            self.drain(&mut held).await?;
            drop(held);
            consume_budget().await;
            slice += moved;
            if slice >= SLICE {
                slice = 0;
                yield_now().await;
            }
        }
        Ok(())
    }

    /// A pipe with bytes of the source in it; with none, at its end. `Err(None)`: it cannot be done this way.
    async fn fill(&self) -> Result<Held, Option<io::Error>> {
        let refused = |error: io::Error| (!is_refusal(&error)).then_some(error);
        if self.from.kind() == Kind::File {
            let mut held = Held::take().map_err(|_| None)?;
            let want = self.want(&held);
            held.unsure = true;
            let Pipe { reader, writer, .. } = held.pipe();
            let res = op::splice_keeping(reader, self.from, self.at, writer, None, want).await;
            held.unsure = false;
            held.inside = res.map_err(refused)?;
            return Ok(held);
        }
        loop {
            let mut held = Held::take().map_err(|_| None)?;
            match op::splice_now(self.from, &held.pipe().writer, self.want(&held)) {
                Err(again) if again.kind() == ErrorKind::WouldBlock => drop(held),
                res => {
                    held.inside = res.map_err(refused)?;
                    return Ok(held);
                }
            }
            op::poll(self.from, Interest::Read).await?;
        }
    }

    fn want(&self, held: &Held) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(held.pipe().room)
    }

    /// Passes on all that is in a pipe.
    async fn drain(&self, held: &mut Held) -> Result<(), Failed> {
        while held.inside > 0 {
            let Pipe { reader, writer, .. } = held.pipe();
            let res = match self.to.kind() {
                Kind::File => op::splice_keeping(writer, reader, None, self.to, None, held.inside).await,
                Kind::Socket | Kind::Stream => op::splice_now(reader, self.to, held.inside),
            };
            match res {
                Ok(0) => return Err(Failed::Writing(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    held.inside -= n.min(held.inside);
                    self.passed.set(self.passed.get() + n as u64);
                }
                Err(again) if again.kind() == ErrorKind::WouldBlock => {
                    op::poll(self.to, Interest::Write).await.map_err(Failed::Writing)?;
                }
                Err(error) if is_refusal(&error) => {
                    let rest = Flow { from: reader, at: None, left: held.inside as u64, ..*self };
                    rest.by_hand().await?;
                    held.inside = 0;
                }
                Err(error) => return Err(Failed::Writing(error)),
            }
        }
        Ok(())
    }

    /// Moves all that is wanted through a buffer.
    async fn by_hand(self) -> Result<(), Failed> {
        let (mut buffer, res) = self.through(take_buffer()).await;
        buffer.clear();
        keep_buffer(buffer);
        res
    }

    async fn through(mut self, mut buffer: Vec<u8>) -> (Vec<u8>, Result<(), Failed>) {
        while self.left > 0 {
            buffer.clear();
            let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.capacity());
            let room = buffer.slice_mut(..want);
            let (res, room) = match (self.from.kind(), self.at) {
                (Kind::Socket, _) => op::recv(self.from, room).await,
                (_, None) => op::read(self.from, room).await,
                (_, Some(at)) => op::read_at(self.from, room, at).await,
            };
            buffer = room.into_inner();
            let n = match res {
                Ok(0) => return (buffer, Ok(())),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return (buffer, Err(Failed::Reading(error))),
            };
            self.left -= n as u64;
            self.at = self.at.map(|at| at + n as u64);
            let (back, res) = self.write(buffer).await;
            buffer = back;
            if let Err(error) = res {
                return (buffer, Err(Failed::Writing(error)));
            }
            consume_budget().await;
        }
        (buffer, Ok(()))
    }

    /// Writes all that is in a buffer.
    async fn write(&self, mut buffer: Vec<u8>) -> (Vec<u8>, io::Result<()>) {
        let mut done = 0;
        while done < buffer.len() {
            let rest = buffer.slice(done..);
            let (res, rest) = match self.to.kind() {
                Kind::Socket => op::send(self.to, rest).await,
                Kind::File | Kind::Stream => op::write(self.to, rest).await,
            };
            buffer = rest.into_inner();
            match res {
                Ok(0) => return (buffer, Err(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    done += n;
                    self.passed.set(self.passed.get() + n as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (buffer, Err(error)),
            }
        }
        (buffer, Ok(()))
    }
}
