//! Memory that a ring is given instead of mapping the kernel's: `NO_MMAP`.

use super::{builder::invalid, word::Region};
use memmap2::{Advice, MmapOptions, MmapRaw};
use std::{io, ptr::NonNull};

/// A huge page that every system with huge pages has: 2 MiB.
const HUGE_BITS: u8 = 21;

/// The memory that a ring's queues lie in, for [`Builder::build_in`](super::Builder::build_in). Needs Linux 6.5.
///
/// ```no_run
/// use annulus::ring::{Ring, RingMemory};
/// let ring = Ring::builder().build_in(8, RingMemory::anonymous())?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct RingMemory(Kind);

#[derive(Debug)]
enum Kind {
    Pages,
    HugePages,
    Callers { rings: NonNull<[u8]>, sqes: NonNull<[u8]> },
}

/// How much memory a ring's queues take, in bytes, whole pages each; see
/// [`Builder::memory_for`](super::Builder::memory_for).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeeded {
    /// The positions, the completions and the array of indices.
    pub rings: usize,
    /// The entries.
    pub sqes: usize,
}

impl RingMemory {
    /// Pages of the ring's own. A forked child does not have them.
    ///
    /// Before Linux 6.10 each queue must fit into one page: 63 entries and their completions do where pages have
    /// 4 KiB. For more, take [`RingMemory::huge_pages`].
    #[must_use]
    pub fn anonymous() -> RingMemory {
        RingMemory(Kind::Pages)
    }

    /// Pages of 2 MiB of the ring's own, one for most rings: all that the kernel and the ring share takes one place in
    /// the processor's table of addresses. The system must have been given some: `/proc/sys/vm/nr_hugepages`. A forked
    /// child does not have them.
    #[must_use]
    pub fn huge_pages() -> RingMemory {
        RingMemory(Kind::HugePages)
    }

    /// The caller's memory: `rings` for positions and completions, `sqes` for entries, of at least the size that
    /// [`Builder::memory_for`](super::Builder::memory_for) says, each beginning at a page. A huge page may hold both.
    ///
    /// A forked child that has the memory still must not use the ring, and cannot.
    ///
    /// # Safety
    /// Both stretches are readable and writable, do not overlap, stay mapped until the ring is dropped, and are used by
    /// nobody else, neither then nor when no ring came of it. *A drop does not end this*: the kernel keeps the pages,
    /// and writes the completions of requests that are still on their way into them. After it the memory may be
    /// unmapped, but not put to another use. Before Linux 6.10 the pages of each stretch must follow one another in the
    /// machine's memory, as those of one huge page do: some kernels check it, others break.
    #[must_use]
    pub unsafe fn callers(rings: NonNull<[u8]>, sqes: NonNull<[u8]>) -> RingMemory {
        RingMemory(Kind::Callers { rings, sqes })
    }

    /// Makes or checks the memory.
    pub(crate) fn place(self, need: MemoryNeeded) -> io::Result<Place> {
        match self.0 {
            Kind::Pages => Place::own(need, need.rings + need.sqes, None),
            Kind::HugePages => {
                let len = (need.rings + need.sqes).next_multiple_of(1 << HUGE_BITS);
                Place::own(need, len, Some(HUGE_BITS)).map_err(explain)
            }
            Kind::Callers { rings, sqes } => {
                check("positions and completions", rings, need.rings)?;
                check("entries", sqes, need.sqes)?;
                // SAFETY: Mapped, by the promise of `callers`.
                let region = |memory: NonNull<[u8]>| unsafe { Region::new(memory.cast(), memory.len()) };
                Ok(Place { rings: region(rings), sqes: region(sqes), own: None, apart: false })
            }
        }
    }
}

fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the system has no free huge pages of 2 MiB: write how many it shall have to /proc/sys/vm/nr_hugepages",
        ),
        Some(libc::EINVAL | libc::ENOSYS | libc::ENODEV) => {
            io::Error::new(io::ErrorKind::Unsupported, "this system has no huge pages of 2 MiB")
        }
        _ => error,
    }
}

fn check(what: &str, memory: NonNull<[u8]>, need: usize) -> io::Result<()> {
    let page = page_size();
    if memory.cast::<u8>().addr().get() % page != 0 {
        return invalid(format!("the memory for the {what} does not begin at a page of {page} bytes"));
    }
    if memory.len() < need {
        return invalid(format!("the memory for the {what} has {} bytes; {need} are needed", memory.len()));
    }
    Ok(())
}

pub(crate) fn page_size() -> usize {
    // SAFETY: Plain call: it names no memory.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Where a ring is to be.
pub(crate) struct Place {
    pub(crate) rings: Region,
    pub(crate) sqes: Region,
    pub(crate) own: Option<MmapRaw>,
    /// Whether a queue lies in pages that need not follow one another in the machine's memory.
    pub(crate) apart: bool,
}

impl Place {
    /// One map for both, gone in a child.
    fn own(need: MemoryNeeded, len: usize, huge: Option<u8>) -> io::Result<Place> {
        let mut options = MmapOptions::new();
        options.len(len);
        if huge.is_some() {
            options.huge(huge);
        }
        let map = MmapRaw::from(options.map_anon()?);
        map.advise(Advice::DontFork)?;
        let base = NonNull::new(map.as_mut_ptr()).expect("mmap gives no null");
        // SAFETY: Mapped: page-aligned, readable, writable, and given out as raw memory only; whoever keeps the region
        // keeps the map.
        let all = unsafe { Region::new(base, len) };
        let apart = huge.is_none() && need.rings.max(need.sqes) > page_size();
        let (rings, sqes) = (all.part(0, need.rings), all.part(need.rings, need.sqes));
        Ok(Place { rings, sqes, own: Some(map), apart })
    }

    /// The address of both, as the kernel is told.
    pub(crate) fn addresses(&self) -> [u64; 2] {
        [self.rings, self.sqes].map(|region| region.at(0).as_ptr().expose_provenance() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    /// Red when a stretch that is too short or begins within a page goes to the kernel.
    #[test]
    fn memory_of_the_callers_is_measured_first() {
        let page = page_size();
        let at = |address: usize, len| {
            let start = NonNull::new(ptr::without_provenance_mut(address)).unwrap();
            NonNull::slice_from_raw_parts(start, len)
        };
        let need = MemoryNeeded { rings: 2 * page, sqes: page };
        let refused = |rings, sqes| {
            // SAFETY: nothing is made of it: it is refused, or only measured.
            let memory = unsafe { RingMemory::callers(rings, sqes) };
            memory.place(need).err().map(|error| error.to_string())
        };
        assert_eq!(refused(at(page, 2 * page), at(8 * page, page)), None);
        assert!(refused(at(page + 8, 2 * page), at(8 * page, page)).unwrap().contains("begin at a page"));
        assert!(refused(at(page, 2 * page - 1), at(8 * page, page)).unwrap().contains("completions has"));
        assert!(refused(at(page, 2 * page), at(8 * page, page - 1)).unwrap().contains("entries has"));
    }
}
