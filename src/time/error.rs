//! What can go wrong with time: it can run out.

use std::{fmt, io};

/// The deadline passed before the future was done.
///
/// Converts into an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind::TimedOut), so that `?` works where I/O is
/// done.
///
/// ```
/// # use annulus::time::error::Elapsed;
/// fn in_io(elapsed: Elapsed) -> std::io::Result<()> {
///     Err(elapsed)?
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(pub(super) ());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed before the future was done")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
