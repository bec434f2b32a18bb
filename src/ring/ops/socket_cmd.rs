//! `io_uring_prep_cmd_sock(3)`: `IORING_OP_URING_CMD`, since Linux 5.19. The commands of sockets, since 6.5.
//!
//! `setsockopt` is one of them, too: [`Sqe::set_socket_option`] stands beside its operation.

use crate::{
    entry::{Sqe, Target, two_words},
    sys,
};

impl Sqe {
    /// How many bytes a socket has to be read: `ioctl(2)` with `SIOCINQ`.
    ///
    /// *Result*: the number; `EINVAL` for a listener, `EOPNOTSUPP` for what is no socket or has no such number. *Since*
    /// Linux 6.5. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn socket_inq(fd: impl Target) -> Sqe {
        Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_SIOCINQ, [0; 16])
    }

    /// How many bytes that were sent the peer has not acknowledged: `ioctl(2)` with `SIOCOUTQ`.
    ///
    /// *Result*: as of [`socket_inq`](Sqe::socket_inq). *Since* Linux 6.5. *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn socket_outq(fd: impl Target) -> Sqe {
        Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_SIOCOUTQ, [0; 16])
    }

    /// Writes a socket's option to the `len` bytes at `value`, which are lent until the completion, as `getsockopt(2)`
    /// does; `level` is `SOL_SOCKET`.
    ///
    /// *Result*: how many bytes the value has; `EOPNOTSUPP` for another level, else as the call. *Since* Linux 6.7.
    /// *Cancel*: nothing to cancel. *Twin*: none.
    #[must_use]
    pub fn get_socket_option(fd: impl Target, level: i32, name: i32, value: *mut u8, len: u32) -> Sqe {
        let (addr, addr3) = (two_words(level as u32, name as u32), value as u64);
        Sqe { addr, file_index: len, addr3, ..Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_GETSOCKOPT, [0; 16]) }
    }

    /// Tells when what was sent has left, again and again, on a ring with completions of 32 bytes: the second half is a
    /// time in seconds and nanoseconds. The socket needs the option `SO_TIMESTAMPING` with `OPT_TSONLY`; what would
    /// come by its error queue comes here.
    ///
    /// *Result*: the number that the system gave to what was sent; the flags have the kind of the time from bit 17 on,
    /// and at bit 16 whether the device took it. `EINVAL` without such completions, `EOPNOTSUPP` before. *Since* Linux
    /// 6.17. *Cancel*: while it waits. Always multishot; no group of buffers. *Twin*: none.
    #[must_use]
    pub fn tx_timestamp(fd: impl Target) -> Sqe {
        Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_TX_TIMESTAMP, [0; 16])
    }

    /// Writes the socket's own address to `addr`, or its peer's, and its length to `len`, which says how much room
    /// there is. Both are lent until the completion.
    ///
    /// *Result*: 0; `ENOTCONN` if there is no peer, `EOPNOTSUPP` before. *Since* Linux 6.19. *Cancel*: nothing to
    /// cancel. *Twin*: none.
    #[must_use]
    pub fn get_socket_name(
        fd: impl Target,
        addr: *mut libc::sockaddr,
        len: *mut libc::socklen_t,
        of_peer: bool,
    ) -> Sqe {
        let sqe = Sqe::uring_cmd(fd, sys::SOCKET_URING_OP_GETSOCKNAME, [0; 16]);
        Sqe { addr: addr as u64, addr3: len as u64, file_index: of_peer.into(), ..sqe }
    }
}
