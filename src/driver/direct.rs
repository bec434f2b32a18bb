//! Direct descriptors: open files without a number, in the ring's own table.

use crate::{
    driver::{Driver, Fd, slots::Slot},
    entry::{Place, Sqe, SqeFlags, Twin},
    sys::unix::Kind,
};
use std::{
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
    rc::{Rc, Weak},
};

/// A place in the table of a driver's ring.
///
/// **Home**: the number means something to that ring alone, so it is never used without the driver that it came from.
pub(super) struct Direct {
    driver: Weak<Driver>,
    slot: u32,
}

impl Direct {
    pub(super) fn new(driver: Weak<Driver>, slot: u32) -> Direct {
        Direct { driver, slot }
    }

    /// Whose table it is in, and where.
    pub(super) fn into_parts(self) -> (Weak<Driver>, u32) {
        (self.driver, self.slot)
    }

    /// Frees the place. At a driver that has ended there is none any more: its table went with its ring.
    pub(super) fn close(self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.core.borrow_mut().push_close_direct(self.slot, &driver.threads);
        }
    }
}

/// What stands for the twin where the descriptor is a direct one: no system call takes such.
pub(crate) static RING_ONLY: Twin = Twin::here(|_, _| -libc::EOPNOTSUPP);
/// The same for an operation that may wait for ever.
static RING_WAITS: Twin = Twin::here(|_, _| -libc::EOPNOTSUPP);

/// Whether an operation of this twin ends by itself.
pub(super) fn ends(twin: &'static Twin) -> bool {
    matches!(twin.place, Place::Here | Place::Pool) && !ptr::eq(twin, &raw const RING_WAITS)
}

/// What stands for this twin where the descriptor is a direct one.
pub(super) fn ring_only(twin: &'static Twin) -> &'static Twin {
    if ends(twin) { &RING_ONLY } else { &RING_WAITS }
}

/// Aims the entry in a slot at the descriptor at that place of the ring's table.
#[cold]
pub(super) fn aim(slot: &mut Slot, place: Option<u32>) {
    (slot.sqe, slot.twin) = (aimed(slot.sqe, place), ring_only(slot.twin));
}

/// The entry, aimed at the descriptor at `slot` of the ring's table if there is one.
pub(super) fn aimed(sqe: Sqe, slot: Option<u32>) -> Sqe {
    slot.map_or(sqe, |slot| Sqe { fd: slot as i32, ..sqe.flags(SqeFlags::FIXED_FILE) })
}

/// Where that goes which an operation opens: to the ring's table, if there is one, and otherwise it gets a number.
#[derive(Debug, Default)]
pub(crate) struct Opening(Option<Weak<Driver>>);

impl Opening {
    /// Decides for an entry of this opcode, which the thread's driver is about to perform.
    pub(crate) fn decide(opcode: u8) -> Opening {
        let with_table = Driver::current().filter(|driver| driver.core.borrow_mut().has_table(opcode));
        Opening(with_table.map(|driver| Rc::downgrade(&driver)))
    }

    /// Whether it goes to the table.
    pub(crate) fn is_direct(&self) -> bool {
        self.0.is_some()
    }

    /// The entry for it: `plain`, or `bare`, which is the same without close-on-exec.
    pub(crate) fn spell(&self, plain: Sqe, bare: Sqe) -> Sqe {
        if self.is_direct() { bare.direct_any() } else { plain }
    }

    /// The twin of that entry.
    pub(crate) fn twin(&self, twin: &'static Twin) -> &'static Twin {
        if self.is_direct() { ring_only(twin) } else { twin }
    }

    /// What was opened, by the entry's result; of a `kind`, if that is known.
    pub(crate) fn opened(self, res: u32, kind: Option<Kind>) -> Fd {
        match self.0 {
            Some(driver) => Fd::direct(Direct { driver, slot: res }, kind.unwrap_or(Kind::File)),
            // SAFETY: Fresh descriptor: the entry has just made it, and nobody else has it.
            None => Fd::of(unsafe { OwnedFd::from_raw_fd(res as RawFd) }, kind),
        }
    }
}
