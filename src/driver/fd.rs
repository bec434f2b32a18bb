//! A descriptor that outlives the operations on it.

use crate::{
    driver::{Driver, Few, cached::Cached, direct::Direct, poll::SourceId},
    entry::{Cqe, CqeFlags},
    sys::unix::{self, Kind},
};
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    rc::{Rc, Weak},
};

/// A counted descriptor: a clone names the same open file, and the number is closed when the last one goes.
///
/// **Close waits**: every operation holds a clone until its final completion, because the kernel may look the number up
/// as late as that. So a close never overtakes an operation, and the number is never somebody else's while one is in
/// flight.
///
/// Dropped inside a runtime, the last clone is closed by the driver (`IORING_OP_CLOSE`, or `close(2)`, which for a file
/// runs on the pool); dropped outside of any, it is closed at once.
///
/// One that is [direct](Fd::is_direct) has no number: it is in the table of its runtime's ring, which operations there
/// find faster, and which the process's other threads and children know nothing of. It is the operations' alone: as a
/// raw descriptor it is -1, and borrowing it as a descriptor panics. [`op::install`](crate::op::install()) gives it a
/// number. In another runtime than its own an operation on it answers `EXDEV`; where the kernel lacks an operation,
/// `EOPNOTSUPP`.
#[derive(Clone)]
pub struct Fd(Rc<Inner>);

struct Inner {
    raw: RawFd,
    /// Not closed: it is the process's own for as long as that lives.
    lasting: bool,
    kind: Cell<Option<Kind>>,
    /// The last receive left nothing, as far as is known.
    drained: Cell<bool>,
    /// The last send found too little room.
    crowded: Cell<bool>,
    /// How many operations are in flight that wait for room.
    writes: Cell<u32>,
    /// Whether reads find what they want in memory.
    cached: Cell<Cached>,
    /// There, if it is direct.
    direct: Option<Direct>,
    /// One for each driver that watches it: an operation may wait at each.
    registrations: RefCell<Few<Registration>>,
}

/// Where a poll driver watches the descriptor.
struct Registration {
    driver: Weak<Driver>,
    source: SourceId,
}

impl Fd {
    /// Takes a descriptor over.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Fd {
        Fd::of(fd, None)
    }

    /// Takes over a descriptor that is known to be a socket.
    pub(crate) fn socket(fd: OwnedFd) -> Fd {
        Fd::of(fd, Some(Kind::Socket))
    }

    pub(super) fn of(fd: OwnedFd, kind: Option<Kind>) -> Fd {
        Fd(Rc::new(Inner::new(fd.into_raw_fd(), kind)))
    }

    /// A place in a ring's table, which nobody else has.
    pub(super) fn direct(direct: Direct, kind: Kind) -> Fd {
        let mut inner = Inner::new(-1, Some(kind));
        inner.direct = Some(direct);
        Fd(Rc::new(inner))
    }

    /// Whether it is in a ring's table instead of having a number. `install` gives it one.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.0.direct.is_some()
    }

    /// Whether `driver` can find it.
    pub(crate) fn is_known_to(&self, driver: &Rc<Driver>) -> bool {
        self.0.direct.as_ref().is_none_or(|direct| direct.is_at(driver))
    }

    /// Its place in the ring's table, if it is there.
    pub(super) fn slot(&self) -> Option<u32> {
        self.0.direct.as_ref().map(Direct::slot)
    }

    /// A number that stays open as long as the process lives, whoever else uses it: it is never closed from here, and
    /// not given away.
    pub(crate) fn lasting(raw: RawFd) -> Fd {
        let mut inner = Inner::new(raw, None);
        inner.lasting = true;
        Fd(Rc::new(inner))
    }

    /// What the descriptor is; asked of the kernel once.
    pub(crate) fn kind(&self) -> Kind {
        self.0.kind.get().unwrap_or_else(|| {
            let kind = unix::kind(self.0.raw);
            self.0.kind.set(Some(kind));
            kind
        })
    }

    /// Whether the last receive seems to have left nothing, so that the next one will have to wait.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.drained.get()
    }

    /// Learns from the answer to a receive that had room for so many bytes.
    pub(crate) fn received(&self, cqe: Cqe, room: u32) {
        let came_short = u32::try_from(cqe.res).is_ok_and(|n| n > 0 && n < room);
        self.0.drained.set(came_short && !cqe.flags.contains(CqeFlags::SOCK_NONEMPTY));
    }

    /// Whether an operation that waits for room is in flight, which a send must not overtake.
    pub(super) fn is_written(&self) -> bool {
        self.0.writes.get() > 0
    }

    /// An operation that waits for room is in flight.
    pub(crate) fn begin_write(&self) {
        self.0.writes.set(self.0.writes.get().saturating_add(1));
    }

    /// One of those has ended.
    pub(crate) fn end_write(&self) {
        self.0.writes.set(self.0.writes.get().saturating_sub(1));
    }

    /// Notes whether a send found too little room.
    pub(super) fn set_crowded(&self, crowded: bool) {
        self.0.crowded.set(crowded);
    }

    /// Whether the last send found too little room; says so once.
    pub(super) fn take_crowded(&self) -> bool {
        self.0.crowded.take()
    }

    /// Whether to try if a read is answered from memory: of a place, or of the descriptor's own position.
    pub(super) fn may_be_cached(&self, place: bool) -> bool {
        let mut cached = self.0.cached.get();
        let allowed = cached.allows(self.0.raw, place);
        self.0.cached.set(cached);
        allowed
    }

    /// Notes whether it was.
    pub(super) fn set_cached(&self, found: bool) {
        let mut cached = self.0.cached.get();
        cached.tried(found);
        self.0.cached.set(cached);
    }

    /// Where `driver` watches this descriptor, if it does.
    pub(crate) fn source(&self, driver: &Rc<Driver>) -> Option<SourceId> {
        self.0.registrations.borrow().iter().find(|r| r.is_at(driver)).map(|r| r.source)
    }

    /// Notes that `driver` watches this descriptor. Other drivers that do so go on: operations may wait there.
    pub(crate) fn set_source(&self, driver: &Rc<Driver>, source: SourceId) {
        let mut registrations = self.0.registrations.borrow_mut();
        registrations.retain(|r| !r.is_at(driver) && r.driver.strong_count() > 0);
        registrations.push_back(Registration { driver: Rc::downgrade(driver), source });
    }

    /// The descriptor itself, if nothing else holds it.
    ///
    /// # Errors
    /// Gives the `Fd` back while operations on it are in flight, or clones of it are alive. A standard stream of the
    /// process is nobody's to take, and a direct one has no number.
    pub fn try_into_owned(self) -> Result<OwnedFd, Fd> {
        if self.0.lasting || self.is_direct() {
            return Err(self);
        }
        match Rc::try_unwrap(self.0) {
            Ok(inner) => Ok(inner.into_owned()),
            Err(shared) => Err(Fd(shared)),
        }
    }

    /// The number, for calls that need one.
    ///
    /// # Errors
    /// `Unsupported` for a direct one.
    pub(crate) fn numbered(&self) -> io::Result<BorrowedFd<'_>> {
        if self.is_direct() { Err(io::Error::new(io::ErrorKind::Unsupported, NUMBERLESS)) } else { Ok(self.as_fd()) }
    }

    /// A second descriptor for the same open file, made with `fcntl(F_DUPFD_CLOEXEC)`.
    ///
    /// # Errors
    /// `EMFILE` when the process may have no more descriptors; `Unsupported` for a direct one, which
    /// [`op::install`](crate::op::install()) makes a number for.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.numbered()?.try_clone_to_owned()
    }
}

