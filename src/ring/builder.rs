//! How a ring comes to be: what is asked for, checked, made, mapped.

use super::{
    Ring,
    cq::Cq,
    flags::{Features, SetupFlags},
    fork::Birth,
    layout::{Layout, MAX_CQ_ENTRIES, MAX_SQ_ENTRIES},
    mmap::Maps,
    number::unique,
    sq::Sq,
};
use crate::sys::{self, io_uring_params};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

/// What a [`Ring`] is to be like. Made by [`Ring::builder`].
///
/// ```no_run
/// use annulus::ring::{Ring, SetupFlags};
/// let ring = Ring::builder().flags(SetupFlags::SUBMIT_ALL).cq_entries(256).build(64)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    flags: SetupFlags,
    cq_entries: Option<u32>,
    sq_thread_idle: u32,
    sq_thread_cpu: Option<u32>,
    wq_fd: Option<RawFd>,
}

/// What this version cannot lay out or walk.
const LATER: SetupFlags = SetupFlags::NO_MMAP.union(SetupFlags::REGISTERED_FD_ONLY);

impl Builder {
    /// Adds `flags` to those asked for.
    #[must_use]
    pub fn flags(mut self, flags: SetupFlags) -> Builder {
        self.flags |= flags;
        self
    }

    /// How many completions fit, up to 65536, instead of twice the submission queue's entries. The kernel rounds up
    /// to a power of two. Since Linux 5.5.
    #[must_use]
    pub fn cq_entries(mut self, entries: u32) -> Builder {
        self.cq_entries = Some(entries);
        self.flags(SetupFlags::CQSIZE)
    }

    /// Too large a size becomes the largest one instead of an error. Since Linux 5.6.
    #[must_use]
    pub fn clamp(self) -> Builder {
        self.flags(SetupFlags::CLAMP)
    }

    /// How many milliseconds the kernel's thread of [`SetupFlags::SQPOLL`] spins before it sleeps; 0 means a second.
    #[must_use]
    pub fn sq_thread_idle(mut self, milliseconds: u32) -> Builder {
        self.sq_thread_idle = milliseconds;
        self
    }

    /// The processor that the kernel's thread of [`SetupFlags::SQPOLL`] stays on.
    #[must_use]
    pub fn sq_thread_cpu(mut self, cpu: u32) -> Builder {
        self.sq_thread_cpu = Some(cpu);
        self.flags(SetupFlags::SQ_AFF)
    }

    /// Shares the kernel's worker threads with another ring, which must still be open at [`Builder::build`]. Since
    /// Linux 5.6.
    #[must_use]
    pub fn attach_wq(mut self, other: &impl AsRawFd) -> Builder {
        self.wq_fd = Some(other.as_raw_fd());
        self.flags(SetupFlags::ATTACH_WQ)
    }

    /// Makes a ring with room for `entries` entries, which the kernel rounds up to a power of two.
    ///
    /// This is the last time that the ring allocates.
    ///
    /// # Errors
    /// `InvalidInput` with a sentence for sizes out of range and flags that cannot go together; `Unsupported` for what
    /// this version of annulus or a kernel before 5.4 cannot do. Else what the kernel says, as it is: `EINVAL` if it
    /// is too old for a flag, `ENOMEM` if the rings exceed `RLIMIT_MEMLOCK` (which is credited late when rings close:
    /// ask for less, or again in a moment), `EPERM` or `ENOSYS` where io_uring is forbidden or missing.
    pub fn build(&self, entries: u32) -> io::Result<Ring> {
        self.check_sizes(entries)?;
        self.check_flags()?;
        let mut params = io_uring_params {
            flags: self.flags.bits(),
            cq_entries: self.cq_entries.unwrap_or(0),
            sq_thread_idle: self.sq_thread_idle,
            sq_thread_cpu: self.sq_thread_cpu.unwrap_or(0),
            wq_fd: self.wq_fd.unwrap_or(0) as u32,
            ..io_uring_params::default()
        };
        let fd = sys::uring::setup(entries, &mut params)?;
        assemble(fd, &params, self.flags)
    }

