//! A kqueue: its knotes, and the epolls that watch for them.

use super::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_DISABLE, EV_DISPATCH, EV_ENABLE, EV_EOF, EV_ONESHOT, EVFILT_READ, EVFILT_TIMER,
    EVFILT_USER, EVFILT_WRITE, Errno, kevent,
    knote::{Filter, Knote},
    linux,
    read::Read,
    timer::Timer,
    user::User,
    write::Write,
};
use std::{
    collections::HashMap,
    ffi::c_int,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The name of the epoll of writers in the epoll that it is a member of. Knotes are named from 1.
const WRITERS: u64 = 0;

/// What a knote is known by.
type Key = (usize, i16);

pub(super) struct Queue {
    /// The kqueue, which is the user's to close. Watches for everything but room to write.
    number: RawFd,
    /// Watches for room to write. That it is a member of the epoll behind `number` is how a kqueue is told from another
    /// that got the number later.
    writers: OwnedFd,
    knotes: Mutex<Knotes>,
}

#[derive(Default)]
struct Knotes {
    by_key: HashMap<Key, Knote>,
    by_name: HashMap<u64, Key>,
    last_name: u64,
}

impl Queue {
    pub(super) fn new() -> Result<(c_int, Queue), Errno> {
        let (kqueue, writers) = (linux::epoll()?, linux::epoll()?);
        let (number, member) = (kqueue.as_raw_fd(), writers.as_raw_fd());
        linux::epoll_control(number, libc::EPOLL_CTL_ADD, member, libc::EPOLLIN, WRITERS)?;
        let queue = Queue { number, writers, knotes: Mutex::default() };
        Ok((kqueue.into_raw_fd(), queue))
    }

    /// Whether the number is this kqueue's still. It changes nothing about the member.
    pub(super) fn is_at(&self, number: RawFd) -> bool {
        let member = self.writers.as_raw_fd();
        linux::epoll_control(number, libc::EPOLL_CTL_MOD, member, libc::EPOLLIN, WRITERS).is_ok()
    }

    /// Waits until there may be an event.
    pub(super) fn sleep(&self, limit: Option<Duration>) -> Result<(), Errno> {
        let ready = linux::poll(self.number, libc::POLLIN.into(), limit)?;
        if ready & i32::from(libc::POLLNVAL) != 0 { Err(libc::EBADF) } else { Ok(()) }
    }

    fn knotes(&self) -> MutexGuard<'_, Knotes> {
        self.knotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoll(&self, filter: i16) -> RawFd {
        if filter == EVFILT_WRITE { self.writers.as_raw_fd() } else { self.number }
    }

    /// Applies one entry of a changelist.
    pub(super) fn change(&self, change: &kevent) -> Result<(), Errno> {
        let key = (change.ident, change.filter);
        let both = EV_ENABLE | EV_DISABLE;
        let known = [EVFILT_READ, EVFILT_WRITE, EVFILT_TIMER, EVFILT_USER].contains(&change.filter);
        if !known || change.flags & both == both {
            return Err(libc::EINVAL);
        }
        let mut knotes = self.knotes();
        knotes.forget_if_gone(key);
        let Some(knote) = knotes.by_key.get_mut(&key) else {
            let adds = change.flags & (EV_ADD | EV_DELETE) == EV_ADD;
            return if adds { knotes.attach(key, self.epoll(change.filter), change) } else { Err(libc::ENOENT) };
        };
        if change.flags & EV_DELETE != 0 {
            knotes.detach(key);
            return Ok(());
        }
        knote.filter.touch(change)?;
        knote.udata = change.udata;
        knote.enabled = change.flags & EV_DISABLE == 0 && (knote.enabled || change.flags & EV_ENABLE != 0);
        knote.watch(libc::EPOLL_CTL_MOD)
    }

    /// Fetches events, as many as there are and have room.
    pub(super) fn collect(&self, room: usize, events: &mut Vec<kevent>) {
        let mut knotes = self.knotes();
        // A round that finds only what is not to be told (disabled, closed) has taken that away, so the rounds end.
        while events.is_empty() {
            let Some(found) = self.fetch(room) else { return };
            events.extend(found.into_iter().filter_map(|name| knotes.fire(name)));
        }
    }

    /// Names of knotes that may have something to tell. If there are writers among them, at least one has room, and the
    /// epoll lets everybody have their turn.
    fn fetch(&self, room: usize) -> Option<Vec<u64>> {
        let mut found = linux::epoll_fetch(self.number, room);
        if found.is_empty() {
            return None;
        }
        if let Some(writers) = found.iter().position(|&name| name == WRITERS) {
            found.swap_remove(writers);
            found.extend(linux::epoll_fetch(self.writers.as_raw_fd(), room - found.len()));
        }
        Some(found)
    }
}

impl Knotes {
    fn attach(&mut self, key: Key, epoll: RawFd, change: &kevent) -> Result<(), Errno> {
        let filter: Box<dyn Filter> = match change.filter {
            EVFILT_READ => Box::new(Read::new(change.ident)?),
            EVFILT_WRITE => Box::new(Write::new(change.ident)?),
            EVFILT_TIMER => Box::new(Timer::new(change)?),
            _ => Box::new(User::new(change)?),
        };
        self.last_name += 1;
        let (flags, enabled) = (change.flags | filter.flags(), change.flags & EV_DISABLE == 0);
        let knote = Knote { name: self.last_name, epoll, flags, enabled, udata: change.udata, filter };
        match knote.watch(libc::EPOLL_CTL_ADD) {
            // What was closed and forgotten, but not by the epoll, and has its number again.
            Err(libc::EEXIST) => knote.watch(libc::EPOLL_CTL_MOD)?,
            Err(libc::EPERM) => return Err(libc::EINVAL),
            outcome => outcome?,
        }
        self.by_name.insert(knote.name, key);
        self.by_key.insert(key, knote);
        Ok(())
    }

    fn detach(&mut self, key: Key) {
        if let Some(knote) = self.forget(key) {
            let _ = knote.watch(libc::EPOLL_CTL_DEL);
        }
    }

    fn forget(&mut self, key: Key) -> Option<Knote> {
        let knote = self.by_key.remove(&key)?;
        self.by_name.remove(&knote.name);
        Some(knote)
    }

    /// close(2) takes the knotes of a descriptor with it.
    fn forget_if_gone(&mut self, key: Key) {
        if self.by_key.get(&key).is_some_and(|knote| knote.filter.is_gone(knote.epoll)) {
            self.forget(key);
        }
    }

    /// Runs the filter of a knote that epoll named, and gives its event, unless there is nothing to tell after all.
    fn fire(&mut self, name: u64) -> Option<kevent> {
        let key = *self.by_name.get(&name)?;
        self.forget_if_gone(key);
        let knote = self.by_key.get_mut(&key).filter(|knote| knote.enabled)?;
        let told = knote.filter.event(knote.flags & EV_CLEAR != 0)?;
        let flags = if told.eof { knote.flags | EV_EOF } else { knote.flags };
        let udata = knote.udata;
        if flags & EV_ONESHOT != 0 {
            self.detach(key);
        } else if flags & (EV_DISPATCH | EV_CLEAR) != EV_CLEAR {
            // Not to be asked until enabled; or a state and not a change, to be asked again by the next call.
            knote.enabled = flags & EV_DISPATCH == 0;
            let _ = knote.watch(libc::EPOLL_CTL_MOD);
        }
        Some(kevent { ident: key.0, filter: key.1, flags, fflags: told.fflags, data: told.data, udata })
    }
}
