//! The kqueue under test, in one shape: the emulation on Linux, libkqueue there under
//! `--cfg annulus_kqueue="external"`, and the system's own on macOS and FreeBSD.

use std::{
    ffi::c_int,
    io::Error,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

#[cfg(all(target_os = "linux", not(annulus_kqueue = "external")))]
#[path = "../support/kqueue/mod.rs"]
mod raw;

#[cfg(all(target_os = "linux", annulus_kqueue = "external"))]
#[path = "external.rs"]
mod raw;

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use libc as raw;

pub(crate) const READ: i16 = raw::EVFILT_READ;
pub(crate) const WRITE: i16 = raw::EVFILT_WRITE;
pub(crate) const TIMER: i16 = raw::EVFILT_TIMER;
pub(crate) const USER: i16 = raw::EVFILT_USER;

pub(crate) const ADD: u16 = raw::EV_ADD;
pub(crate) const DELETE: u16 = raw::EV_DELETE;
pub(crate) const ENABLE: u16 = raw::EV_ENABLE;
pub(crate) const DISABLE: u16 = raw::EV_DISABLE;
pub(crate) const ONESHOT: u16 = raw::EV_ONESHOT;
pub(crate) const CLEAR: u16 = raw::EV_CLEAR;
pub(crate) const RECEIPT: u16 = raw::EV_RECEIPT;
pub(crate) const DISPATCH: u16 = raw::EV_DISPATCH;
pub(crate) const ERROR: u16 = raw::EV_ERROR;
pub(crate) const EOF: u16 = raw::EV_EOF;

pub(crate) const TRIGGER: u32 = raw::NOTE_TRIGGER;
pub(crate) const FFAND: u32 = raw::NOTE_FFAND;
pub(crate) const FFOR: u32 = raw::NOTE_FFOR;
pub(crate) const FFCOPY: u32 = raw::NOTE_FFCOPY;
pub(crate) const USECONDS: u32 = raw::NOTE_USECONDS;
pub(crate) const NSECONDS: u32 = raw::NOTE_NSECONDS;
#[cfg(target_os = "freebsd")]
pub(crate) const ABSOLUTE: u32 = raw::NOTE_ABSTIME;
#[cfg(not(target_os = "freebsd"))]
pub(crate) const ABSOLUTE: u32 = raw::NOTE_ABSOLUTE;

/// Whether this is the emulation, and so whether its own choices among the BSDs' answers hold.
pub(crate) const EMULATED: bool = cfg!(all(target_os = "linux", not(annulus_kqueue = "external")));
/// Whether this is libkqueue, which is known to differ in places.
pub(crate) const LIBKQUEUE: bool = cfg!(all(target_os = "linux", annulus_kqueue = "external"));

/// A change, or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) ident: usize,
    pub(crate) filter: i16,
    pub(crate) flags: u16,
    pub(crate) fflags: u32,
    pub(crate) data: i64,
    pub(crate) udata: usize,
}

impl Event {
    pub(crate) fn new(ident: usize, filter: i16, flags: u16) -> Event {
        Event { ident, filter, flags, fflags: 0, data: 0, udata: 0 }
    }

    pub(crate) fn on(fd: RawFd, filter: i16, flags: u16) -> Event {
        Event::new(fd as usize, filter, flags)
    }

    pub(crate) fn fflags(self, fflags: u32) -> Event {
        Event { fflags, ..self }
    }

    pub(crate) fn data(self, data: i64) -> Event {
        Event { data, ..self }
    }

    pub(crate) fn udata(self, udata: usize) -> Event {
        Event { udata, ..self }
    }

    pub(crate) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn to_raw(self) -> raw::kevent {
        // SAFETY: Numbers and a pointer, which zero is a value of; some systems have further fields.
        let mut raw: raw::kevent = unsafe { std::mem::zeroed() };
        raw.ident = self.ident;
        raw.filter = self.filter;
        raw.flags = self.flags;
        raw.fflags = self.fflags;
        raw.data = self.data as _;
        raw.udata = self.udata as _;
        raw
    }

    fn from_raw(raw: raw::kevent) -> Event {
        let (ident, filter, flags, fflags) = (raw.ident, raw.filter, raw.flags, raw.fflags);
        Event { ident, filter, flags, fflags, data: raw.data as i64, udata: raw.udata as usize }
    }
}

/// A kqueue.
pub(crate) struct Kqueue(OwnedFd);

impl Kqueue {
    pub(crate) fn new() -> Kqueue {
        // SAFETY: No memory is named.
        let fd = unsafe { raw::kqueue() };
        assert!(fd >= 0, "{}", Error::last_os_error());
        // SAFETY: The system just made it, and nobody else has it.
        Kqueue(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Makes the changes, and fetches up to `room` events, within `limit`. The error is a number.
    pub(crate) fn call(&self, changes: &[Event], room: usize, limit: Option<Duration>) -> Result<Vec<Event>, c_int> {
        call(self.fd(), changes, room, limit)
    }

    /// Makes the changes, all of which must succeed.
    #[track_caller]
    pub(crate) fn change(&self, changes: &[Event]) {
        assert_eq!(self.call(changes, 0, Some(Duration::ZERO)), Ok(Vec::new()), "{changes:?}");
    }

    /// The error of a change.
    #[track_caller]
    pub(crate) fn error(&self, change: Event) -> c_int {
        self.call(&[change], 0, Some(Duration::ZERO)).expect_err("an error")
    }

    /// Up to 8 events, the first of which is there within a second.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        self.call(&[], 8, Some(Duration::from_secs(1))).expect("events")
    }

    /// The one event that is there within a second.
    #[track_caller]
    pub(crate) fn event(&self) -> Event {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    }

    /// Asserts that there is nothing now.
    #[track_caller]
    pub(crate) fn quiet_now(&self) {
        assert_eq!(self.call(&[], 8, Some(Duration::ZERO)), Ok(Vec::new()));
    }

    /// Asserts that nothing comes in the next few milliseconds.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        assert_eq!(self.call(&[], 8, Some(Duration::from_millis(20))), Ok(Vec::new()));
    }
}

pub(crate) fn call(kq: RawFd, changes: &[Event], room: usize, limit: Option<Duration>) -> Result<Vec<Event>, c_int> {
    let limit = limit.map(|limit| libc::timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos() as _ });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // One list for both, as the system allows it.
    let mut list: Vec<raw::kevent> = changes.iter().map(|event| event.to_raw()).collect();
    list.resize(changes.len().max(room), Event::new(0, 0, 0).to_raw());
    let (at, changes) = (list.as_mut_ptr(), changes.len() as _);
    // SAFETY: The list has as many entries as are changes, and as much room as is told.
    let found = unsafe { raw::kevent(kq, at, changes, at, room as _, limit) };
    if found < 0 {
        return Err(Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    Ok(list[..found as usize].iter().map(|&raw| Event::from_raw(raw)).collect())
}
