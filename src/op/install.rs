//! `io_uring_prep_fixed_fd_install(3)`: `IORING_OP_FIXED_FD_INSTALL`, since Linux 6.8. Only the ring has direct
//! descriptors, so there is no twin.

use crate::{
    driver::{Fd, RING_ONLY},
    entry::{Cqe, FixedFile, Sqe, SqeFlags, Target, Twin},
    op::{Op, submit},
    sys,
};
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

impl Sqe {
    /// Gives what stands at `place` in the ring's table a number beside it. Children do not inherit the number, unless
    /// `flags` are `IORING_FIXED_FD_NO_CLOEXEC`.
    ///
    /// *Result*: the descriptor; `EBADF` for a place where nothing stands, `EPERM` with a
    /// [`personality`](Sqe::personality). *Since* Linux 6.8. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn fixed_fd_install(place: FixedFile, flags: u32) -> Sqe {
        place.aim(Sqe { opcode: sys::IORING_OP_FIXED_FD_INSTALL as u8, op_flags: flags, ..Sqe::default() })
    }
}

/// The installation of a direct descriptor, as an operation.
#[derive(Debug)]
struct Install {
    fd: Fd,
}

// SAFETY: Lent: a descriptor, which `fd` holds open; no memory.
unsafe impl Op for Install {
    type Output = io::Result<OwnedFd>;

    fn twin(&self) -> &'static Twin {
        &RING_ONLY
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        // The driver puts the place in, and says that it is one.
        Sqe { flags: SqeFlags::empty(), ..Sqe::fixed_fd_install(FixedFile(0), 0) }
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        // SAFETY: Fresh descriptor: the kernel has just made the number, and nobody else has it.
        cqe.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }
}

/// A number for an open file: a [direct](Fd::is_direct) descriptor gets one beside its place in the ring's table, any
/// other is [duplicated](Fd::duplicate). Children do not inherit it.
///
/// ```
/// use annulus::{Fd, op};
///
/// annulus::run(async {
///     let socket = op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0).await?;
///     let socket = std::net::UdpSocket::from(op::install(&socket).await?);
///     socket.connect("127.0.0.1:9")?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `EMFILE` when the process may have no more descriptors; `EXDEV` in another runtime than the descriptor's own.
///
/// # Cancellation
/// **Clean**: a number that was made is closed.
pub async fn install(fd: &Fd) -> io::Result<OwnedFd> {
    if fd.is_direct() { submit(Install { fd: fd.clone() }).await } else { fd.duplicate() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op;
    use std::{fs::File, io::Read, os::fd::AsRawFd, path::Path};

    /// Red when the number is all that there is of the file, or the other way round.
    #[crate::test]
    async fn the_number_outlives_the_place_and_is_nobodys_to_inherit() {
        let file = op::openat_direct(Path::new("Cargo.toml"), op::OpenHow::default()).unwrap().await.unwrap();
        let numbers = [install(&file).await.unwrap(), install(&file).await.unwrap()];
        drop(file);
        for number in numbers {
            // SAFETY: Plain call: no memory is named.
            let flags = unsafe { libc::fcntl(number.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            File::from(number).read_exact(&mut [0; 4]).unwrap();
        }
    }
}
