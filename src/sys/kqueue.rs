//! `kqueue(2)` and `kevent(2)`, which are all that the driver needs of the system to wait, and the structure that both
//! speak in.

use crate::sys::{
    native::{self, kevent as Kevent},
    unix::{self, errno, timespec},
};
use std::{
    io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    process, ptr,
    time::Duration,
};

const _: () = assert!(mem::size_of::<Kevent>() == unix::KEVENT_SIZE, "libc and the system disagree on a kevent");
const _: () = assert!(mem::size_of::<*mut ()>() == 8, "a kevent carries a pointer, and the driver needs 64 bits of it");

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// There is something to read, or there will be nothing any more.
    Read,
    /// There is room to write, or nobody reads any more.
    Write,
    /// Somebody triggers it. Not there on older NetBSD and OpenBSD.
    User,
}

/// Makes a watch, or gives it a new token. The flags of one that is there may stay as they were.
pub(crate) const ADD: u32 = native::EV_ADD as u32;
/// Ends a watch; `ENOENT` if there is none.
pub(crate) const DELETE: u32 = native::EV_DELETE as u32;
/// Goes on with a watch; `ENOENT` if there is none.
pub(crate) const ENABLE: u32 = native::EV_ENABLE as u32;
/// With [`ADD`]: an event tells what has happened since the last one.
pub(crate) const CLEAR: u32 = native::EV_CLEAR as u32;
/// With [`ADD`]: the first event ends the watch.
pub(crate) const ONCE: u32 = native::EV_ONESHOT as u32;

/// A change of what is watched, or an event.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Event(Kevent);

impl Event {
    /// Asks for `action` on the watch of `ident` by `filter`. Its events will carry `token`.
    pub(crate) fn change(filter: Filter, ident: RawFd, action: u32, token: u64) -> Event {
        // SAFETY: Plain bytes: all-zero is a value of `kevent`, integers and a pointer that nobody follows.
        let mut change = unsafe { MaybeUninit::<Kevent>::zeroed().assume_init() };
        change.ident = ident as usize;
        change.filter = match filter {
            Filter::Read => native::EVFILT_READ,
            Filter::Write => native::EVFILT_WRITE,
            Filter::User => native::EVFILT_USER,
        };
        // Each change is answered for itself, and no event is mixed in.
        change.flags = (action | native::EV_RECEIPT as u32) as _;
        change.udata = ptr::without_provenance_mut(token as usize);
        Event(change)
    }

    /// Triggers the watch of `ident` by [`Filter::User`].
    pub(crate) fn trigger(ident: RawFd, token: u64) -> Event {
        let Event(mut change) = Event::change(Filter::User, ident, 0, token);
        change.fflags = native::NOTE_TRIGGER;
        Event(change)
    }

    /// The token of the watch.
    pub(crate) fn token(&self) -> u64 {
        self.0.udata.addr() as u64
    }

    /// Whether it is an event of `EVFILT_WRITE`. All others have to do with reading.
    pub(crate) fn is_write(&self) -> bool {
        self.0.filter == native::EVFILT_WRITE
    }

    /// The answer to a change: 0, or an error number.
    fn answer(&self) -> i32 {
        if self.0.flags & native::EV_ERROR == 0 { libc::EIO } else { self.0.data as i32 }
    }
}

/// A kernel queue. A forked child does not inherit it: the number is nobody's there, or another's by now.
#[derive(Debug)]
pub(crate) struct Kqueue {
    /// Until it is dropped.
    fd: Option<OwnedFd>,
    process: u32,
}

impl Kqueue {
    pub(crate) fn new() -> io::Result<Kqueue> {
        // SAFETY: Plain call: it makes a descriptor.
        let fd = unix::check(unsafe { native::kqueue() })?;
        // SAFETY: Fresh descriptor: the queue was just made, and only here is its number known.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let kqueue = Kqueue { fd: Some(fd), process: process::id() };
        unix::keep_from_children(kqueue.as_raw_fd())?;
        Ok(kqueue)
    }

    /// Whether this is the process that made it.
    pub(crate) fn is_here(&self) -> bool {
        self.process == process::id()
    }

    /// Carries out `changes`, each whatever becomes of the others. The answers are 0 or error numbers.
    ///
    /// # Errors
    /// That of the queue itself. It is not known then what was carried out.
    pub(crate) fn change<const N: usize>(&self, changes: [Event; N]) -> io::Result<[i32; N]> {
        if !self.is_here() {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let mut answers = changes;
        loop {
            // With room for as many answers as there are changes, nothing is waited for.
            match self.call(&changes, &mut answers, Some(Duration::ZERO)) {
                Ok(n) if n == N => return Ok(answers.map(|answer| answer.answer())),
                Ok(n) => return Err(io::Error::other(format!("kevent(2) gave {n} answers to {N} changes"))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for events, `limit` long at most, and says how many there are in `room`. A signal ends the wait early.
    pub(crate) fn wait(&self, room: &mut [Event], limit: Option<Duration>) -> io::Result<usize> {
        match self.call(&[], room, limit) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            other => other,
        }
    }

    fn call(&self, changes: &[Event], room: &mut [Event], limit: Option<Duration>) -> io::Result<usize> {
        let limit = limit.map(timespec);
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (ask, asked) = (changes.as_ptr().cast::<Kevent>(), changes.len());
        let (answer, len) = (room.as_mut_ptr().cast::<Kevent>(), room.len());
        // SAFETY: Kernel's word: both arrays have as many kevents as is said, `Event` being nothing else, and they and
        // the limit live until the call returns.
        let n = unsafe { native::kevent(self.as_raw_fd(), ask, asked as _, answer, len as _, limit) };
        usize::try_from(n).map_err(|_| io::Error::from_raw_os_error(errno()))
    }
}

impl AsRawFd for Kqueue {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Drop for Kqueue {
    fn drop(&mut self) {
        let fd = self.fd.take();
        if !self.is_here() {
            mem::forget(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    /// T21. Red when a child closes, or asks, what has the number of its parent's queue there.
    #[test]
    fn a_forked_child_leaves_the_number_alone() {
        let queue = Kqueue::new().unwrap();
        let number = queue.as_raw_fd();
        let mut queue = Some(queue);
        assert!(in_child(|| {
            // It takes the number.
            // SAFETY: Plain call: two numbers that the kernel checks.
            assert_eq!(unsafe { libc::dup2(0, number) }, number);
            let queue = queue.take().unwrap();
            assert!(queue.change([Event::change(Filter::User, 0, ADD, 7)]).is_err());
            drop(queue);
            unix::is_open(number).unwrap();
        }));
        assert!(queue.unwrap().change([Event::change(Filter::User, 0, ADD, 7)]).is_ok());
    }
}
