//! A descriptor that outlives the operations on it.

use crate::{
    driver::{Driver, cached::Cached, direct::Direct, source::SourceId},
    entry::{Cqe, CqeFlags},
    sys::unix::{self, Kind},
};
use std::{
    cell::{Cell, OnceCell, RefCell},
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
/// runs on the pool); dropped outside of any, it is closed at once. A driver that watches it lets it go first, wherever
/// it is dropped, so a peer sees the end as soon as it is closed.
///
/// One that is [direct](Fd::is_direct) has no number: it is in the table of its runtime's ring, which operations there
/// find faster, and which the process's other threads and children know nothing of. It is the operations' alone: as a
/// raw descriptor it is -1, and borrowing it as a descriptor panics. [`op::install`](crate::op::install()) gives it a
/// number. In another runtime than its own an operation on it answers `EXDEV`; where the kernel lacks an operation,
/// `EOPNOTSUPP`.
#[derive(Clone)]
pub struct Fd(Rc<Inner>);

/// An idle connection has one, so what most descriptors need lies here, and what few need elsewhere.
struct Inner {
    raw: RawFd,
    /// How many operations are in flight that wait for room.
    writes: Cell<u32>,
    kind: Cell<Option<Kind>>,
    number: Number,
    /// [`DRAINED`] and [`CROWDED`].
    marks: Cell<u8>,
    /// Whether reads find what they want in memory.
    cached: Cell<Cached>,
    /// The first driver that watched it, or the one in whose table it is.
    driver: OnceCell<Weak<Driver>>,
    /// What it is there; means nothing without a driver.
    place: Cell<SourceId>,
    /// All other drivers that watch it: an operation may wait at each.
    others: OnceCell<Box<RefCell<Vec<Registration>>>>,
}

/// The last receive left nothing, as far as is known.
const DRAINED: u8 = 1;
/// The last send found too little room.
const CROWDED: u8 = 1 << 1;

// With the counts of its `Rc`, less than a cache line.
static_assertions::const_assert!(size_of::<Inner>() + 2 * size_of::<usize>() <= 56);

/// What the number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// Ours to close.
    Ours,
    /// Not closed: it is the process's own for as long as that lives.
    Lasting,
    /// None: it is in the table of its driver's ring, at [`Inner::place`].
    Direct,
}

