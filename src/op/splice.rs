//! `splice(2)`: `IORING_OP_SPLICE`, since Linux 5.7. Moves bytes between a pipe and another descriptor without
//! reading them.
//!
//! The ring gives every splice to a thread of the kernel's, which costs more than the move itself: with sockets, twice
//! the CPU of calls from this thread, and four times with small messages. So the operation is for files, where a call
//! may block, and what need not block is called at once ([`splice_now`]).

use crate::{
    driver::Fd,
    entry::{Cqe, Sqe, SqeFlags, Target, Twin},
    op::{HERE, Op, Submit, clamp, place, submit},
    sys::{
        self,
        unix::{self, Kind, SPLICE_F_NONBLOCK},
    },
};
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

impl Sqe {
    /// Moves up to `len` bytes; each end is a file and an offset (`u64::MAX`: its own position), and one of them a
    /// pipe. `flags` are `SPLICE_F_*`.
    ///
    /// *Result*: the number of bytes, 0 at the end; short of `len`, it breaks a chain. *Since* Linux 5.7. *Cancel*:
    /// before a worker has it; one that waits in the worker may end with `EINTR`. *Twin*: `splice(2)`.
    #[must_use]
    pub fn splice(from: (impl Target, u64), to: (impl Target, u64), len: u32, flags: u32) -> Sqe {
        let ((from, addr), (to, off)) = (from, to);
        let opcode = sys::IORING_OP_SPLICE as u8;
        to.aim(Sqe { opcode, off, addr, len, op_flags: flags, ..Sqe::default() }).taking_from(from)
    }

    /// With the file that is read, where the file that is written has the field of that name.
    pub(crate) fn taking_from(self, from: impl Target) -> Sqe {
        let from = from.aim(Sqe::default());
        let place = from.flags.contains(SqeFlags::FIXED_FILE);
        let flag = if place { sys::SPLICE_F_FD_IN_FIXED } else { 0 };
        Sqe { file_index: from.fd as u32, op_flags: self.op_flags | flag, ..self }
    }
}

static TWIN: Twin = Twin::pool(call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let from = (sqe.file_index as RawFd, sqe.addr as i64);
    unix::splice(from, (sqe.fd, sqe.off as i64), sqe.len as usize, sqe.op_flags)
}

/// Moves up to `len` bytes at once, or answers `EAGAIN` (`WouldBlock`). One of the two is a pipe; the other is no file,
/// and if it is a socket, then a non-blocking one: the call can be told not to wait for pipes, and nothing else.
pub(crate) fn splice_now(from: &Fd, to: &Fd, len: usize) -> io::Result<usize> {
    loop {
        let (from, to) = ((from.as_raw_fd(), -1), (to.as_raw_fd(), -1));
        match unix::splice(from, to, len, SPLICE_F_NONBLOCK) {
            error if error == -libc::EINTR => {}
            res => return Cqe::new(0, res).result().map(|n| n as usize),
        }
    }
}

/// A splice, as an operation.
#[derive(Debug)]
pub struct Splice {
    from: (Fd, u64),
    to: (Fd, u64),
    len: u32,
    /// The pipe's other end, if it is not to close before this has ended.
    _kept: Option<Fd>,
}

// SAFETY: Lent: two descriptors, which `from` and `to` hold open, and numbers; no memory.
unsafe impl Op for Splice {
    type Output = io::Result<usize>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.to.0)
    }

    fn encode(&mut self) -> Sqe {
        let file = self.from.0.kind() == Kind::File || self.to.0.kind() == Kind::File;
        let flags = if file { 0 } else { SPLICE_F_NONBLOCK };
        let (from, to) = ((self.from.0.as_raw_fd(), self.from.1), (self.to.0.as_raw_fd(), self.to.1));
        Sqe::splice(from, to, self.len, flags)
    }

    fn finish(self, cqe: Cqe) -> io::Result<usize> {
        cqe.result().map(|n| n as usize)
    }
}

