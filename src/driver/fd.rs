//! A descriptor that outlives the operations on it.

use crate::{
    driver::{Driver, poll::SourceId},
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
#[derive(Clone)]
pub struct Fd(Rc<Inner>);

struct Inner {
    raw: RawFd,
    /// Not closed: it is the process's own for as long as that lives.
    lasting: bool,
    kind: Cell<Option<Kind>>,
    /// One for each driver that watches it: an operation may wait at each.
    registrations: RefCell<Vec<Registration>>,
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

    fn of(fd: OwnedFd, kind: Option<Kind>) -> Fd {
        let (raw, kind, registrations) = (fd.into_raw_fd(), Cell::new(kind), RefCell::default());
        Fd(Rc::new(Inner { raw, lasting: false, kind, registrations }))
    }

    /// A number that stays open as long as the process lives, whoever else uses it: it is never closed from here, and
    /// not given away.
    pub(crate) fn lasting(raw: RawFd) -> Fd {
        let (kind, registrations) = (Cell::new(None), RefCell::default());
        Fd(Rc::new(Inner { raw, lasting: true, kind, registrations }))
    }

    /// What the descriptor is; asked of the kernel once.
    pub(crate) fn kind(&self) -> Kind {
        self.0.kind.get().unwrap_or_else(|| {
            let kind = unix::kind(self.0.raw);
            self.0.kind.set(Some(kind));
            kind
        })
    }

    /// Where `driver` watches this descriptor, if it does.
    pub(crate) fn source(&self, driver: &Rc<Driver>) -> Option<SourceId> {
        self.0.registrations.borrow().iter().find(|r| r.is_at(driver)).map(|r| r.source)
    }

    /// Notes that `driver` watches this descriptor. Other drivers that do so go on: operations may wait there.
    pub(crate) fn set_source(&self, driver: &Rc<Driver>, source: SourceId) {
        let mut registrations = self.0.registrations.borrow_mut();
        registrations.retain(|r| !r.is_at(driver) && r.driver.strong_count() > 0);
        registrations.push(Registration { driver: Rc::downgrade(driver), source });
    }

    /// The descriptor itself, if nothing else holds it.
    ///
    /// # Errors
    /// Gives the `Fd` back while operations on it are in flight, or clones of it are alive. A standard stream of the
    /// process is nobody's to take.
    pub fn try_into_owned(self) -> Result<OwnedFd, Fd> {
        if self.0.lasting {
            return Err(self);
        }
        match Rc::try_unwrap(self.0) {
            Ok(inner) => Ok(inner.into_owned()),
            Err(shared) => Err(Fd(shared)),
        }
    }

    /// A second descriptor for the same open file, made with `fcntl(F_DUPFD_CLOEXEC)`.
    ///
    /// # Errors
    /// `EMFILE` when the process may have no more descriptors.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

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
    /// The descriptor, no longer watched by anybody.
    fn into_owned(self) -> OwnedFd {
        let this = std::mem::ManuallyDrop::new(self);
        this.registrations.take().into_iter().for_each(Registration::end);
        // SAFETY: Fresh descriptor: this was its last reference, and `ManuallyDrop` keeps it from being closed here.
        unsafe { OwnedFd::from_raw_fd(this.raw) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.registrations.take().into_iter().for_each(Registration::end);
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
    fn as_raw_fd(&self) -> RawFd {
        self.0.raw
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
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
        f.debug_tuple("Fd").field(&self.0.raw).finish()
    }
}
