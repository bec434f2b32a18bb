//! The setup ladder: the best ring that this kernel gives.
//!
//! Flags are asked for, never inferred from a version: the best set first, and on EINVAL the next plainer one.

use crate::{
    driver::survey::{Attempt, copy},
    ring::{Enter, Features, Ring, SetupFlags},
};
use std::{env, ffi::OsStr, io, thread, time::Duration};

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

impl Rung {
    const ALL: [Rung; 3] = [Rung::Defer, Rung::Coop, Rung::Plain];

    fn name(self) -> &'static str {
        match self {
            Rung::Defer => "defer",
            Rung::Coop => "coop",
            Rung::Plain => "plain",
        }
    }
}

/// What all rungs have: a completion queue of one's own size, cut to what the kernel allows.
const ALL: SetupFlags = SetupFlags::CLAMP.union(SetupFlags::CQSIZE);

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

/// Climbs down until there is a ring of about `entries` entries. What was asked for on the way is added to `tried`.
/// Where somebody else's loop waits for the ring (`pollable`), completions are not deferred: an enter would have to
/// make them, and nothing would tell that it is time for one. (An eventfd tells, but not of what another eventfd
/// caused, or on Linux 6.18 just once.)
///
/// # Errors
/// Why there is none, in a sentence that says what to do about it.
pub(super) fn climb(entries: u32, pollable: bool, tried: &mut Vec<Attempt>) -> io::Result<Ring> {
    let forced = forced(env::var_os("ANNULUS_SETUP").as_deref())?;
    if pollable && forced == Some(Rung::Defer) {
        let why = "ANNULUS_SETUP is `defer`, and such a ring is not pollable, which the program asks for";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let make = |flags, entries: u32| Ring::builder().flags(flags).cq_entries(entries.saturating_mul(4)).build(entries);
    let allowed = |rung| forced.is_none_or(|forced| forced == rung) && !(pollable && rung == Rung::Defer);
    check(descend(allowed, entries, tried, make).map_err(explain)?)
}

/// The rung that `ANNULUS_SETUP` forces.
fn forced(value: Option<&OsStr>) -> io::Result<Option<Rung>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    match Rung::ALL.into_iter().find(|rung| value == rung.name()) {
        Some(rung) => Ok(Some(rung)),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("ANNULUS_SETUP is {value:?}; set it to `defer`, `coop` or `plain`, or unset it"),
        )),
    }
}

/// Rung by rung, for as long as the kernel does not know the flags.
fn descend<R>(
    allowed: impl Fn(Rung) -> bool,
    entries: u32,
    tried: &mut Vec<Attempt>,
    make: impl Fn(SetupFlags, u32) -> io::Result<R>,
) -> io::Result<R> {
    let mut last = io::Error::from_raw_os_error(libc::EINVAL);
    for (rung, flags) in rungs().into_iter().filter(|&(rung, _)| allowed(rung)) {
        match stand(rung, flags, entries, tried, &make) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => last = e,
            other => return other,
        }
    }
    Err(last)
}

/// One rung, with fewer entries when the memory for them may not be locked. The kernel gives such memory back with a
/// delay, so the smallest size is tried again for a moment.
fn stand<R>(
    rung: Rung,
    flags: SetupFlags,
    mut entries: u32,
    tried: &mut Vec<Attempt>,
    make: impl Fn(SetupFlags, u32) -> io::Result<R>,
) -> io::Result<R> {
    let mut retries = 3;
    loop {
        let made = make(flags, entries);
        tried.push(Attempt { rung: rung.name(), flags, entries, error: made.as_ref().err().map(copy) });
        match made {
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
    // A seccomp profile may allow the setup and forbid the rest; an enter that does nothing finds out. A ring that is
    // short of something just now is a ring all the same.
    match ring.enter(&Enter::default()).map_err(|e| (e.raw_os_error().unwrap_or(0), e)) {
        Ok(_) | Err((libc::EBUSY | libc::EAGAIN | libc::EINTR, _)) => {}
        Err((_, error)) => return Err(explain(error)),
    }
    // An index in the thread's table saves a look-up for each enter; without one (Linux < 5.18) everything works.
    let _ = ring.register_ring_fd();
    Ok(ring)
}

/// Says what stands between the program and a ring.
pub(super) fn explain(error: io::Error) -> io::Error {
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
        _ => return io::Error::new(error.kind(), format!("no ring can be had: {error}")),
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

    fn fake(answer: impl Fn(SetupFlags, u32) -> i32) -> impl Fn(SetupFlags, u32) -> io::Result<u32> {
        move |flags, entries| match answer(flags, entries) {
            0 => Ok(entries),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn errnos(tried: &[Attempt]) -> Vec<Option<i32>> {
        tried.iter().map(|a| a.error.as_ref().and_then(io::Error::raw_os_error)).collect()
    }

    #[test]
    fn every_step_is_recorded() {
        let coop = |flags: SetupFlags, _| if flags.contains(SetupFlags::SINGLE_ISSUER) { libc::EINVAL } else { 0 };
        let mut tried = Vec::new();
        assert_eq!(descend(|_| true, 256, &mut tried, fake(coop)).unwrap(), 256);
        assert_eq!(errnos(&tried), [Some(libc::EINVAL), Some(libc::EINVAL), Some(libc::EINVAL), None]);
        let last = tried.last().unwrap();
        let text = "coop with 256 entries, CQSIZE CLAMP SUBMIT_ALL COOP_TASKRUN TASKRUN_FLAG: taken";
        assert_eq!((last.rung, last.to_string().as_str()), ("coop", text));
        tried.clear();
        assert_eq!(descend(|rung| rung == Rung::Plain, 256, &mut tried, fake(coop)).unwrap(), 256);
        assert_eq!(tried.len(), 1);
    }

    #[test]
    fn little_memory_makes_a_smaller_ring_and_a_refusal_ends_the_climb() {
        let small = |_, entries| if entries > 128 { libc::ENOMEM } else { 0 };
        let mut tried = Vec::new();
        assert_eq!(descend(|_| true, 512, &mut tried, fake(small)).unwrap(), 128);
        assert_eq!(tried.iter().map(|a| a.entries).collect::<Vec<_>>(), [512, 256, 128]);
        for (errno, steps) in [(libc::EPERM, 1), (libc::ENOMEM, 5), (libc::EINVAL, 5)] {
            tried.clear();
            assert_eq!(descend(|_| true, 128, &mut tried, fake(|_, _| errno)).unwrap_err().raw_os_error(), Some(errno));
            assert_eq!(errnos(&tried), vec![Some(errno); steps]);
        }
    }

    #[test]
    fn a_rung_is_forced_by_its_name() {
        let forced = |value: &str| forced(Some(OsStr::new(value)));
        assert_eq!(forced("coop").unwrap(), Some(Rung::Coop));
        assert_eq!(forced("").unwrap(), None);
        assert!(forced("best").unwrap_err().to_string().starts_with("ANNULUS_SETUP is \"best\"; set it to"));
    }
}
