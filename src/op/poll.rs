//! `poll(2)`: `IORING_OP_POLL_ADD`, since Linux 5.1. Waits until a descriptor is ready.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin, poll_word},
    op::{Op, Submit, submit},
    sys::{self, unix::ret},
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// Completes once, when `fd` is ready for `interest` or its peer has gone. A regular file always is. It may be
    /// [changed](Sqe::poll_update) meanwhile, and [removed](Sqe::poll_remove).
    ///
    /// *Result*: the mask of `POLL*` that holds. *Since* Linux 5.1. *Cancel*: while it waits. *Twin*: `poll(2)`.
    #[must_use]
    pub fn poll_add(fd: impl Target, interest: Interest) -> Sqe {
        Sqe::poll_mask(fd, events(interest) as u32)
    }

    /// Completes once, when one of the `POLL*` or `EPOLL*` in `mask` holds for `fd`, or `POLLERR` or `POLLHUP`. Of the
    /// upper half only `EPOLLEXCLUSIVE` and the like have a meaning, since Linux 5.9.
    ///
    /// *Result*: the mask of those that hold. *Since* Linux 5.1. *Cancel*: while it waits. *Twin*: none but for an
    /// [`Interest`](Sqe::poll_add).
    #[must_use]
    pub fn poll_mask(fd: impl Target, mask: u32) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_POLL_ADD as u8, op_flags: poll_word(mask), ..Sqe::default() })
    }
}

fn events(interest: Interest) -> i16 {
    match interest {
        Interest::Read => libc::POLLIN,
        Interest::Write => libc::POLLOUT,
    }
}

static READ: Twin = Twin::ready(Interest::Read, |sqe, _| call(sqe, Interest::Read));
static WRITE: Twin = Twin::ready(Interest::Write, |sqe, _| call(sqe, Interest::Write));

fn call(sqe: &Sqe, interest: Interest) -> i32 {
    let mut ask = libc::pollfd { fd: sqe.fd, events: events(interest), revents: 0 };
    // SAFETY: Kernel's word: `ask` is one live, writable entry.
    match ret(unsafe { libc::poll(&mut ask, 1, 0) } as isize) {
        0 => -libc::EAGAIN,
        n if n > 0 && ask.revents & libc::POLLNVAL != 0 => -libc::EBADF,
        n if n > 0 => i32::from(ask.revents),
        error => error,
    }
}

/// The twin that waits for `interest`.
pub(super) fn twin(interest: Interest) -> &'static Twin {
    match interest {
        Interest::Read => &READ,
        Interest::Write => &WRITE,
    }
}

/// A wait for readiness, as an operation.
#[derive(Debug)]
pub struct Poll {
    fd: Fd,
    interest: Interest,
}

// SAFETY: Lent: a mask and a descriptor, which `fd` holds open; no memory.
unsafe impl Op for Poll {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        twin(self.interest)
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::poll_add(self.fd.as_raw_fd(), self.interest)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Waits until a descriptor can be read or written, or its peer has gone. A regular file always can.
///
/// # Errors
/// Those of `poll(2)`.
///
/// # Cancellation
/// **Clean**: waiting takes nothing.
pub fn poll(fd: &Fd, interest: Interest) -> Submit<Poll> {
    submit(Poll { fd: fd.clone(), interest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::socket_pair;
    use std::io::Write;

    #[crate::test]
    async fn waits_until_there_is_something() {
        let (a, mut b) = socket_pair();
        poll(&a, Interest::Write).await.unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            b.write_all(b"!").unwrap();
            b
        });
        let start = std::time::Instant::now();
        poll(&a, Interest::Read).await.unwrap();
        assert!(start.elapsed().as_millis() >= 15, "there was nothing to read yet");
        poll(&a, Interest::Read).await.unwrap();
        drop(writer.join().unwrap());
    }

    #[crate::test]
    async fn a_peer_that_goes_is_readiness() {
        let (a, b) = socket_pair();
        drop(b);
        poll(&a, Interest::Read).await.unwrap();
    }

    #[crate::test]
    async fn a_file_is_always_ready() {
        let file = Fd::new(std::fs::File::open("Cargo.toml").unwrap().into());
        poll(&file, Interest::Read).await.unwrap();
    }
}
