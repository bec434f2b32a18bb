//! What a driver would be on this machine, and why: the same ladder and the same choice, for whoever wants to know.

use crate::{
    driver::{
        Call, Config, DriverInfo,
        choice::{self, Asked},
        uring,
    },
    ring::{Features, SetupFlags},
    sys::names::OPCODES,
};
use std::{fmt, io};

/// One setup that was asked for, and what the kernel answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The rung of the ladder, as `ANNULUS_SETUP` calls it: `defer`, `coop` or `plain`.
    pub rung: &'static str,
    /// The flags that were asked for.
    pub flags: SetupFlags,
    /// The entries that were asked for.
    pub entries: u32,
    /// Why there was no ring. `raw_os_error` is the kernel's number.
    pub error: Option<io::Error>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} entries, {}: ", self.rung, self.entries, flag_names(self.flags))?;
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("taken"),
        }
    }
}

/// What the ring carries out.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// By opcode.
    pub(crate) opcodes: [bool; OPCODES.len()],
    /// Flags and registrations that it does not take. They are found out by trying.
    #[allow(dead_code, reason = "where there is no ring, nobody asks")]
    pub(crate) lacking: Vec<&'static str>,
}

/// A ring that the setup ladder ended at.
#[derive(Debug)]
#[non_exhaustive]
pub struct RingInfo {
    /// How it was set up.
    pub flags: SetupFlags,
    /// What the kernel says of itself.
    pub features: Features,
    /// Entries of the submission queue.
    pub entries: u32,
    /// Entries of the completion queue.
    pub completions: u32,
    pub(crate) known: Known,
}

impl RingInfo {
    /// Whether the ring carries out `opcode`, an `IORING_OP_*` that annulus knows and `ANNULUS_HIDE_OPS` does not hide.
    #[must_use]
    pub fn supports(&self, opcode: u8) -> bool {
        self.known.opcodes.get(usize::from(opcode)).copied().unwrap_or(false)
    }
}

impl fmt::Display for RingInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = flag_names(self.flags);
        write!(f, "{flags}, with {} entries and {} completions", self.entries, self.completions)
    }
}

/// What was found out.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Each setup that was asked for, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// What the other two calls are answered.
    pub(crate) calls: Vec<Call>,
    /// The ring at the end of the ladder, or why there is none.
    pub(crate) ring: io::Result<RingInfo>,
    /// The driver that a runtime with the defaults would have, or why it would have none.
    pub(crate) driver: io::Result<DriverInfo>,
}

/// Climbs the ladder, whatever driver is asked for, and lets the ring go again.
pub(crate) fn survey() -> Survey {
    let config = Config::default();
    let mut attempts = Vec::new();
    let ring = uring::look(&config, &mut attempts);
    Survey { calls: uring::ask(), ..Survey::new(attempts, ring, config.choice.settle()) }
}

impl Survey {
    pub(crate) fn new(attempts: Vec<Attempt>, ring: io::Result<RingInfo>, asked: io::Result<Asked>) -> Survey {
        let outcome = || ring.as_ref().map(drop).map_err(copy);
        let driver = asked.and_then(|asked| choice::decide(asked, outcome)).map(|(_, info)| info);
        Survey { attempts, calls: Vec::new(), ring, driver }
    }
}

/// The flags by their names.
pub(crate) fn flag_names<F: bitflags::Flags>(flags: F) -> String {
    flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

/// The same error once more, with its number if it has one.
pub(super) fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