/// What to say to whoever wants the number of a direct descriptor.
const NUMBERLESS: &str = "a direct descriptor has no number; annulus::op::install makes one for it";

impl Registration {
    fn is_at(&self, driver: &Rc<Driver>) -> bool {
        std::ptr::eq(self.driver.as_ptr(), Rc::as_ptr(driver))
    }

    fn end(self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.forget_source(self.source);
        }
    }
}

impl Inner {
    fn new(raw: RawFd, kind: Option<Kind>) -> Inner {
        Inner {
            raw,
            lasting: false,
            kind: Cell::new(kind),
            drained: Cell::new(false),
            crowded: Cell::new(false),
            writes: Cell::new(0),
            cached: Cell::default(),
            direct: None,
            registrations: RefCell::default(),
        }
    }

    /// The descriptor, no longer watched by anybody.
    fn into_owned(self) -> OwnedFd {
        let this = std::mem::ManuallyDrop::new(self);
        this.registrations.take().drain().for_each(Registration::end);
        // SAFETY: Fresh descriptor: this was its last reference, and `ManuallyDrop` keeps it from being closed here.
        unsafe { OwnedFd::from_raw_fd(this.raw) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.registrations.take().drain().for_each(Registration::end);
        if let Some(direct) = self.direct.take() {
            return direct.close();
        }
        if self.lasting {
            return;
        }
        let kind = || self.kind.get().unwrap_or_else(|| unix::kind(self.raw));
        let by_driver = Driver::current().is_some_and(|driver| driver.push_close(self.raw, kind));
        if !by_driver {
            unix::close(self.raw);
        }
    }
}

impl AsRawFd for Fd {
    /// The number; -1 for a direct descriptor.
    fn as_raw_fd(&self) -> RawFd {
        self.0.raw
    }
}

impl AsFd for Fd {
    /// # Panics
    /// For a direct descriptor, which has no number.
    fn as_fd(&self) -> BorrowedFd<'_> {
        assert!(!self.is_direct(), "{NUMBERLESS}");
        // SAFETY: Close waits: the number stays open while `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.0.raw) }
    }
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Fd {
        Fd::new(fd)
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.direct {
            Some(direct) => f.debug_tuple("Fd").field(direct).finish(),
            None => f.debug_tuple("Fd").field(&self.0.raw).finish(),
        }
    }
}
