//! A knote: one filter of one identifier, and what was asked of it.

use super::{Errno, kevent, linux};
use std::{
    ffi::{c_int, c_void},
    os::fd::RawFd,
};

/// What makes a knote ready. The names are those of the BSDs' `struct filterops`.
pub(super) trait Filter: Send {
    /// The descriptor that epoll watches, and for what.
    fn watched(&self) -> (RawFd, c_int);

    /// Flags that the filter sets of itself.
    fn flags(&self) -> u16 {
        0
    }

    /// Whether the descriptor was closed, and the knote with it. `epoll` is the one that watches it.
    fn is_gone(&self, _epoll: RawFd) -> bool {
        false
    }

    /// A change of the knote.
    fn touch(&mut self, _change: &kevent) -> Result<(), Errno> {
        Ok(())
    }

    /// What there is to tell now, if there is anything. If `clear`, it is then told.
    fn event(&mut self, clear: bool) -> Option<Told>;
}

/// What a filter tells.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) data: isize,
    pub(super) fflags: u32,
    pub(super) eof: bool,
}

pub(super) struct Knote {
    /// The name of its entry in the epoll. One that comes back later has another.
    pub(super) name: u64,
    /// The epoll that the entry is in.
    pub(super) epoll: RawFd,
    pub(super) flags: u16,
    pub(super) enabled: bool,
    pub(super) udata: *mut c_void,
    pub(super) filter: Box<dyn Filter>,
}

// SAFETY: `udata` is a number here: nothing is done with it but to give it back.
unsafe impl Send for Knote {}

impl Knote {
    /// Adds, changes or removes the entry of the knote: `EPOLL_CTL_ADD`, `_MOD` or `_DEL`. The first two make epoll
    /// look again. A knote that is disabled keeps its entry, which is what tells whether the number was closed.
    pub(super) fn watch(&self, what: c_int) -> Result<(), Errno> {
        let (fd, interest) = self.filter.watched();
        let interest = if self.enabled { interest } else { 0 };
        linux::epoll_control(self.epoll, what, fd, interest | libc::EPOLLET, self.name)
    }
}
