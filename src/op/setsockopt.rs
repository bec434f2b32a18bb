//! `setsockopt(2)`: `IORING_OP_URING_CMD`, since Linux 5.19. As a command of sockets since 6.7, and only for direct
//! descriptors: for others the system call does not wait.

use crate::{
    driver::{Fd, RING_ONLY},
    entry::{Cqe, Sqe, Target, Twin, two_words},
    op::{Op, submit},
    sys::{self, unix},
};
use std::{io, os::fd::AsRawFd};

impl Sqe {
    /// A command to whoever stands behind `fd`: a device, a file system, a [socket](Sqe::socket_inq). `op` and the
    /// bytes are his: what they mean, which memory they name, and until when it is lent. They are read when this is
    /// submitted.
    ///
    /// *Result*: his; `EOPNOTSUPP` if there is nobody, or he does not know `op`. *Since* Linux 5.19. *Cancel*: his
    /// affair; a command that he cannot end goes on. *Twin*: none.
    #[must_use]
    pub fn uring_cmd(fd: impl Target, op: u32, command: [u8; 16]) -> Sqe {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| command[at + byte]));
        let (off, addr3, pad) = (two_words(op, 0), word(0), word(8));
        fd.aim(Sqe { opcode: sys::IORING_OP_URING_CMD as u8, off, addr3, pad, ..Sqe::default() })
    }

    /// Sets an option of a socket, as `setsockopt(2)` does: its value are the `len` bytes at `value`, which are lent
    /// until the completion. A command of sockets.
    ///
    /// *Result*: 0; `EOPNOTSUPP` before, or for what is no socket, else as the call. *Since* Linux 6.7. *Cancel*:
    /// nothing to cancel. *Twin*: none; for a number the system call does not wait.
    #[must_use]
    pub fn set_socket_option(fd: impl Target, level: i32, name: i32, value: *const u8, len: u32) -> Sqe {
        // `level` and `optname` lie where other entries have an address.
        let addr = two_words(level as u32, name as u32);
        let sqe = Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_SETSOCKOPT, [0; 16]);
        Sqe { addr, file_index: len, addr3: value as u64, ..sqe }
    }
}

/// The setting of a direct socket's option, as an operation.
#[derive(Debug)]
struct SetSockOpt {
    fd: Fd,
    level: i32,
    name: i32,
    value: Box<i32>,
}

// SAFETY: Lent: the value lies in a box of its own, which stays where it is while the operation is moved.
unsafe impl Op for SetSockOpt {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &RING_ONLY
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        let value = (&raw const *self.value).cast();
        // The driver puts the place in.
        Sqe::set_socket_option(self.fd.as_raw_fd(), self.level, self.name, value, size_of::<i32>() as u32)
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Sets a socket's option that is a number or a switch, as `setsockopt(2)` does, of a [direct](Fd::is_direct) socket,
/// too. `level` and `name` are the `SOL_*` or `IPPROTO_*`, and the `SO_*`, `TCP_*` and the like.
///
/// # Errors
/// Those of `setsockopt(2)`: `ENOPROTOOPT` for what there is not. For a direct socket `EOPNOTSUPP` before Linux 6.7,
/// and `EXDEV` in another runtime than its own.
///
/// # Cancellation
/// **Detached**: a direct socket's option may be set all the same.
pub async fn setsockopt(fd: &Fd, level: i32, name: i32, value: i32) -> io::Result<()> {
    if fd.is_direct() {
        submit(SetSockOpt { fd: fd.clone(), level, name, value: Box::new(value) }).await
    } else {
        unix::set_option(fd.as_raw_fd(), level, name, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op;

    /// Red when the option of another level is set, or another value.
    #[crate::test]
    async fn an_option_is_set_or_refused() {
        let socket = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        setsockopt(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1).await.unwrap();
        setsockopt(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 5000).await.unwrap();
        let number = op::install(&socket).await.unwrap();
        let option = |level, name| unix::option(number.as_raw_fd(), level, name).unwrap();
        assert_eq!(option(libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
        assert!((5000..=10_000).contains(&option(libc::SOL_SOCKET, libc::SO_RCVBUF)), "Linux doubles it");
        let error = setsockopt(&socket, libc::IPPROTO_TCP, 12345, 1).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
    }

    #[test]
    fn the_command_lies_behind_the_entry_as_it_is() {
        let sqe = Sqe::uring_cmd(3, 0xabcd, std::array::from_fn(|at| at as u8));
        // SAFETY: Plain bytes: an entry has no padding.
        let bytes: [u8; 64] = unsafe { std::mem::transmute(sqe) };
        assert_eq!(bytes[48..], std::array::from_fn::<u8, 16, _>(|at| at as u8));
        assert_eq!((bytes[8..12].to_vec(), &bytes[12..16]), (0xabcd_u32.to_ne_bytes().to_vec(), &[0; 4][..]));
    }
}
