//! `openat(2)`: `IORING_OP_OPENAT`, since Linux 5.6. Into the ring's table.

use crate::{
    driver::{Fd, Opening},
    entry::{Cqe, Sqe, Twin},
    op::{
        Op, OpenHow, Submit,
        openat::{self, OpenAt},
        submit,
    },
    sys,
};
use std::{ffi::c_char, io, os::fd::RawFd, path::Path};

impl Sqe {
    /// As [`openat`](Sqe::openat), but what is opened goes to a free place of the ring's table, or to the one that
    /// [`direct`](Sqe::direct) says.
    ///
    /// *Result*: the place, or 0 for one that was said; `ENFILE` when none is free. *Since* Linux 5.19, to a place that
    /// is said 5.15. *Cancel*: as of `openat`. *Twin*: none.
    #[must_use]
    pub fn openat_direct(dir: RawFd, path: *const c_char, flags: i32, mode: u32) -> Sqe {
        let plain = Sqe::openat(dir, path, flags, mode);
        // There is nothing to inherit, and to say so is refused.
        Sqe { op_flags: plain.op_flags & !(libc::O_CLOEXEC as u32), ..plain }.direct_any()
    }
}

/// An open into the ring's table, as an operation.
#[derive(Debug)]
pub struct OpenAtDirect {
    open: OpenAt,
    opening: Opening,
}

// SAFETY: Lent: that of `OpenAt`, whose memory this names.
unsafe impl Op for OpenAtDirect {
    type Output = io::Result<Fd>;

    fn twin(&self) -> &'static Twin {
        self.opening.twin(&openat::TWIN)
    }

    fn encode(&mut self) -> Sqe {
        self.opening = Opening::decide(sys::IORING_OP_OPENAT as u8);
        let plain = self.open.encode();
        let path = plain.addr as *const c_char;
        self.opening.spell(plain, Sqe::openat_direct(plain.fd, path, plain.op_flags as i32, plain.len))
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result().map(|res| self.opening.opened(res, None))
    }
}

/// As [`openat`](crate::op::openat()), but the file is a [direct](Fd::is_direct) descriptor where the ring can have
/// such (since Linux 6.8); elsewhere, and on the poll driver, an ordinary one.
///
/// # Errors
/// `InvalidInput` for a path with a NUL byte; the future gives those of `openat(2)`, and `ENFILE` when the ring's table
/// is [full](crate::Builder::direct_descriptors).
///
/// # Cancellation
/// **Detached**: a file may be created or cut all the same; a descriptor that was opened is closed.
pub fn openat_direct(path: &Path, how: OpenHow) -> io::Result<Submit<OpenAtDirect>> {
    Ok(submit(OpenAtDirect { open: OpenAt::new(path, how)?, opening: Opening::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op;

    #[crate::test]
    async fn opens_what_is_there() {
        let open = |path| openat_direct(Path::new(path), OpenHow::default());
        let file = open("Cargo.toml").unwrap().await.unwrap();
        assert_eq!(op::read_at(&file, Vec::with_capacity(4), 1).await.1, b"work");
        assert_eq!(open("nowhere.toml").unwrap().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(open("a\0b").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
