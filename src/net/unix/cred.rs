//! Who the peer is.

use crate::sys::unix;
use std::{io, os::fd::RawFd};

/// The user, the group and the process at the other end of a connection, as they were when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process, where the system tells.
    pub pid: Option<i32>,
}

impl UCred {
    /// The effective user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process, where the system tells.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}

/// Who made the other end of the connection `fd`.
///
/// # Errors
/// Those of `getsockopt(2)` or `getpeereid(3)`.
pub(super) fn peer_cred(fd: RawFd) -> io::Result<UCred> {
    let (uid, gid, pid) = unix::peer_cred(fd)?;
    Ok(UCred { uid, gid, pid })
}
