//! How a ring comes to be: what is asked for, checked, made, mapped.

use super::{
    Ring,
    cq::Cq,
    flags::{Features, SetupFlags},
    fork::Birth,
    layout::{Layout, MAX_CQ_ENTRIES, MAX_SQ_ENTRIES},
    memory::{MemoryNeeded, RingMemory, page_size},
    mmap::Maps,
    name::Name,
    number::unique,
    ring_fd::Registered,
    sq::Sq,
};
use crate::{
    entry::{Cqe, Sqe},
    sys::{self, io_uring_params},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// What stands before the completions in the kernel's memory.
const HEADER: usize = 64;
/// The longest line of any processor's cache: what follows the completions begins with one.
const CACHE_LINE: usize = 256;

/// What a [`Ring`] is to be like. Made by [`Ring::builder`].
///
/// These are the flags, since when Linux has them, and what they go with. What cannot be is refused with a sentence
/// before the kernel is asked; a kernel that is too old for a flag says `EINVAL`.
///
/// | flag | Linux | |
/// |---|---|---|
/// | `IOPOLL` | 5.1 | takes NOPs, messages, commands, and reads and writes of what can be polled; each enter polls |
/// | `SQPOLL` | 5.1, for everybody 5.13 | with neither `COOP_TASKRUN`, `DEFER_TASKRUN` nor `SQ_REWIND` |
/// | `SQ_AFF` | 5.1 | by [`Builder::sq_thread_cpu`]; with `SQPOLL` |
/// | `CQSIZE` | 5.5 | by [`Builder::cq_entries`] |
/// | `CLAMP` | 5.6 | by [`Builder::clamp`] |
/// | `ATTACH_WQ` | 5.6 | by [`Builder::attach_wq`]; with `SQPOLL` the other ring's thread is shared as well |
/// | `R_DISABLED` | 5.10 | until [`Ring::enable`], every enter is `EBADFD` |
/// | `SUBMIT_ALL` | 5.18 | |
/// | `COOP_TASKRUN` | 5.19 | without `SQPOLL`; means nothing beside `DEFER_TASKRUN` |
/// | `TASKRUN_FLAG` | 5.19 | with `COOP_TASKRUN` or `DEFER_TASKRUN` |
/// | `SQE128` | 5.19 | without `SQE_MIXED` |
/// | `CQE32` | 5.19 | without `CQE_MIXED` |
/// | `SINGLE_ISSUER` | 6.0 | |
/// | `DEFER_TASKRUN` | 6.1 | with `SINGLE_ISSUER`, without `SQPOLL` |
/// | `NO_MMAP` | 6.5 | by [`Builder::build_in`] |
/// | `REGISTERED_FD_ONLY` | 6.5 | with [`Builder::build_in`] |
/// | `NO_SQARRAY` | 6.6 | |
/// | `HYBRID_IOPOLL` | 6.13 | with `IOPOLL` |
/// | `CQE_MIXED` | 6.18 | 2 completions or more; without `CQE32` |
/// | `SQE_MIXED` | 6.19 | 2 entries or more; with neither `SQE128` nor `SQPOLL` |
/// | `SQ_REWIND` | 7.0 | with `NO_SQARRAY`, without `SQPOLL` |
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

    /// The processor that the kernel's thread of [`SetupFlags::SQPOLL`] stays on; one that this process may not use is
    /// `EINVAL` at [`Builder::build`].
    #[must_use]
    pub fn sq_thread_cpu(mut self, cpu: u32) -> Builder {
        self.sq_thread_cpu = Some(cpu);
        self.flags(SetupFlags::SQ_AFF)
    }

    /// Shares the kernel's worker threads with another ring, which must have a descriptor and still be open at
    /// [`Builder::build`] (`ENXIO`, or `EINVAL` for what is no ring). With [`SetupFlags::SQPOLL`] on both, and in one
    /// process, one thread serves both queues, and goes on when the other ring is dropped. Since Linux 5.6.
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
        if self.flags.contains(SetupFlags::NO_MMAP) {
            return invalid("NO_MMAP needs memory: call build_in()");
        }
        self.check(entries)?;
        let mut params = self.params();
        let fd = sys::uring::setup(entries, &mut params)?;
        let layout = self.layout(&mut params)?;
        let birth = Birth::now()?;
        let maps = Maps::new(fd.as_fd(), &layout, birth)?;
        self.assemble(Name { fd: Some(fd), registered: None, birth }, &params, &layout, maps)
    }

    /// Makes a ring in memory that it is given, which [`SetupFlags::NO_MMAP`] says to the kernel, and with
    /// [`SetupFlags::REGISTERED_FD_ONLY`] one without a descriptor. Since Linux 6.5.
    ///
    /// A ring without a descriptor takes one of the 16 indices that a thread has, and works on that thread alone: on
    /// another one it can be pushed to and read, but every enter and every request to register something is an error. A
    /// drop on another thread leaves the index, and with it the ring, to the end of the thread that made it.
    ///
    /// # Errors
    /// Those of [`Builder::build`]. `InvalidInput` with a sentence for memory that is too short or begins within a
    /// page, `OutOfMemory` with one if there are no huge pages, `Unsupported` for queues of several pages where the
    /// kernel is older than 6.10. `EFAULT` for memory that is not there, `EBUSY` if the thread has 16 indices.
    pub fn build_in(&self, entries: u32, memory: RingMemory) -> io::Result<Ring> {
        let this = self.clone().flags(SetupFlags::NO_MMAP);
        let place = memory.place(this.memory_for(entries)?)?;
        let mut params = this.params();
        [params.cq_off.user_addr, params.sq_off.user_addr] = place.addresses();
        let birth = Birth::now()?;
        let number = sys::uring::setup_number(entries, &mut params)?;
        let mut name = Name { fd: None, registered: None, birth };
        if this.flags.contains(SetupFlags::REGISTERED_FD_ONLY) {
            name.registered = Some(Registered::taken(number));
        } else {
            // SAFETY: the kernel just made this descriptor and nobody else has it.
            name.fd = Some(unsafe { OwnedFd::from_raw_fd(number as RawFd) });
        }
        if place.apart && !Features::from_bits_retain(params.features).contains(Features::RECVSEND_BUNDLE) {
            // Both came with Linux 6.10. Some kernels before it take such memory, and write past its first page.
            let why = "before Linux 6.10 each queue needs a page of its own: ask for fewer entries, or for huge pages";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let layout = this.layout(&mut params)?;
        let maps = Maps::given(place, &layout, birth)?;
        this.assemble(name, &params, &layout, maps)
    }

    /// How much memory the queues of a ring with `entries` entries take; for
    /// [`RingMemory::callers`](super::RingMemory::callers).
    ///
    /// # Errors
    /// `InvalidInput` for what [`Builder::build_in`] would refuse.
    pub fn memory_for(&self, entries: u32) -> io::Result<MemoryNeeded> {
        let this = self.clone().flags(SetupFlags::NO_MMAP);
        this.check(entries)?;
        let sq = entries.min(MAX_SQ_ENTRIES).next_power_of_two() as usize;
        let cq = this.cq_entries.map_or(2 * sq, |cq| cq.min(MAX_CQ_ENTRIES).next_power_of_two() as usize);
        let has = |flag| this.flags.contains(flag);
        let queue = (HEADER + cq * size_of::<Cqe>()) << u32::from(has(SetupFlags::CQE32));
        let array = if has(SetupFlags::NO_SQARRAY) { 0 } else { sq * size_of::<u32>() };
        let rings = (queue.next_multiple_of(CACHE_LINE) + array).next_multiple_of(page_size());
        let sqes = ((sq * size_of::<Sqe>()) << u32::from(has(SetupFlags::SQE128))).next_multiple_of(page_size());
        Ok(MemoryNeeded { rings, sqes })
    }

    fn params(&self) -> io_uring_params {
        io_uring_params {
            flags: self.flags.bits(),
            cq_entries: self.cq_entries.unwrap_or(0),
            sq_thread_idle: self.sq_thread_idle,
            sq_thread_cpu: self.sq_thread_cpu.unwrap_or(0),
            wq_fd: self.wq_fd.unwrap_or(0) as u32,
            ..io_uring_params::default()
        }
    }

    /// Checks the kernel's answer. How wide its slots are is what was asked for, whatever it says.
    fn layout(&self, params: &mut io_uring_params) -> io::Result<Layout> {
        params.flags = self.flags.bits();
        Ok(Layout::new(params)?)
    }

    /// Takes the queues over.
    fn assemble(&self, name: Name, params: &io_uring_params, layout: &Layout, maps: Maps) -> io::Result<Ring> {
        let birth = name.birth;
        // SAFETY: Mapped: the ring drops its maps after the last use of its queues. The ring is new, so nobody else
        // moves what is ours.
        let sq = unsafe { Sq::new(maps.rings(), maps.sqes(), layout, birth) }?;
        // SAFETY: Mapped, and ours alone, for the same reasons.
        let cq = unsafe { Cq::new(maps.rings(), layout, birth) }?;
        let features = Features::from_bits_retain(params.features);
        Ok(Ring { sq, cq, waits: None, flags: self.flags, features, birth, id: unique(), left: false, maps, name })
    }

    fn check(&self, entries: u32) -> io::Result<()> {
        check_sizes(entries, self.cq_entries, self.flags)?;
        self.check_flags()
    }

    fn check_flags(&self) -> io::Result<()> {
        use SetupFlags as F;
        let unknown = self.flags.difference(F::all());
        if !unknown.is_empty() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("annulus knows no flag {unknown:?}")));
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
        } else if has(F::SQE_MIXED) && has(F::SQPOLL) {
            // It takes eight slots at a time when rings share it, and of an entry that this cuts, the rest as the next.
            "SQE_MIXED does not go with SQPOLL: its thread may take half an entry; take SQE128"
        } else if has(F::CQE_MIXED) && has(F::CQE32) {
            "CQE_MIXED and CQE32 are two answers to one question: take one"
        } else if has(F::SQ_REWIND) && !has(F::NO_SQARRAY) {
            "SQ_REWIND needs NO_SQARRAY"
        } else if has(F::SQ_REWIND) && has(F::SQPOLL) {
            "SQ_REWIND does not go with SQPOLL: its thread reads where the queue says"
        } else if has(F::REGISTERED_FD_ONLY) && !has(F::NO_MMAP) {
            "REGISTERED_FD_ONLY needs memory that the ring is given: call build_in()"
        } else if has(F::ATTACH_WQ) && self.wq_fd.is_some_and(|fd| fd < 0) {
            "a ring without a descriptor cannot share its worker threads"
        } else {
            return Ok(());
        };
        invalid(wrong)
    }
}

