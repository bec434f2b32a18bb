//! What servers with several threads share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Barrier, OnceLock};

/// How many threads: `--threads N`, else one.
#[must_use]
pub fn threads() -> usize {
    let text = std::env::args().skip_while(|arg| arg != "--threads").nth(1);
    text.map_or(1, |text| text.parse().expect("--threads wants a number"))
}

/// Lets this process run on all CPUs again. Whoever measures gives each server one, which is right for one thread.
///
/// # Errors
/// Those of `sched_setaffinity(2)`.
pub fn roam() -> io::Result<()> {
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: writes inside `set`, which has so many bits.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: pointer and size are those of `set`. The kernel leaves out the CPUs that there are not.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The port that listeners of several threads share, and when all are there.
#[derive(Debug)]
pub struct Port {
    addr: OnceLock<SocketAddr>,
    all: Barrier,
}

impl Port {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Port {
        Port { addr: OnceLock::new(), all: Barrier::new(threads) }
    }

    /// The address that this thread is to bind: for the first the one given, which may leave the port open, and for the
    /// others that which the first one got.
    #[must_use]
    pub fn to_bind(&self, thread: usize, given: &str) -> String {
        if thread == 0 { given.to_string() } else { self.addr.wait().to_string() }
    }

    /// This thread has bound it. Returns when all have; says so by `announce` in one of them.
    pub fn bound(&self, addr: SocketAddr, announce: impl FnOnce(SocketAddr)) {
        self.addr.get_or_init(|| addr);
        if self.all.wait().is_leader() {
            announce(addr);
        }
    }
}
