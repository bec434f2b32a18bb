//! Threads that stay where they are.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The result of [`bind_to_cpu_set`].
pub type BindError<T> = nix::Result<T>;

/// Keeps this thread on these CPUs.
///
/// # Errors
/// `EINVAL` for a CPU that there is not.
pub fn bind_to_cpu_set(cpus: impl IntoIterator<Item = usize>) -> BindError<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}
