//! `io_uring_prep_cancel(3)`: `IORING_OP_ASYNC_CANCEL`, since Linux 5.5. Asks requests to end early.

use crate::{
    entry::{Sqe, SqeFlags, Target},
    sys,
};

/// Which requests of a ring are to end early.
///
/// By one key or several, which have to fit all. The first request that fits is meant, or with [`all`](Cancel::all)
/// each.
///
/// ```
/// use annulus::ring::{Cancel, FixedFile, Sqe};
/// let one = Sqe::cancel(Cancel::user_data(7));
/// let receive = annulus::sys::IORING_OP_RECV as u8;
/// let every_receive = Sqe::cancel(Cancel::fd(FixedFile(3)).and_opcode(receive).all());
/// let everything = Sqe::cancel(Cancel::any());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancel {
    flags: u32,
    fd: i32,
    user_data: Option<u64>,
    opcode: Option<u8>,
}

impl Cancel {
    const NONE: Cancel = Cancel { flags: 0, fd: -1, user_data: None, opcode: None };

    /// A request whose entry carries `user_data`. Since Linux 5.5.
    #[must_use]
    pub const fn user_data(user_data: u64) -> Cancel {
        Cancel { user_data: Some(user_data), ..Cancel::NONE }
    }

    /// A request on this file: the same open file, by whatever name. Since Linux 5.19; by a fixed file 6.0.
    #[must_use]
    pub fn fd(fd: impl Target) -> Cancel {
        Cancel::NONE.and_fd(fd)
    }

    /// A request with this opcode. Since Linux 6.6.
    #[must_use]
    pub const fn opcode(opcode: u8) -> Cancel {
        Cancel::NONE.and_opcode(opcode)
    }

    /// Every request. Since Linux 5.19.
    #[must_use]
    pub const fn any() -> Cancel {
        Cancel { flags: sys::IORING_ASYNC_CANCEL_ANY, ..Cancel::NONE }
    }

    /// On this file, too. With a `user_data` since Linux 6.6, and on some kernels until 6.19 one of the two was enough.
    /// `EINVAL` with [`any`](Cancel::any).
    #[must_use]
    pub fn and_fd(self, fd: impl Target) -> Cancel {
        let Sqe { fd, flags, .. } = fd.aim(Sqe::default());
        let fixed = if flags.contains(SqeFlags::FIXED_FILE) { sys::IORING_ASYNC_CANCEL_FD_FIXED } else { 0 };
        Cancel { fd, flags: self.flags | sys::IORING_ASYNC_CANCEL_FD | fixed, ..self }
    }

    /// With this opcode, too. Since Linux 6.6. `EINVAL` with [`any`](Cancel::any).
    #[must_use]
    pub const fn and_opcode(self, opcode: u8) -> Cancel {
        Cancel { opcode: Some(opcode), flags: self.flags | sys::IORING_ASYNC_CANCEL_OP, ..self }
    }

    /// All that fit, and not the first one. Since Linux 5.19.
    #[must_use]
    pub const fn all(self) -> Cancel {
        Cancel { flags: self.flags | sys::IORING_ASYNC_CANCEL_ALL, ..self }
    }

    /// The word of flags, the descriptor, the number and the opcode, as the kernel reads them.
    pub(crate) fn words(self) -> (u32, i32, u64, u8) {
        // Alone, the number is what counts without any flag, and old kernels know none.
        let others = sys::IORING_ASYNC_CANCEL_FD | sys::IORING_ASYNC_CANCEL_OP;
        let beside = self.user_data.is_some() && self.flags & others != 0;
        let flags = if beside { self.flags | sys::IORING_ASYNC_CANCEL_USERDATA } else { self.flags };
        (flags, self.fd, self.user_data.unwrap_or(0), self.opcode.unwrap_or(0))
    }
}

impl Sqe {
    /// Asks requests of this ring that are in flight to end early. Those that wait for something end with `ECANCELED`,
    /// or with the bytes that they have moved; each has its final completion in any case, before or after this one's,
    /// and **memory stays lent until then**. Of a chain only the first can be met.
    ///
    /// *Result*: 0, or with [`Cancel::all`] and [`Cancel::any`] how many were met (of a futex or for a child always);
    /// `ENOENT` if none was (but 0 with the latter), `EALREADY` for what a worker thread does, which may end early or
    /// not; `EBADF` for what is no file. *Since* Linux 5.5. *Cancel*: nothing to cancel. *Twin*: none; operations are
    /// cancelled through [`op::cancel`](crate::op::cancel()). One that only such an entry has cancelled, before a
    /// worker began with it, may be done all the same: a kernel that has no worker answers likewise.
    #[must_use]
    pub fn cancel(whom: Cancel) -> Sqe {
        let (op_flags, fd, addr, opcode) = whom.words();
        Sqe { opcode: sys::IORING_OP_ASYNC_CANCEL as u8, fd, addr, len: opcode.into(), op_flags, ..Sqe::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::FixedFile;

    /// Red when a kernel that knows no keys is asked by one without need.
    #[test]
    fn a_number_is_a_key_only_beside_others() {
        let sqe = Sqe::cancel(Cancel::user_data(7));
        assert_eq!((sqe.op_flags, sqe.fd, sqe.addr, sqe.len), (0, -1, 7, 0));
        let sqe = Sqe::cancel(Cancel::user_data(7).and_fd(FixedFile(2)).and_opcode(27).all());
        let keys = sys::IORING_ASYNC_CANCEL_USERDATA | sys::IORING_ASYNC_CANCEL_FD | sys::IORING_ASYNC_CANCEL_FD_FIXED;
        assert_eq!(sqe.op_flags, keys | sys::IORING_ASYNC_CANCEL_OP | sys::IORING_ASYNC_CANCEL_ALL);
        assert_eq!((sqe.fd, sqe.addr, sqe.len, sqe.flags), (2, 7, 27, SqeFlags::empty()));
    }
}
