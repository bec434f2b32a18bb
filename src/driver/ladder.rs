//! The setup ladder: the best ring that this kernel gives.
//!
//! Flags are asked for, never inferred from a version: the best set first, and on EINVAL the next plainer one.

use crate::ring::{Features, Ring, SetupFlags};
use std::{env, fmt, io, thread, time::Duration};

/// A way to run completions, best first; `ANNULUS_SETUP` forces one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    /// Completions run when the owner asks for them. Since Linux 6.1.
    Defer,
    /// Completions run when the owner enters the kernel, without interrupting it. Since Linux 5.19.
    Coop,
    /// Completions interrupt the owner.
    Plain,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rung::Defer => "defer",
            Rung::Coop => "coop",
            Rung::Plain => "plain",
        })
    }
}

/// What all rungs have: a completion queue of one's own size, cut to what the kernel allows.
const ALL: SetupFlags = SetupFlags::CLAMP;

/// The sets to try, best first.
fn rungs() -> [(Rung, SetupFlags); 5] {
    let coop = ALL | SetupFlags::SUBMIT_ALL | SetupFlags::COOP_TASKRUN | SetupFlags::TASKRUN_FLAG;
    let defer =
        ALL | SetupFlags::SUBMIT_ALL | SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::TASKRUN_FLAG;
    [
        (Rung::Defer, defer | SetupFlags::NO_SQARRAY),
        (Rung::Defer, defer),
        (Rung::Coop, coop | SetupFlags::SINGLE_ISSUER),
        (Rung::Coop, coop),
        (Rung::Plain, ALL),
    ]
}

/// What the driver cannot do without: completions are never dropped, entries are read before enter returns, sockets are
/// polled and not blocked on, and a wait can have a limit. All are there since Linux 5.11.
const NEEDED: Features =
    Features::NODROP.union(Features::SUBMIT_STABLE).union(Features::FAST_POLL).union(Features::EXT_ARG);

/// The smallest ring worth having when memory may not be locked.
const FEWEST: u32 = 64;

/// Climbs down until there is a ring of about `entries` entries.
///
/// # Errors
/// Why there is none, in a sentence that says what to do about it.
pub(super) fn climb(entries: u32) -> io::Result<Ring> {
    let forced = forced()?;
    let mut last = None;
    for (_, flags) in rungs().into_iter().filter(|(rung, _)| forced.is_none_or(|f| f == *rung)) {
        match build(entries, flags) {
            Ok(ring) => return check(ring),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => last = Some(e),
            Err(e) => return Err(explain(e)),
        }
    }
    Err(explain(last.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))))
}

/// The rung that `ANNULUS_SETUP` forces.
fn forced() -> io::Result<Option<Rung>> {
    match env::var("ANNULUS_SETUP").as_deref() {
        Err(env::VarError::NotPresent) | Ok("") => Ok(None),
        Ok("defer") => Ok(Some(Rung::Defer)),
        Ok("coop") => Ok(Some(Rung::Coop)),
        Ok("plain") => Ok(Some(Rung::Plain)),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("ANNULUS_SETUP is {other:?}; set it to `defer`, `coop` or `plain`, or unset it"),
        )),
    }
}

/// One rung, with fewer entries when the memory for them may not be locked. The kernel gives such memory back with a
/// delay, so the smallest size is tried again for a moment.
fn build(mut entries: u32, flags: SetupFlags) -> io::Result<Ring> {
    let mut retries = 3;
    loop {
        let cq_entries = entries.saturating_mul(4);
        match Ring::builder().flags(flags).cq_entries(cq_entries).build(entries) {
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && entries > FEWEST => entries /= 2,
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && retries > 0 => {
                retries -= 1;
                thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn check(mut ring: Ring) -> io::Result<Ring> {
    let missing = NEEDED - ring.features();
    if !missing.is_empty() {
        let why = format!("this kernel's io_uring lacks {missing:?}; Linux 5.11 or newer has it");
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    // An index in the thread's table saves a look-up for each enter; without one (Linux < 5.18) everything works.
    let _ = ring.register_ring_fd();
    Ok(ring)
}

/// Says what stands between the program and a ring.
fn explain(error: io::Error) -> io::Error {
    let advice = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "io_uring is forbidden here (EPERM): look at sysctl kernel.io_uring_disabled, or at the seccomp profile of \
             the container"
        }
        Some(libc::ENOSYS) => "io_uring is not there (ENOSYS): the kernel lacks it, or a seccomp profile hides it",
        Some(libc::ENOMEM) => {
            "the memory of a ring may not be locked (ENOMEM): raise RLIMIT_MEMLOCK (ulimit -l) or ask for fewer entries"
        }
        // Another kind than its own: nobody's input is wrong, the kernel is old.
        Some(libc::EINVAL) => {
            let why = "the kernel knows none of the setups that were tried (EINVAL): a newer one is needed";
            return io::Error::new(io::ErrorKind::Unsupported, why);
        }
        Some(libc::EMFILE | libc::ENFILE) => "no descriptor is left for a ring: raise RLIMIT_NOFILE (ulimit -n)",
        _ => return io::Error::new(error.kind(), format!("io_uring_setup failed: {error}")),
    };
    io::Error::new(error.kind(), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        for (errno, word) in [(libc::EPERM, "sysctl"), (libc::ENOSYS, "seccomp"), (libc::ENOMEM, "RLIMIT_MEMLOCK")] {
            let text = explain(io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains(word), "{text}");
        }
        let old = explain(io::Error::from_raw_os_error(libc::EINVAL));
        assert_eq!(old.kind(), io::ErrorKind::Unsupported, "{old}");
    }

    #[test]
    fn the_ladder_goes_down() {
        let rungs = rungs();
        assert_eq!(rungs.first().unwrap().0, Rung::Defer);
        assert_eq!(*rungs.last().unwrap(), (Rung::Plain, ALL));
    }
}
