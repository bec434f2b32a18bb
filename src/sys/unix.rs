//! What differs between Unixes: the only file below the gates where an operating system is named.

use std::io;

/// The error number of the last call, and never 0.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// `-1` and `errno`, folded into the kernel's convention: a result or `-errno`.
pub(crate) fn ret(n: isize) -> i32 {
    if n < 0 { -errno() } else { i32::try_from(n).unwrap_or(i32::MAX) }
}
