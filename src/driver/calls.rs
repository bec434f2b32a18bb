//! What a system call of io_uring was answered.

use std::{fmt, io};

/// What one of the system calls of io_uring was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The call, as its manual page is called.
    pub name: &'static str,
    /// The kernel's number; 0 is success.
    pub errno: i32,
}

impl Call {
    pub(crate) fn new<T>(name: &'static str, answer: Result<T, &io::Error>) -> Call {
        let errno = answer.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        Call { name, errno }
    }

    /// Whether it was refused as such. No kernel that carries it out says so of a descriptor that is no ring.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self.errno, libc::EPERM | libc::ENOSYS | libc::EACCES)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            0 => write!(f, "{}: taken", self.name),
            // What the kernel says of a descriptor that is no ring.
            libc::EOPNOTSUPP => write!(f, "{}: reaches the kernel", self.name),
            errno => write!(f, "{}: {}", self.name, io::Error::from_raw_os_error(errno)),
        }
    }
}
