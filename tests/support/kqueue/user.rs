//! `EVFILT_USER`: whoever has the kqueue may trigger it. An eventfd each.

use super::{
    EV_CLEAR, Errno, NOTE_FFAND, NOTE_FFCOPY, NOTE_FFCTRLMASK, NOTE_FFLAGSMASK, NOTE_FFOR, NOTE_TRIGGER, kevent,
    knote::{Filter, Told},
    linux,
};
use std::{
    ffi::c_int,
    fs::File,
    os::fd::{AsRawFd, RawFd},
};

pub(super) struct User {
    /// Readable while triggered.
    bell: File,
    triggered: bool,
    fflags: u32,
    data: isize,
}

impl User {
    pub(super) fn new(change: &kevent) -> Result<User, Errno> {
        let fflags = change.fflags & NOTE_FFLAGSMASK;
        let mut user = User { bell: linux::eventfd(0)?, triggered: false, fflags, data: change.data };
        if change.fflags & NOTE_TRIGGER != 0 {
            user.trigger();
        }
        Ok(user)
    }

    fn trigger(&mut self) {
        self.triggered = true;
        linux::ring(&self.bell);
    }

    fn clear(&mut self) {
        self.triggered = false;
        linux::take(&self.bell);
    }
}

impl Filter for User {
    fn watched(&self) -> (RawFd, c_int) {
        (self.bell.as_raw_fd(), libc::EPOLLIN)
    }

    fn touch(&mut self, change: &kevent) -> Result<(), Errno> {
        let fflags = change.fflags & NOTE_FFLAGSMASK;
        match change.fflags & NOTE_FFCTRLMASK {
            NOTE_FFAND => self.fflags &= fflags,
            NOTE_FFOR => self.fflags |= fflags,
            NOTE_FFCOPY => self.fflags = fflags,
            _ => {}
        }
        self.data = change.data;
        if change.flags & EV_CLEAR != 0 {
            self.clear();
        } else if change.fflags & NOTE_TRIGGER != 0 {
            self.trigger();
        }
        Ok(())
    }

    fn event(&mut self, clear: bool) -> Option<Told> {
        let told = self.triggered.then_some(Told { data: self.data, fflags: self.fflags, eof: false });
        if clear {
            self.clear();
        }
        told
    }
}
