//! `EVFILT_WRITE`: there is room to write, or there never will be.

use super::{
    Errno,
    descriptor::{Descriptor, Kind},
    knote::{Filter, Told},
};
use std::{ffi::c_int, os::fd::RawFd};

pub(super) struct Write(Descriptor);

impl Write {
    pub(super) fn new(ident: usize) -> Result<Write, Errno> {
        Ok(Write(Descriptor::new(ident)?))
    }
}

impl Filter for Write {
    fn watched(&self) -> (RawFd, c_int) {
        (self.0.watched(), libc::EPOLLOUT)
    }

    fn is_gone(&self, epoll: RawFd) -> bool {
        self.0.is_gone(epoll)
    }

    fn event(&mut self, _clear: bool) -> Option<Told> {
        let ready = self.0.poll();
        let any = |bits: i16| ready & i32::from(bits) != 0;
        let kind = self.0.kind();
        if kind == Kind::File {
            return Some(Told::default());
        }
        let never_connected = kind == Kind::Stream && self.0.is_fresh(ready);
        if never_connected || !any(libc::POLLOUT | libc::POLLHUP | libc::POLLERR) {
            return None;
        }
        let failed = any(libc::POLLERR);
        Some(match kind {
            Kind::Stream => {
                let eof = any(libc::POLLHUP) || !failed && self.0.is_shut();
                let fflags = if eof && failed { self.0.error() as u32 } else { 0 };
                Told { data: self.0.room(), fflags, eof }
            }
            Kind::Listener | Kind::OtherSocket => Told { data: self.0.room(), ..Told::default() },
            Kind::Pipe if failed => Told { data: 0, fflags: 0, eof: true },
            Kind::Pipe => Told { data: self.0.room_of_pipe(), ..Told::default() },
            Kind::File | Kind::Other => Told { data: 1, fflags: 0, eof: any(libc::POLLHUP) },
        })
    }
}
