//! Threads that stay where they are.

use nix::errno::Errno;
use std::io;

/// The result of [`bind_to_cpu_set`].
pub type BindError<T> = nix::Result<T>;

/// Keeps this thread on these CPUs, where that can be said (on Linux); elsewhere it does nothing, as with monoio.
///
/// # Errors
/// `EINVAL` if there is none of them.
pub fn bind_to_cpu_set(cpus: impl IntoIterator<Item = usize>) -> BindError<()> {
    match annulus::shard::pin_thread(cpus) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        pinned => pinned.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default())),
    }
}
