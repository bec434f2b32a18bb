//! Waits that are described once, in memory that the kernel keeps mapped, and then named by a number:
//! `IORING_REGISTER_MEM_REGION` with `IORING_MEM_REGION_REG_WAIT_ARG`.

use super::{Enter, Ring, builder::invalid, enter, memory::page_size};
use crate::sys::{self, io_uring_mem_region_reg, io_uring_reg_wait, io_uring_region_desc};
use memmap2::{MmapOptions, MmapRaw};
use std::{io, mem::size_of, ptr};

/// The bytes of a wait's signal mask, and how they are aligned.
const MASK: usize = size_of::<u64>();
/// The bytes of a wait.
const WAIT: usize = size_of::<io_uring_reg_wait>();
/// More than anybody has, and small enough that no arithmetic overflows.
const MOST: u32 = 1 << 16;

/// A ring's described waits: first the kernel's structures, then the signal masks that they point to. The kernel reads
/// them inside an enter of this ring only. It has pinned the pages, so it does not matter to it when they are unmapped.
pub(crate) struct Waits {
    memory: MmapRaw,
    /// Whether a wait's time is a point on the ring's clock, which is said with each enter.
    absolute: Box<[bool]>,
}

impl Waits {
    fn new(count: u32) -> io::Result<Waits> {
        if count == 0 || count > MOST {
            return invalid(format!("a ring has 1 to {MOST} waits, not {count}"));
        }
        let count = count as usize;
        let memory =
            MmapRaw::from(MmapOptions::new().len((count * (WAIT + MASK)).next_multiple_of(page_size())).map_anon()?);
        Ok(Waits { memory, absolute: vec![false; count].into() })
    }

    /// Writes a wait to its place.
    fn put(&mut self, index: u32, wait: &Enter<'_>) -> io::Result<()> {
        let index = self.checked(index)?;
        self.absolute[index] = wait.deadline.is_some();
        let time = wait.time();
        let mut form = io_uring_reg_wait {
            ts: time.unwrap_or_default(),
            flags: if time.is_some() { sys::IORING_REG_WAIT_TS } else { 0 },
            min_wait_usec: wait.min_wait_microseconds(),
            ..io_uring_reg_wait::default()
        };
        if let Some(mask) = wait.sigmask {
            let place = self.memory.as_mut_ptr().wrapping_add(self.absolute.len() * WAIT + index * MASK);
            // SAFETY: Kernel's word: the kernel's set of signals is the first 8 bytes of libc's. Laid out: there is
            // a place for a mask for each wait, behind the last wait.
            unsafe { ptr::copy_nonoverlapping(ptr::from_ref(mask).cast::<u8>(), place, MASK) };
            (form.sigmask, form.sigmask_sz) = (place as u64, enter::KERNEL_SIGSET);
        }
        let place = self.memory.as_mut_ptr().wrapping_add(index * WAIT).cast::<io_uring_reg_wait>();
        // SAFETY: Laid out: the index was checked, and the map begins with a wait for each. Mapped by `self`, which is
        // borrowed alone, so no enter is under way.
        unsafe { place.write(form) };
        Ok(())
    }

    /// Where a wait is, in bytes from the start, and whether its time is a point on the clock.
    pub(crate) fn find(&self, index: u32) -> io::Result<(usize, bool)> {
        let index = self.checked(index)?;
        Ok((index * WAIT, self.absolute[index]))
    }

    fn checked(&self, index: u32) -> io::Result<usize> {
        let (index, count) = (index as usize, self.absolute.len());
        if index < count {
            Ok(index)
        } else {
            invalid(format!("the ring has {count} waits: there is no number {index}"))
        }
    }
}

impl Ring {
    /// Makes room for `count` waits that are described once, by [`Ring::set_wait`], and then named by their number, in
    /// [`Enter::registered`]: the kernel need not copy a wait's description in every enter. Up to 65,536; the pages
    /// count against `RLIMIT_MEMLOCK`. Only before [`Ring::enable`], and once. Since Linux 6.13.
    ///
    /// ```
    /// use annulus::ring::{Enter, Ring, SetupFlags};
    /// use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let Ok(mut ring) = Ring::builder().flags(SetupFlags::R_DISABLED).build(4) else { return Ok(()) };
    /// # if ring.register_waits(1).is_err() { return Ok(()) };
    /// # let Ok(mut ring) = Ring::builder().flags(SetupFlags::R_DISABLED).build(4) else { return Ok(()) };
    /// ring.register_waits(2)?;
    /// ring.set_wait(1, &Enter { timeout: Some(Duration::from_millis(1)), ..Enter::default() })?;
    /// ring.enable()?;
    /// let entered = ring.enter(&Enter { wait: 1, registered: Some(1), ..Enter::default() })?;
    /// assert!(entered.timed_out);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` for a count that cannot be. `EINVAL` when the ring is enabled, and before Linux 6.13; `EBUSY` the
    /// second time; `ENOMEM` when so much may not be locked; `Other` in a forked child.
    pub fn register_waits(&mut self, count: u32) -> io::Result<()> {
        let waits = Waits::new(count)?;
        let mut memory = io_uring_region_desc {
            user_addr: waits.memory.as_mut_ptr() as u64,
            size: waits.memory.len() as u64,
            flags: sys::IORING_MEM_REGION_TYPE_USER,
            ..io_uring_region_desc::default()
        };
        let mut region = io_uring_mem_region_reg {
            region_uptr: (&raw mut memory) as u64,
            flags: sys::IORING_MEM_REGION_REG_WAIT_ARG.into(),
            ..io_uring_mem_region_reg::default()
        };
        let arg = (&raw mut region).cast();
        // SAFETY: Kernel's word: two structures, which the call reads and writes; the memory that they describe is a
        // whole map, which the kernel pins.
        unsafe { self.register(sys::IORING_REGISTER_MEM_REGION, arg, 1) }?;
        self.waits = Some(waits);
        Ok(())
    }

    /// Describes the wait `index`: its [`timeout`](Enter::timeout) or [`deadline`](Enter::deadline), its
    /// [`min_wait`](Enter::min_wait) and its [`sigmask`](Enter::sigmask), which is copied. The other fields say
    /// nothing here. At any time, also when the ring is enabled.
    ///
    /// # Errors
    /// `InvalidInput` if there is no such wait, or for a wait with both a timeout and a deadline; `NotFound` before
    /// [`Ring::register_waits`]; `Other` in a forked child.
    pub fn set_wait(&mut self, index: u32, wait: &Enter<'_>) -> io::Result<()> {
        self.check_alive()?;
        wait.check_time()?;
        match &mut self.waits {
            Some(waits) => waits.put(index, wait),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the ring has no waits: call register_waits()")),
        }
    }
}
