//! Zero-copy receive: a device's queue writes to memory of ours, and gets it back by a ring of its own.
//! `IORING_REGISTER_ZCRX_IFQ` and `_ZCRX_CTRL`.

use super::{BigCqe, Ring, memory::page_size, refill::Refill};
use crate::sys::{
    self, io_uring_region_desc, io_uring_zcrx_area_reg, io_uring_zcrx_ifq_reg, registrations as forms, zcrx_event_desc,
};
use memmap2::{MmapOptions, MmapRaw};
use std::{
    fmt, io,
    ops::Deref,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    slice,
    sync::Arc,
};

/// What to receive from, and into how much memory; see [`Ring::register_zcrx`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZcrxSetup {
    /// The index of the network interface, or `None` for none at all: then the kernel copies (since Linux 7.1).
    pub interface: Option<u32>,
    /// Which of the interface's receive queues: all of it, so that what else arrives there is lost.
    pub queue: u32,
    /// How many parts can be on their way back at a time: a power of two, up to 32,768.
    pub entries: u32,
    /// How many bytes of memory there are to receive into; rounded up to whole pages.
    pub area: usize,
    /// How many bytes one buffer has, where the device knows more than one size (since Linux 7.0); 0 is one page.
    pub buffer: u32,
    /// What a completion carries that tells of an event: that memory ran out, or that something was copied (since Linux
    /// 7.2). Each kind is told once, and again after [`Zcrx::arm`].
    pub events: Option<u64>,
}

/// A kind of event that [`ZcrxSetup::events`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZcrxEvent {
    /// There was no memory left to receive into.
    OutOfMemory,
    /// Something was copied, which the device had put elsewhere.
    Copied,
}

/// A queue that receives into memory of ours. It ends with its ring.
///
/// `RECV_ZC` entries name it by [`Zcrx::id`]. Each of their completions stands for bytes in its area, which
/// [`Zcrx::take`] gives and [`Zcrx::give_back`] takes.
pub struct Zcrx {
    id: u32,
    token: u64,
    area: Arc<MmapRaw>,
    refill: Refill,
}

/// Bytes that were received. Should it be dropped instead of given back, the queue has less memory from then on.
pub struct ZcrxBytes {
    area: Arc<MmapRaw>,
    offset: usize,
    len: u32,
}

impl Ring {
    /// Takes a receive queue of a network device for this ring. Needs `CAP_NET_ADMIN`, and a ring with `DEFER_TASKRUN`
    /// and completions of 32 bytes (`CQE32` or `CQE_MIXED`). Steering the flows to the queue, and splitting headers
    /// from data, is the administrator's (`ethtool`). Since Linux 6.15.
    ///
    /// # Errors
    /// `InvalidInput` for sizes that cannot be. `EPERM` without the capability; `EOPNOTSUPP` if the device cannot do
    /// it, `ENODEV` if there is none; `EINVAL` before Linux 6.15, on a ring of another kind, and for what only later
    /// kernels know; `EEXIST` or `EBUSY` if the queue is taken; `ENOMEM` when so much may not be locked; `InvalidData`
    /// if the kernel describes what cannot be; `Other` in a forked child.
    pub fn register_zcrx(&self, setup: &ZcrxSetup) -> io::Result<Zcrx> {
        setup.check()?;
        let area = setup.memory()?;
        let memory = Refill::memory(setup.entries)?;
        let mut area_form = io_uring_zcrx_area_reg {
            addr: area.as_mut_ptr() as u64,
            len: area.len() as u64,
            ..io_uring_zcrx_area_reg::default()
        };
        let mut region = io_uring_region_desc {
            user_addr: memory.as_mut_ptr() as u64,
            size: memory.len() as u64,
            flags: sys::IORING_MEM_REGION_TYPE_USER,
            ..io_uring_region_desc::default()
        };
        let mut events = zcrx_event_desc {
            user_data: setup.events.unwrap_or(0),
            type_mask: 1 << sys::ZCRX_EVENT_ALLOC_FAIL | 1 << sys::ZCRX_EVENT_COPY,
            ..zcrx_event_desc::default()
        };
        let mut form = io_uring_zcrx_ifq_reg {
            if_idx: setup.interface.unwrap_or(0),
            if_rxq: setup.queue,
            rq_entries: setup.entries,
            flags: if setup.interface.is_none() { sys::ZCRX_REG_NODEV } else { 0 },
            area_ptr: (&raw mut area_form) as u64,
            region_ptr: (&raw mut region) as u64,
            rx_buf_len: setup.buffer,
            event_desc: if setup.events.is_some() { (&raw mut events) as u64 } else { 0 },
            ..io_uring_zcrx_ifq_reg::default()
        };
        let arg = (&raw mut form).cast();
        // SAFETY: Kernel's word: structures that outlive the call; the memory that they describe is whole maps, which
        // the kernel pins, so that it matters to nobody but us when they are unmapped.
        unsafe { self.register(sys::IORING_REGISTER_ZCRX_IFQ, arg, 1) }?;
        let refill = Refill::new(memory, &form.offsets, form.rq_entries)?;
        Ok(Zcrx { id: form.zcrx_id, token: area_form.rq_area_token, area: Arc::new(area), refill })
    }

