//! A bell that is a part of the queue at which the driver sleeps: the queue is made here, and the selector waits at it.

use super::{BELL, WakeHandle};
use crate::sys::kqueue::{ADD, CLEAR, Event, Filter, Kqueue};
use std::{
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

/// The user event's number among those of its queue.
const NUMBER: i32 = 0;

#[derive(Debug)]
pub(super) struct Bell {
    queue: Kqueue,
    /// What is written to and watched where the system has no user events (older NetBSD and OpenBSD).
    wire: Option<(UnixStream, UnixStream)>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        let queue = Kqueue::new()?;
        match queue.change([Event::change(Filter::User, NUMBER, ADD | CLEAR, BELL)])? {
            [0] => Ok(Bell { queue, wire: None }),
            _ => Bell::wired(queue),
        }
    }

    /// A bell without user events.
    fn wired(queue: Kqueue) -> io::Result<Bell> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        match queue.change([Event::change(Filter::Read, near.as_raw_fd(), ADD | CLEAR, BELL)])? {
            [0] => Ok(Bell { queue, wire: Some((near, far)) }),
            [error] => Err(io::Error::from_raw_os_error(error)),
        }
    }

    pub(super) fn is_here(&self) -> bool {
        self.queue.is_here()
    }

    pub(super) fn ring(&self) {
        // What is full rings just as well, and there is no other way to fail that could be mended here.
        let _ = match &self.wire {
            None => self.queue.change([Event::trigger(NUMBER, BELL)]).map(drop),
            Some((_, far)) if self.is_here() => (&*far).write(&[1]).map(drop),
            Some(_) => Ok(()),
        };
    }

    pub(super) fn clear(&self) {
        // A user event is clear again once it was told.
        let Some((near, _)) = &self.wire else { return };
        let mut rings = [0; 64];
        while matches!((&*near).read(&mut rings), Ok(64)) {}
    }
}

impl WakeHandle {
    /// The queue that the driver sleeps at.
    pub(crate) fn queue(&self) -> &Kqueue {
        &self.0.queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    /// Red when the wire is not emptied, or not watched.
    #[test]
    fn a_wire_rings_like_a_user_event() {
        let bell = Bell::wired(Kqueue::new().unwrap()).unwrap();
        let mut room = [Event::change(Filter::Read, 0, 0, 0); 4];
        let mut heard = |limit| bell.queue.wait(&mut room, Some(Duration::from_millis(limit))).unwrap();
        assert_eq!(heard(0), 0);
        for rings in [1, 64, 1000] {
            thread::scope(|scope| {
                scope.spawn(|| (0..rings).for_each(|_| bell.ring()));
                assert_eq!(heard(5000), 1);
            });
            bell.clear();
            let _ = heard(0);
            assert_eq!((&bell.wire.as_ref().unwrap().0).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