/// Checks what is asked for against what any kernel has.
pub(crate) fn check_sizes(entries: u32, completions: Option<u32>, flags: SetupFlags) -> io::Result<()> {
    let clamp = flags.contains(SetupFlags::CLAMP);
    if entries == 0 || (entries > MAX_SQ_ENTRIES && !clamp) {
        return invalid(format!("a ring has 1 to {MAX_SQ_ENTRIES} entries, not {entries}; clamp() takes what fits"));
    }
    if entries == 1 && flags.contains(SetupFlags::SQE_MIXED) {
        return invalid("an entry of a mixed ring may need two slots: ask for 2 entries or more");
    }
    let Some(cq) = completions else { return Ok(()) };
    if cq == 0 || (cq > MAX_CQ_ENTRIES && !clamp) {
        return invalid(format!("a ring has 1 to {MAX_CQ_ENTRIES} completions, not {cq}; clamp() takes what fits"));
    }
    if cq == 1 && flags.contains(SetupFlags::CQE_MIXED) {
        return invalid("a completion of a mixed ring may need two slots: ask for 2 completions or more");
    }
    let sq = entries.min(MAX_SQ_ENTRIES).next_power_of_two();
    if cq.min(MAX_CQ_ENTRIES).next_power_of_two() < sq {
        return invalid(format!("{cq} completions are fewer than the {sq} entries; cq_entries() takes {sq} or more"));
    }
    Ok(())
}

pub(crate) fn invalid<T>(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