/// Moves up to `len` bytes from one descriptor to another, of which at least one is a pipe. Gives their number: 0 at
/// the end of what is read. An offset says where in a file, in bytes; without one it is the file's own position.
///
/// Between a file and a pipe this waits for the file alone: an empty pipe has its writers waited for, and a full one
/// its readers, so offer only what is there or fits. With neither end a file it does not wait, and says `WouldBlock`;
/// then [`poll`](crate::op::poll()) the end that is not ready. A socket has to be non-blocking for that.
/// [`io::zero_copy`](crate::io::zero_copy) does all of this.
///
/// # Errors
/// Those of `splice(2)`: `EINVAL` when neither is a pipe or a file cannot be spliced (one that appends cannot be
/// written so), `ESPIPE` for an offset in what has none, `EPIPE` when nobody reads any more (a program that does not
/// ignore SIGPIPE, as Rust's do, gets that signal too). `ENOSYS` where there is no such call: outside of Linux.
/// `EBADF` for a source that is a direct descriptor ([`Fd::is_direct`]).
///
/// # Cancellation
/// **Lossy**: bytes may have been moved, and nobody learns how many.
pub fn splice(from: &Fd, from_at: Option<u64>, to: &Fd, to_at: Option<u64>, len: usize) -> Submit<Splice> {
    submit(new(from, from_at, to, to_at, len))
}

/// As [`splice`], with a pipe of which `kept` is the other end. While the kernel waits for the file it has the pipe
/// locked, and to close an end would wait for that on this thread: so neither is closed before the operation has ended,
/// whoever gives it up.
pub(crate) fn splice_keeping(
    kept: &Fd,
    from: &Fd,
    from_at: Option<u64>,
    to: &Fd,
    to_at: Option<u64>,
    len: usize,
) -> Submit<Splice> {
    submit(Splice { _kept: Some(kept.clone()), ..new(from, from_at, to, to_at, len) })
}

fn new(from: &Fd, from_at: Option<u64>, to: &Fd, to_at: Option<u64>, len: usize) -> Splice {
    let at = |offset: Option<u64>| offset.map_or(HERE, place);
    Splice { from: (from.clone(), at(from_at)), to: (to.clone(), at(to_at)), len: clamp(len), _kept: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{read, read_at, write},
        testing::{socket_pair, temp_file},
    };
    use std::io::{Read, Write, pipe};

    fn a_pipe() -> (Fd, Fd) {
        let (reader, writer) = pipe().unwrap();
        (Fd::new(reader.into()), Fd::new(writer.into()))
    }

    /// Whether there is a splice; elsewhere its one error is looked at.
    async fn spliced(moved: Submit<Splice>) -> Option<io::Result<usize>> {
        let moved = moved.await;
        let missing = moved.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::ENOSYS));
        (!missing).then_some(moved)
    }

    #[crate::test]
    async fn from_a_file_to_a_file_by_a_pipe() {
        let (from, to) = (Fd::new(temp_file().into()), Fd::new(temp_file().into()));
        let (reader, writer) = a_pipe();
        write(&from, b"0123456789").await.0.unwrap();
        let Some(moved) = spliced(splice(&from, Some(2), &writer, None, 100)).await else { return };
        assert_eq!(moved.unwrap(), 8);
        assert_eq!(splice(&reader, None, &to, Some(4), 3).await.unwrap(), 3);
        assert_eq!(splice(&reader, None, &to, None, 5).await.unwrap(), 5, "at the file's own position");
        let (n, buf) = read_at(&to, Vec::with_capacity(20), 0).await;
        assert_eq!(
            (n.unwrap(), &buf[..]),
            (7, &b"56789\0\0"[..5].iter().chain(b"34").copied().collect::<Vec<_>>()[..])
        );
        assert_eq!(splice(&from, Some(10), &writer, None, 1).await.unwrap(), 0, "the end");
    }

    #[crate::test]
    async fn what_is_no_file_is_not_waited_for() {
        let (a, mut b) = socket_pair();
        unix::set_nonblocking(a.as_raw_fd(), true).unwrap();
        let (reader, writer) = a_pipe();
        let Some(empty) = spliced(splice(&a, None, &writer, None, 10)).await else { return };
        assert_eq!(empty.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        b.write_all(b"abc").unwrap();
        assert_eq!(splice_now(&a, &writer, 10).unwrap(), 3);
        assert_eq!(splice_now(&a, &writer, 10).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(splice(&reader, None, &a, None, 10).await.unwrap(), 3);
        let mut back = [0; 3];
        b.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"abc");
        drop(b);
        assert_eq!(splice_now(&a, &writer, 10).unwrap(), 0);
    }

    #[crate::test]
    async fn what_cannot_be_spliced_is_an_error() {
        let (a, _b) = socket_pair();
        let file = Fd::new(temp_file().into());
        let Some(neither) = spliced(splice(&file, Some(0), &a, None, 10)).await else { return };
        assert_eq!(neither.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let (reader, writer) = a_pipe();
        let nowhere = splice(&reader, Some(1), &file, None, 1).await;
        assert_eq!(nowhere.unwrap_err().raw_os_error(), Some(libc::ESPIPE));
        drop((writer, read(&file, Vec::new()).await));
    }
}