    fn check_sizes(&self, entries: u32) -> io::Result<()> {
        let clamp = self.flags.contains(SetupFlags::CLAMP);
        if entries == 0 || (entries > MAX_SQ_ENTRIES && !clamp) {
            return invalid(format!(
                "a ring has 1 to {MAX_SQ_ENTRIES} entries, not {entries}; clamp() takes what fits"
            ));
        }
        if entries == 1 && self.flags.contains(SetupFlags::SQE_MIXED) {
            return invalid("an entry of a mixed ring may need two slots: ask for 2 entries or more");
        }
        let Some(cq) = self.cq_entries else { return Ok(()) };
        if cq == 1 && self.flags.contains(SetupFlags::CQE_MIXED) {
            return invalid("a completion of a mixed ring may need two slots: ask for 2 completions or more");
        }
        if cq == 0 || (cq > MAX_CQ_ENTRIES && !clamp) {
            return invalid(format!("a ring has 1 to {MAX_CQ_ENTRIES} completions, not {cq}; clamp() takes what fits"));
        }
        let sq = entries.min(MAX_SQ_ENTRIES).next_power_of_two();
        if cq.min(MAX_CQ_ENTRIES).next_power_of_two() < sq {
            return invalid(format!(
                "{cq} completions are fewer than the {sq} entries; cq_entries() takes {sq} or more"
            ));
        }
        Ok(())
    }

    fn check_flags(&self) -> io::Result<()> {
        use SetupFlags as F;
        let later = F::from_bits_retain(self.flags.bits() & (LATER.bits() | !F::all().bits()));
        if !later.is_empty() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("annulus has no rings with {later:?} yet")));
        }
        let has = |flags| self.flags.intersects(flags);
        let wrong = if has(F::CQSIZE) && self.cq_entries.is_none() {
            "CQSIZE needs a size: call cq_entries()"
        } else if has(F::SQ_AFF) && self.sq_thread_cpu.is_none() {
            "SQ_AFF needs a processor: call sq_thread_cpu()"
        } else if has(F::ATTACH_WQ) && self.wq_fd.is_none() {
            "ATTACH_WQ needs another ring: call attach_wq()"
        } else if has(F::SQ_AFF) && !has(F::SQPOLL) {
            "sq_thread_cpu() needs SQPOLL"
        } else if has(F::HYBRID_IOPOLL) && !has(F::IOPOLL) {
            "HYBRID_IOPOLL needs IOPOLL"
        } else if has(F::DEFER_TASKRUN) && !has(F::SINGLE_ISSUER) {
            "DEFER_TASKRUN needs SINGLE_ISSUER"
        } else if has(F::TASKRUN_FLAG) && !has(F::COOP_TASKRUN | F::DEFER_TASKRUN) {
            "TASKRUN_FLAG needs COOP_TASKRUN or DEFER_TASKRUN"
        } else if has(F::SQPOLL) && has(F::COOP_TASKRUN | F::DEFER_TASKRUN) {
            "SQPOLL goes with neither COOP_TASKRUN nor DEFER_TASKRUN: its thread runs the completions"
        } else if has(F::SQE_MIXED) && has(F::SQE128) {
            "SQE_MIXED and SQE128 are two answers to one question: take one"
        } else if has(F::CQE_MIXED) && has(F::CQE32) {
            "CQE_MIXED and CQE32 are two answers to one question: take one"
        } else if has(F::SQ_REWIND) && !has(F::NO_SQARRAY) {
            "SQ_REWIND needs NO_SQARRAY"
        } else if has(F::SQ_REWIND) && has(F::SQPOLL) {
            "SQ_REWIND does not go with SQPOLL: its thread reads where the queue says"
        } else {
            return Ok(());
        };
        invalid(wrong)
    }
}

fn invalid<T>(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Checks the kernel's answer, maps what it describes and takes the queues over.
fn assemble(fd: OwnedFd, params: &io_uring_params, flags: SetupFlags) -> io::Result<Ring> {
    let layout = Layout::new(params)?;
    let birth = Birth::now()?;
    let maps = Maps::new(fd.as_fd(), &layout, birth)?;
    // SAFETY: Mapped: the ring drops its maps after the last use of its queues. The descriptor is new, so nobody else
    // moves what is ours.
    let sq = unsafe { Sq::new(maps.rings(), maps.sqes(), &layout, birth) }?;
    // SAFETY: Mapped, and ours alone, for the same reasons.
    let cq = unsafe { Cq::new(maps.rings(), &layout, birth) }?;
    let features = Features::from_bits_retain(params.features);
    Ok(Ring { sq, cq, registered: None, flags, features, birth, id: unique(), _maps: maps, fd })
}
