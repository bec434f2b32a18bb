//! What a driver would be on this machine, and why: the same ladder and the same choice, for whoever wants to know.

use crate::{
    driver::{
        Call, Config, DriverInfo,
        choice::{self, Asked},
        ladder::{self, Attempt, copy},
        uring::{self, Known},
    },
    ring::{Features, Ring, SetupFlags},
};
use std::{fmt, io};

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
    fn new((ring, known): (Ring, Known)) -> RingInfo {
        let (flags, features) = (ring.setup_flags(), ring.features());
        RingInfo { flags, features, entries: ring.sq_entries(), completions: ring.cq_entries(), known }
    }

    /// Whether the ring carries out `opcode`, an `IORING_OP_*` that annulus knows and `ANNULUS_HIDE_OPS` does not hide.
    #[must_use]
    pub fn supports(&self, opcode: u8) -> bool {
        self.known.opcodes.get(usize::from(opcode)).copied().unwrap_or(false)
    }
}

impl fmt::Display for RingInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = ladder::flag_names(self.flags);
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
    let ring = uring::open(config.entries, &mut attempts).map(RingInfo::new);
    Survey { calls: uring::ask(), ..Survey::new(attempts, ring, config.choice.settle()) }
}

impl Survey {
    pub(crate) fn new(attempts: Vec<Attempt>, ring: io::Result<RingInfo>, asked: io::Result<Asked>) -> Survey {
        let outcome = || ring.as_ref().map(drop).map_err(copy);
        let driver = asked.and_then(|asked| choice::decide(asked, outcome)).map(|(_, info)| info);
        Survey { attempts, calls: Vec::new(), ring, driver }
    }
}
