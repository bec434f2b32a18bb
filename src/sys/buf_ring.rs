//! The memory of a ring of provided buffers (`struct io_uring_buf_ring`): entries of 16 bytes, and the position up to
//! which they are valid, in the last two bytes of the first.
//!
//! **Laid out**: a position is masked by the number of entries, and the map is as long as they are.

use crate::sys::{self, io_uring_buf};
use memmap2::{MmapOptions, MmapRaw};
use std::{
    io,
    mem::{offset_of, size_of},
    sync::atomic::{AtomicU16, Ordering},
};

/// The most entries that such a ring can have.
pub(crate) const MAX_BUFFERS: u32 = 1 << 15;

/// Where the tail lies in the ring.
const TAIL: usize = offset_of!(io_uring_buf, resv);
static_assertions::const_assert_eq!(size_of::<io_uring_buf>(), 16);
static_assertions::const_assert_eq!(TAIL, offset_of!(sys::io_uring_buf_ring__bindgen_ty_1__bindgen_ty_1, tail));

/// The ring. Positions run on for ever (**Counters wrap**).
pub(crate) struct Entries {
    map: MmapRaw,
    mask: u16,
}

impl Entries {
    /// A ring of `count` entries, all zero, and so is its tail: what else stands there would be on offer at once.
    ///
    /// # Errors
    /// `InvalidInput` for a number that no ring can have; `ENOMEM`.
    pub(crate) fn new(count: u32) -> io::Result<Entries> {
        check_count(count)?;
        Ok(Entries::of(MmapOptions::new().len(length(count)).map_anon()?.into(), count))
    }

    /// The ring of `count` entries, as many as [`check_count`] takes, that lies in `map`.
    ///
    /// # Panics
    /// If the map is shorter.
    pub(crate) fn of(map: MmapRaw, count: u32) -> Entries {
        assert!(map.len() >= length(count), "annulus: a map that is shorter than its ring");
        Entries { map, mask: (count - 1) as u16 }
    }

    /// Where it lies, as an address that is page-aligned.
    #[allow(dead_code, reason = "where no kernel has rings, nobody registers one")]
    pub(crate) fn address(&self) -> u64 {
        self.map.as_mut_ptr() as u64
    }

    /// Which of the entries a position is.
    pub(crate) fn slot(&self, position: u16) -> usize {
        (position & self.mask).into()
    }

    /// Writes an entry. The other side does not look at it before the tail says so.
    pub(crate) fn write(&self, position: u16, buffer: Buffer) {
        let entry = self.entry(position);
        // Field by field: the last two bytes of the first entry are the ring's tail.
        // SAFETY: Laid out: an entry of the ring, that nobody reads yet.
        unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, addr)).cast::<u64>().write(buffer.addr) };
        // SAFETY: Laid out: likewise, the entry's length.
        unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, len)).cast::<u32>().write(buffer.len) };
        // SAFETY: Laid out: likewise, the buffer's number.
        unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, bid)).cast::<u16>().write(buffer.bid) };
    }

    /// Offers everything before `tail`. Release: pairs with the kernel's acquire load of the tail, so that it finds the
    /// entries before it written.
    pub(crate) fn publish(&self, tail: u16) {
        let word = self.entry(0).cast::<u8>().wrapping_add(TAIL);
        // SAFETY: Laid out: the tail lies there, aligned to two bytes; we write it by atomic stores alone.
        unsafe { AtomicU16::from_ptr(word.cast()) }.store(tail, Ordering::Release);
    }

    /// What stands in an entry. **Kernel's word**: the kernel may have written there.
    pub(crate) fn read(&self, position: u16) -> Buffer {
        let entry = self.entry(position);
        // SAFETY: Laid out: an entry of the ring, in which any bytes may stand.
        let addr = unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, addr)).cast::<u64>().read_volatile() };
        // SAFETY: Kernel's word: likewise, the buffer's number.
        let bid = unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, bid)).cast::<u16>().read_volatile() };
        // SAFETY: Kernel's word: likewise, the entry's length.
        let len = unsafe { entry.wrapping_byte_add(offset_of!(io_uring_buf, len)).cast::<u32>().read_volatile() };
        Buffer { addr, len, bid }
    }

    fn entry(&self, position: u16) -> *mut io_uring_buf {
        self.map.as_mut_ptr().cast::<io_uring_buf>().wrapping_add(self.slot(position))
    }
}

/// A buffer, as an entry describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) bid: u16,
}

/// Whether a ring can have so many entries.
///
/// # Errors
/// `InvalidInput` when it cannot.
pub(crate) fn check_count(count: u32) -> io::Result<()> {
    if count.is_power_of_two() && count <= MAX_BUFFERS {
        return Ok(());
    }
    let why = format!("a buffer group cannot have {count} buffers; ask for a power of two up to {MAX_BUFFERS}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Memory for `count` buffers of `size` bytes, all zero.
///
/// # Errors
/// `InvalidInput` for numbers that no group can have; `ENOMEM`.
pub(crate) fn arena(count: u32, size: u32) -> io::Result<MmapRaw> {
    check_count(count)?;
    let complain = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if size == 0 || size > i32::MAX as u32 {
        return complain(format!("a buffer cannot have {size} bytes; ask for 1 to 2147483647"));
    }
    let Some(bytes) = (count as usize).checked_mul(size as usize).filter(|&n| n <= isize::MAX as usize) else {
        return complain(format!("{count} buffers of {size} bytes do not fit into memory; ask for fewer"));
    };
    Ok(MmapOptions::new().len(bytes).map_anon()?.into())
}

/// Bytes of a ring.
pub(crate) fn length(count: u32) -> usize {
    count as usize * size_of::<io_uring_buf>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(ring: &Entries) -> u16 {
        // SAFETY: Laid out: the map is at least an entry long.
        unsafe { ring.entry(0).cast::<u8>().wrapping_add(TAIL).cast::<u16>().read() }
    }

    /// Red when the first entry is written as a whole: the tail is part of it.
    #[test]
    fn the_tail_survives_every_entry() {
        let ring = Entries::new(4).unwrap();
        assert_eq!((tail(&ring), ring.address() % 4096), (0, 0));
        ring.publish(0xabcd);
        for position in (u16::MAX - 3)..=u16::MAX {
            let buffer = Buffer { addr: u64::MAX - u64::from(position), len: u32::MAX, bid: position };
            ring.write(position, buffer);
            assert_eq!((ring.read(position), tail(&ring)), (buffer, 0xabcd));
        }
    }

    #[test]
    fn the_wrap_does_not_move_entries() {
        for count in [1, 2, 1 << 15] {
            let ring = Entries::new(count).unwrap();
            assert_eq!((ring.slot(u16::MAX) + 1) % count as usize, ring.slot(0), "{count}");
        }
    }
}
