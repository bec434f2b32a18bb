//! `EVFILT_READ`: something can be read, or the end.

use super::{
    Errno,
    descriptor::{Descriptor, Kind},
    knote::{Filter, Told},
};
use std::{ffi::c_int, os::fd::RawFd};

pub(super) struct Read(Descriptor);

impl Read {
    pub(super) fn new(ident: usize) -> Result<Read, Errno> {
        Ok(Read(Descriptor::new(ident)?))
    }
}

impl Filter for Read {
    fn watched(&self) -> (RawFd, c_int) {
        (self.0.watched(), libc::EPOLLIN)
    }

    fn is_gone(&self, epoll: RawFd) -> bool {
        self.0.is_gone(epoll)
    }

    fn event(&mut self, _clear: bool) -> Option<Told> {
        let ready = self.0.poll();
        let any = |bits: i16| ready & i32::from(bits) != 0;
        match self.0.kind() {
            Kind::File => Some(self.0.rest_of_file()).filter(|&rest| rest != 0).map(bytes),
            Kind::Listener => any(libc::POLLIN).then(|| bytes(self.0.backlog())),
            Kind::Stream | Kind::OtherSocket => any(libc::POLLIN | libc::POLLRDHUP | libc::POLLERR).then(|| {
                let (eof, failed) = (any(libc::POLLRDHUP), any(libc::POLLERR));
                let fflags = if eof && failed { self.0.error() as u32 } else { 0 };
                Told { data: self.0.unread(0), fflags, eof }
            }),
            Kind::Pipe | Kind::Other => any(libc::POLLIN | libc::POLLHUP | libc::POLLERR).then(|| {
                let data = self.0.unread(any(libc::POLLIN).into());
                Told { data, fflags: 0, eof: any(libc::POLLHUP) }
            }),
        }
    }
}

fn bytes(data: isize) -> Told {
    Told { data, ..Told::default() }
}