/// Where a driver watches the descriptor.
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
        let (driver, slot) = direct.into_parts();
        let mut inner = Inner::new(-1, Some(kind));
        (inner.number, inner.driver) = (Number::Direct, driver.into());
        inner.place.set(SourceId::at(slot));
        Fd(Rc::new(inner))
    }

    /// Whether it is in a ring's table instead of having a number. `install` gives it one.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.0.number == Number::Direct
    }

    /// Whether `driver` can find it.
    pub(crate) fn is_known_to(&self, driver: &Rc<Driver>) -> bool {
        !self.is_direct() || self.0.is_first(driver)
    }

    /// Its place in the ring's table, if it is there.
    pub(super) fn slot(&self) -> Option<u32> {
        self.is_direct().then(|| self.0.place.get().index())
    }

    /// A number that stays open as long as the process lives, whoever else uses it: it is never closed from here, and
    /// not given away.
    pub(crate) fn lasting(raw: RawFd) -> Fd {
        let mut inner = Inner::new(raw, None);
        inner.number = Number::Lasting;
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
        self.0.is_marked(DRAINED)
    }

    /// Learns from the answer to a receive that had room for so many bytes.
    pub(crate) fn received(&self, cqe: Cqe, room: u32) {
        let came_short = u32::try_from(cqe.res).is_ok_and(|n| n > 0 && n < room);
        self.0.mark(DRAINED, came_short && !cqe.flags.contains(CqeFlags::SOCK_NONEMPTY));
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
        self.0.mark(CROWDED, crowded);
    }

    /// Whether the last send found too little room; says so once.
    pub(super) fn take_crowded(&self) -> bool {
        let crowded = self.0.is_marked(CROWDED);
        self.0.mark(CROWDED, false);
        crowded
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
        if self.is_direct() {
            return None;
        }
        if self.0.is_first(driver) {
            return Some(self.0.place.get());
        }
        self.0.others.get()?.borrow().iter().find(|other| other.is_at(driver)).map(|other| other.source)
    }

    /// Notes that `driver` watches this descriptor. Other drivers that do so go on: operations may wait there.
    pub(crate) fn set_source(&self, driver: &Rc<Driver>, source: SourceId) {
        debug_assert!(!self.is_direct(), "what has no number is not watched");
        if self.0.driver.get().is_none() {
            // Nobody sets it meanwhile.
            let _ = self.0.driver.set(Rc::downgrade(driver));
        }
        if self.0.is_first(driver) {
            return self.0.place.set(source);
        }
        let mut others = self.0.others.get_or_init(Box::default).borrow_mut();
        others.retain(|other| !other.is_at(driver) && other.driver.strong_count() > 0);
        others.push(Registration { driver: Rc::downgrade(driver), source });
    }

    /// The descriptor itself, if nothing else holds it.
    ///
    /// # Errors
    /// Gives the `Fd` back while operations on it are in flight, or clones of it are alive. A standard stream of the
    /// process is nobody's to take, and a direct one has no number.
    pub fn try_into_owned(self) -> Result<OwnedFd, Fd> {
        if self.0.number != Number::Ours {
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

/// Whether it names this driver.
fn names(weak: &Weak<Driver>, driver: &Rc<Driver>) -> bool {
    std::ptr::eq(weak.as_ptr(), Rc::as_ptr(driver))
}

impl Registration {
    fn is_at(&self, driver: &Rc<Driver>) -> bool {
        names(&self.driver, driver)
    }

    /// Nobody watches it any more: at once, unless it is the `closer` that does, which closes it.
    fn end(self, closer: Option<&Rc<Driver>>) {
        if let Some(driver) = self.driver.upgrade() {
            // What the closer is told to do next comes after it.
            let now = closer.is_none_or(|closer| !Rc::ptr_eq(closer, &driver));
            driver.forget_source(self.source, now);
        }
    }
}

impl Inner {
    fn new(raw: RawFd, kind: Option<Kind>) -> Inner {
        Inner {
            raw,
            writes: Cell::new(0),
            kind: Cell::new(kind),
            number: Number::Ours,
            marks: Cell::new(0),
            cached: Cell::default(),
            driver: OnceCell::new(),
            place: Cell::new(SourceId::at(u32::MAX)),
            others: OnceCell::new(),
        }
    }

    fn is_marked(&self, mark: u8) -> bool {
        self.marks.get() & mark != 0
    }

    fn mark(&self, mark: u8, on: bool) {
        let others = self.marks.get() & !mark;
        self.marks.set(if on { others | mark } else { others });
    }

    /// Whether this is the first driver that it met.
    fn is_first(&self, driver: &Rc<Driver>) -> bool {
        self.driver.get().is_some_and(|first| names(first, driver))
    }

    /// Nobody watches it any more. For one that has a number, which `closer` is about to close, if there is one.
    fn end_watches(&mut self, closer: Option<&Rc<Driver>>) {
        let first = self.driver.take().map(|driver| Registration { driver, source: self.place.get() });
        let others = self.others.take().map(|others| others.take()).unwrap_or_default();
        first.into_iter().chain(others).for_each(|watch| watch.end(closer));
    }

    /// The descriptor, no longer watched by anybody.
    fn into_owned(self) -> OwnedFd {
        let mut this = std::mem::ManuallyDrop::new(self);
        this.end_watches(None);
        // SAFETY: Fresh descriptor: this was its last reference, and `ManuallyDrop` keeps it from being closed here.
        unsafe { OwnedFd::from_raw_fd(this.raw) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.number == Number::Direct {
            return self
                .driver
                .take()
                .into_iter()
                .for_each(|driver| Direct::new(driver, self.place.get().index()).close());
        }
        let closer = Driver::current();
        self.end_watches(closer.as_ref());
        if self.number == Number::Lasting {
            return;
        }
        let kind = || self.kind.get().unwrap_or_else(|| unix::kind(self.raw));
        let by_driver = closer.is_some_and(|driver| driver.push_close(self.raw, kind));
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
        match self.slot() {
            Some(slot) => f.debug_tuple("Fd").field(&format_args!("direct {slot}")).finish(),
            None => f.debug_tuple("Fd").field(&self.0.raw).finish(),
        }
    }
}
