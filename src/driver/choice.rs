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

impl Choice {
    /// The driver that must be, and who said so; `None` leaves it to the machine.
    pub(super) fn settle(self) -> io::Result<Option<(DriverKind, &'static str)>> {
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

/// What a driver is made from.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) choice: Choice,
    /// Entries of the submission queue.
    pub(crate) entries: u32,
    /// Threads of the pool at most.
    pub(crate) max_blocking_threads: usize,
}

/// The most entries that a submission queue can have.
pub(crate) const MAX_ENTRIES: u32 = 32768;

impl Default for Config {
    fn default() -> Config {
        Config { choice: Choice::Auto, entries: 1024, max_blocking_threads: MAX_THREADS }
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