    /// Lets `RECV_ZC` entries of this ring use a queue that another ring [exported](Zcrx::export). Gives its id here.
    /// Since Linux 6.19.
    ///
    /// # Errors
    /// `EBADF` or `EINVAL` for a descriptor that is no such queue; else those of [`Ring::register_zcrx`].
    pub fn import_zcrx(&self, queue: BorrowedFd<'_>) -> io::Result<u32> {
        let mut form = io_uring_zcrx_ifq_reg {
            if_idx: queue.as_raw_fd() as u32,
            flags: sys::ZCRX_REG_IMPORT,
            ..io_uring_zcrx_ifq_reg::default()
        };
        // SAFETY: Kernel's word: one structure that names a descriptor and no memory, written before the call returns.
        unsafe { self.register(sys::IORING_REGISTER_ZCRX_IFQ, (&raw mut form).cast(), 1) }?;
        Ok(form.zcrx_id)
    }
}

impl ZcrxSetup {
    fn check(&self) -> io::Result<()> {
        let wrong = if !self.entries.is_power_of_two() || self.entries > Refill::MOST {
            "a refill ring has a power of two of entries, up to 32768"
        } else if self.area == 0 || self.area as u64 > sys::IORING_ZCRX_AREA_MASK as u64 ^ u64::MAX {
            "there must be memory to receive into, and no more than 48 bits can count"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }

    /// Memory to receive into, of a size that was checked: the kernel takes whole pages alone.
    fn memory(&self) -> io::Result<MmapRaw> {
        let len = self.area.checked_next_multiple_of(page_size()).unwrap_or(self.area);
        Ok(MmapOptions::new().len(len).map_anon()?.into())
    }
}

impl Zcrx {
    /// What `RECV_ZC` entries name this queue by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The bytes that a completion stands for: its result is their number, and its second half says where they are.
    /// `None` for an error, for the end of the stream, and for what does not lie in the area.
    ///
    /// # Safety
    /// The completion is one of a `RECV_ZC` entry with this queue, on a ring that is open for as long as the bytes are
    /// held, and its bytes were not taken before: the kernel writes to all others.
    #[must_use]
    pub unsafe fn take(&self, big: BigCqe) -> Option<ZcrxBytes> {
        let (offset, len) = place(big.cqe.res, big.extra[0], self.token, self.area.len())?;
        Some(ZcrxBytes { area: Arc::clone(&self.area), offset, len })
    }

    /// Gives memory back to the queue. The kernel looks when it needs some.
    ///
    /// # Errors
    /// The bytes themselves, if the refill ring is full or they are another queue's: it has room again when the kernel
    /// has looked, for which it can be [asked](Zcrx::flush).
    pub fn give_back(&mut self, bytes: ZcrxBytes) -> Result<(), ZcrxBytes> {
        let ours = Arc::ptr_eq(&self.area, &bytes.area);
        if ours && self.refill.push(self.token | bytes.offset as u64, bytes.len) { Ok(()) } else { Err(bytes) }
    }

    /// Lets the kernel take what was given back now. Since Linux 6.19.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.19, `ENXIO` if `ring` has no queue of this id.
    pub fn flush(&self, ring: &Ring) -> io::Result<()> {
        ring.zcrx_control(&mut forms::zcrx_flush(self.id))
    }

