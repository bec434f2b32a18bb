//! Which driver runs, and who says so.

use super::threads::MAX_THREADS;
use std::{env, ffi::OsStr, fmt, io};

/// A kind of driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// The kernel's ring: io_uring.
    Uring,
    /// A ring in user space, over epoll or kqueue.
    Poll,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriverKind::Uring => "uring",
            DriverKind::Poll => "poll",
        })
    }
}

/// Which driver runs and, for the poll driver, why. Prints as `uring` or `poll (reason)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    pub(super) kind: DriverKind,
    pub(super) reason: Option<String>,
}

impl DriverInfo {
    /// The kind of driver.
    #[must_use]
    pub fn kind(&self) -> DriverKind {
        self.kind
    }

    /// Why the kernel's ring is not used.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for DriverInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{} ({reason})", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// Who decides: the program by name, or else the environment, or else what the machine can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// `ANNULUS_DRIVER` if it is set; else the ring, and the poll driver where there is none.
    #[default]
    Auto,
    /// The driver that the program named. If it cannot be had, that is an error.
    Named(DriverKind),
}

/// The driver that must be, and who said so; `None` leaves it to the machine.
pub(crate) type Asked = Option<(DriverKind, &'static str)>;

impl Choice {
    pub(super) fn settle(self) -> io::Result<Asked> {
        match self {
            Choice::Named(kind) => Ok(Some((kind, "the program"))),
            Choice::Auto => Ok(parse(env::var_os("ANNULUS_DRIVER").as_deref())?.map(|kind| (kind, "ANNULUS_DRIVER"))),
        }
    }
}

fn parse(value: Option<&OsStr>) -> io::Result<Option<DriverKind>> {
    match value.map(|v| v.to_string_lossy().to_ascii_lowercase()).as_deref() {
        None | Some("" | "auto") => Ok(None),
        Some("uring") => Ok(Some(DriverKind::Uring)),
        Some("poll") => Ok(Some(DriverKind::Poll)),
        Some(other) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("ANNULUS_DRIVER is `{other}`; set it to `uring` or `poll`, or unset it to let annulus choose"),
        )),
    }
}

/// The driver that whoever asked and the machine agree on, with its ring if it has one. `ring` is tried unless the
/// other driver is asked for.
pub(super) fn decide<R>(asked: Asked, ring: impl FnOnce() -> io::Result<R>) -> io::Result<(Option<R>, DriverInfo)> {
    let without = |reason| Ok((None, DriverInfo { kind: DriverKind::Poll, reason: Some(reason) }));
    if let Some((DriverKind::Poll, who)) = asked {
        return without([who, " asks for it"].concat());
    }
    let refused = match ring() {
        Ok(ring) => return Ok((Some(ring), DriverInfo { kind: DriverKind::Uring, reason: None })),
        Err(e) => e,
    };
    match asked {
        Some((_, who)) => {
            Err(io::Error::new(refused.kind(), format!("{who} asks for the uring driver, but {refused}")))
        }
        // A setting that means nothing is a mistake to be told, and no machine without a ring.
        None if refused.kind() == io::ErrorKind::InvalidInput && refused.raw_os_error().is_none() => Err(refused),
        None => without(refused.to_string()),
    }
}

/// What a driver is made from.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) choice: Choice,
    /// Entries of the submission queue.
    pub(crate) entries: u32,
    /// Threads of the pool at most.
    pub(crate) max_blocking_threads: usize,
    /// Somebody else's loop will wait for the driver's descriptor.
    pub(crate) pollable: bool,
    /// Places for direct descriptors, at most.
    pub(crate) direct_descriptors: u32,
    /// The ring's driver may answer a read of what is in memory by a call.
    pub(crate) cached_reads: bool,
}

/// The most entries that a submission queue can have.
pub(crate) const MAX_ENTRIES: u32 = 32768;

impl Default for Config {
    fn default() -> Config {
        Config {
            choice: Choice::Auto,
            entries: 1024,
            max_blocking_threads: MAX_THREADS,
            pollable: false,
            direct_descriptors: 1024,
            cached_reads: true,
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> io::Result<()> {
        let complain = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if !(1..=MAX_ENTRIES).contains(&self.entries) {
            let asked = self.entries;
            return complain(format!("a ring cannot have {asked} entries; ask for 1 to {MAX_ENTRIES}"));
        }
        if self.max_blocking_threads == 0 {
            return complain("the pool needs at least one thread, since some operations can only block".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_driver_or_is_an_error() {
        let parse = |v: &str| parse(Some(OsStr::new(v)));
        assert_eq!(parse("URING").unwrap(), Some(DriverKind::Uring));
        assert_eq!(parse("poll").unwrap(), Some(DriverKind::Poll));
        assert_eq!(parse("").unwrap(), None);
        let error = parse("epol").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`uring` or `poll`"), "{error}");
    }

    #[test]
    fn a_machine_without_a_ring_gets_the_poll_driver_unless_that_is_forbidden() {
        let none = || Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM));
        let (ring, info) = decide(None, none).unwrap();
        assert_eq!((ring, info.kind()), (None, DriverKind::Poll));
        assert!(info.reason().unwrap().contains("not permitted"), "{info}");
        let error = decide(Some((DriverKind::Uring, "ANNULUS_DRIVER")), none).unwrap_err();
        assert!(error.to_string().starts_with("ANNULUS_DRIVER asks for the uring driver, but "), "{error}");
        let (ring, info) = decide(None, || Ok(7)).unwrap();
        assert_eq!((ring, info.to_string().as_str()), (Some(7), "uring"));
        let (ring, info) = decide(Some((DriverKind::Poll, "the program")), || -> io::Result<()> { panic!() }).unwrap();
        assert_eq!((ring, info.to_string().as_str()), (None, "poll (the program asks for it)"));
    }

    #[test]
    fn a_setting_that_means_nothing_is_no_reason_to_change_the_driver() {
        let mistake = || Err::<(), _>(io::Error::new(io::ErrorKind::InvalidInput, "ANNULUS_SETUP is `x`"));
        assert_eq!(decide(None, mistake).unwrap_err().to_string(), "ANNULUS_SETUP is `x`");
        // The kernel's own EINVAL is another matter.
        decide(None, || Err::<(), _>(io::Error::from_raw_os_error(libc::EINVAL))).unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for entries in [0, MAX_ENTRIES + 1, 1 << 20] {
            let error = Config { entries, ..Config::default() }.check().unwrap_err();
            assert!(error.to_string().contains("1 to 32768"), "{error}");
        }
        for entries in [1, MAX_ENTRIES] {
            Config { entries, ..Config::default() }.check().unwrap();
        }
        assert!(Config { max_blocking_threads: 0, ..Config::default() }.check().is_err());
    }
}