    /// A descriptor that another ring can [import](Ring::import_zcrx). Since Linux 6.19.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.19, `ENXIO` if `ring` has no queue of this id, `EMFILE` when there are no descriptors.
    pub fn export(&self, ring: &Ring) -> io::Result<OwnedFd> {
        let mut form = forms::zcrx_export(self.id);
        ring.zcrx_control(&mut form)?;
        match forms::zcrx_exported(&form) {
            // SAFETY: Fresh descriptor: the kernel just made it, and nobody else knows the number.
            fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel named no descriptor")),
        }
    }

    /// Lets an event be told again. Since Linux 7.2.
    ///
    /// # Errors
    /// `EINVAL` before Linux 7.2 and for a queue without [`ZcrxSetup::events`]; `ENXIO` if `ring` has no queue of this
    /// id.
    pub fn arm(&self, ring: &Ring, event: ZcrxEvent) -> io::Result<()> {
        let event = match event {
            ZcrxEvent::OutOfMemory => sys::ZCRX_EVENT_ALLOC_FAIL,
            ZcrxEvent::Copied => sys::ZCRX_EVENT_COPY,
        };
        ring.zcrx_control(&mut forms::zcrx_arm(self.id, event))
    }
}

impl Ring {
    fn zcrx_control(&self, form: &mut sys::zcrx_ctrl) -> io::Result<()> {
        // SAFETY: Kernel's word: one structure, read and written before the call returns, whose count is 0 by
        // definition.
        unsafe { self.register(sys::IORING_REGISTER_ZCRX_CTRL, std::ptr::from_mut(form).cast(), 0) }.map(drop)
    }
}

/// Where the bytes of a completion are, in an area of `size` bytes with this token; pure, of numbers that come from
/// outside.
fn place(res: i32, at: u64, token: u64, size: usize) -> Option<(usize, u32)> {
    let len = u32::try_from(res).ok().filter(|&len| len > 0)?;
    let mask = sys::IORING_ZCRX_AREA_MASK as u64;
    let offset = usize::try_from(at & !mask).ok()?;
    let inside = offset.checked_add(len as usize)? <= size;
    (at & mask == token & mask && inside).then_some((offset, len))
}

impl Deref for ZcrxBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.area.as_ptr().wrapping_add(self.offset);
        // SAFETY: Lent: the kernel has filled these bytes and leaves them alone until they are given back, by the
        // contract of `Zcrx::take`. Mapped by the area, which they hold; they were checked to lie inside it.
        unsafe { slice::from_raw_parts(start, self.len as usize) }
    }
}

impl fmt::Debug for Zcrx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zcrx").field("id", &self.id).field("area", &self.area.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ZcrxBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZcrxBytes").field("offset", &self.offset).field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a completion may stand for bytes outside of the area, or for those of another one.
    #[test]
    fn only_what_lies_in_the_area_is_taken() {
        let token = 3 << 48;
        assert_eq!(place(100, token | 4096, token, 8192), Some((4096, 100)));
        assert_eq!(place(4096, token | 4096, token, 8192), Some((4096, 4096)));
        assert_eq!(place(4097, token | 4096, token, 8192), None);
        assert_eq!(place(1, token | ((1 << 48) - 1), token, 8192), None);
        assert_eq!(place(100, 2 << 48 | 4096, token, 8192), None);
        assert_eq!(place(0, token, token, 8192), None);
        assert_eq!(place(-libc::ENOMEM, token, token, 8192), None);
    }

    /// Red when the kernel is asked to take a part of a page, which it refuses.
    #[test]
    fn an_area_is_whole_pages() {
        let page = page_size();
        for (area, len) in [(1, page), (page, page), (page + 1, 2 * page)] {
            assert_eq!(ZcrxSetup { area, ..ZcrxSetup::default() }.memory().unwrap().len(), len);
        }
    }

    /// Red when it is left to the kernel to refuse them.
    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let good = ZcrxSetup { entries: 64, area: 1 << 16, ..ZcrxSetup::default() };
        assert!(good.check().is_ok());
        for bad in [
            ZcrxSetup { entries: 0, ..good },
            ZcrxSetup { entries: 48, ..good },
            ZcrxSetup { entries: 1 << 16, ..good },
            ZcrxSetup { area: 0, ..good },
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
