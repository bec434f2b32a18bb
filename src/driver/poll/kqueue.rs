//! `kqueue(2)`: which descriptors became ready.
//!
//! Reading and writing are two watches of one descriptor, and each has its own events. A watch that is added again
//! keeps the kind that it had (edge to edge, or once), on real BSDs; so a change deletes what was there first.

use super::watch::{ALARM, Event, Watch};
use crate::{
    driver::{LONGEST, Wait, WakeHandle},
    sys::{
        kqueue::{self, ADD, CLEAR, DELETE, ENABLE, Filter, ONCE},
        unix,
    },
};
use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

/// How many events one wait fetches at most.
const EVENTS: usize = 256;

/// The queue that the driver's bell is a part of.
pub(super) struct Selector {
    bell: WakeHandle,
    room: Box<[kqueue::Event]>,
    found: Vec<Event>,
    /// What was found out while something was added: the next wait tells it.
    early: Vec<Event>,
    /// When the alarm rings: a limit on waits. Systems have timers, but differ on one that is set again.
    alarm: Option<Instant>,
}

impl Selector {
    /// A socket that neither listens nor is connected is never ready, though a call would fail at once. So a call has
    /// to come before the first wait.
    pub(super) const TELLS_ERRORS: bool = false;

    /// The queue of `bell`, which it watches already.
    pub(super) fn new(bell: &WakeHandle) -> io::Result<Selector> {
        let room = vec![kqueue::Event::change(Filter::Read, 0, 0, 0); EVENTS].into_boxed_slice();
        Ok(Selector { bell: bell.clone(), room, found: Vec::with_capacity(EVENTS), early: Vec::new(), alarm: None })
    }

    /// How long there is nothing to do, unless the descriptor is readable. `None`: there is something now.
    pub(super) fn rests(&mut self) -> Option<Wait> {
        let alarm = self.alarm.map(|at| Wait::For(at.saturating_duration_since(Instant::now())));
        self.early.is_empty().then(|| alarm.unwrap_or(Wait::Forever))
    }

    /// What is readable when there are events.
    #[expect(clippy::unnecessary_wraps, reason = "an instance of epoll may have to be made first")]
    pub(super) fn descriptor(&self) -> io::Result<RawFd> {
        Ok(self.bell.queue().as_raw_fd())
    }

    /// Makes a wait find an event of [`ALARM`] after `time`, once. What it was set to before is forgotten.
    pub(super) fn alarm(&mut self, time: Duration) -> bool {
        self.alarm = Instant::now().checked_add(time);
        true
    }

    /// Watches `fd` from now on.
    ///
    /// # Errors
    /// `EPERM` for a file that has no readiness.
    pub(super) fn add(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        let [read, write] = changes(fd, token, watch);
        let answers = self.bell.queue().change([read, write])?;
        self.outcome(fd, token, watch, answers)
    }

    /// Changes what `fd` is watched for, or asks again. A number that was closed and came back is watched anew.
    pub(super) fn change(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        let ([no_read, no_write], [read, write]) = (deletions(fd), changes(fd, token, watch));
        let [_, _, read, write] = self.bell.queue().change([no_read, no_write, read, write])?;
        self.outcome(fd, token, watch, [read, write])
    }

    /// Whether `fd` is still watched, and is the file that it was; looks at its readiness anew if so.
    ///
    /// # Errors
    /// `EBADF` when the number was closed, `ENOENT` when it was closed and is another file by now.
    pub(super) fn check(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        let enable = |filter| kqueue::Event::change(filter, fd, ENABLE, token);
        let [read, write] = self.bell.queue().change([enable(Filter::Read), enable(Filter::Write)])?;
        // A direction without a filter has no watch either; the other one is witness enough.
        if (watch.read && read == 0) || (watch.write && write == 0) {
            return Ok(());
        }
        unix::is_open(fd)?;
        Err(io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// Stops watching `fd`. A number that is closed already is not watched any more, which is as good.
    pub(super) fn delete(&mut self, fd: RawFd) {
        let _ = self.bell.queue().change(deletions(fd));
    }

    /// What came of a watch, from what was answered in each direction.
    ///
    /// Of two directions, one without a filter is left out: nobody can wait there in earnest.
    fn outcome(&mut self, fd: RawFd, token: u64, watch: Watch, [read, write]: [i32; 2]) -> io::Result<()> {
        let asked = [(watch.read, read), (watch.write, write)];
        let answers = || asked.into_iter().filter_map(|(asked, answer)| asked.then_some(answer));
        if let Some(error) = answers().find(|&answer| !matches!(answer, 0 | libc::EPIPE) && !has_no_filter(answer)) {
            self.delete(fd);
            return Err(io::Error::from_raw_os_error(error));
        }
        if answers().all(has_no_filter) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        if answers().any(|answer| answer == libc::EPIPE) {
            // The other end of the pipe is gone. Whoever waits has to be told, and there is no watch that would.
            self.early.push(Event { token, read: read == libc::EPIPE, write: write == libc::EPIPE, odd: true });
        }
        Ok(())
    }

    /// Waits for events; [`Selector::events`] has them afterwards. A signal ends the wait early.
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        self.bell.check_here()?;
        self.found.clear();
        self.found.append(&mut self.early);
        let alarm = self.alarm.filter(|_| wait != Wait::Not);
        let limit = match wait.at_most(alarm.map(|at| at.saturating_duration_since(Instant::now()))) {
            _ if !self.found.is_empty() => Some(Duration::ZERO),
            Wait::Not => Some(Duration::ZERO),
            Wait::For(limit) => Some(limit.min(LONGEST)),
            Wait::Forever => None,
        };
        let n = self.bell.queue().wait(&mut self.room, limit)?;
        self.found.extend(self.room[..n].iter().map(|event| {
            // What is odd would matter to whom a short receive tells something.
            let write = event.is_write();
            Event { token: event.token(), read: !write, write, odd: false }
        }));
        if alarm.is_some_and(|at| at <= Instant::now()) {
            self.alarm = None;
            self.found.push(Event { token: ALARM, read: true, write: false, odd: false });
        }
        Ok(())
    }

    /// Whether waits last no longer than they are asked to, to the nanosecond.
    #[cfg(test)]
    pub(super) fn is_precise(&self) -> bool {
        true
    }

    /// How many events the last wait found.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Event number `i` of the last wait.
    pub(super) fn event(&self, i: usize) -> Event {
        self.found[i]
    }

    /// Whether a receive on `fd` that came short has emptied it, and an edge follows for whatever comes then. That was
    /// not tried on these systems, and so is not relied on.
    pub(super) fn tells_when_empty(_fd: RawFd) -> bool {
        false
    }
}

/// A file that cannot be watched in this direction.
fn has_no_filter(answer: i32) -> bool {
    matches!(answer, libc::EINVAL | libc::ENODEV | libc::EPERM | libc::EOPNOTSUPP)
}

/// What makes the watches of `fd` those of `watch`, where none was there before.
fn changes(fd: RawFd, token: u64, watch: Watch) -> [kqueue::Event; 2] {
    let kind = if watch.once { ONCE } else { CLEAR };
    let change = |filter, wanted| kqueue::Event::change(filter, fd, if wanted { ADD | kind } else { DELETE }, token);
    [change(Filter::Read, watch.read), change(Filter::Write, watch.write)]
}

/// What ends all watches of `fd`.
fn deletions(fd: RawFd) -> [kqueue::Event; 2] {
    [Filter::Read, Filter::Write].map(|filter| kqueue::Event::change(filter, fd, DELETE, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Watch = Watch { read: true, write: true, once: false };
    const WRITE: Watch = Watch { read: false, write: true, once: true };

    #[test]
    fn a_watch_fails_for_reasons_that_matter() {
        let mut selector = Selector::new(&WakeHandle::new().unwrap()).unwrap();
        let mut outcome = |watch, answers| {
            let outcome = selector.outcome(-1, 7, watch, answers);
            outcome.map_err(|error| error.raw_os_error().unwrap())
        };
        for none in [libc::EINVAL, libc::ENODEV, libc::EPERM, libc::EOPNOTSUPP] {
            assert_eq!(outcome(BOTH, [none; 2]), Err(libc::EPERM), "as with epoll, for a file without readiness");
            assert_eq!(outcome(WRITE, [0, none]), Err(libc::EPERM));
            assert_eq!(outcome(BOTH, [0, none]), Ok(()), "one direction will do");
        }
        assert_eq!(outcome(WRITE, [libc::ENOENT, 0]), Ok(()), "there was nothing to delete");
        assert_eq!(outcome(BOTH, [0, libc::ENOMEM]), Err(libc::ENOMEM));
        assert_eq!(outcome(BOTH, [libc::EBADF, libc::EBADF]), Err(libc::EBADF));
        assert_eq!(outcome(BOTH, [0, libc::EPIPE]), Ok(()));
        let (start, long) = (Instant::now(), Duration::from_secs(10));
        selector.wait(Wait::For(long)).unwrap();
        assert!(start.elapsed() < long, "nobody sleeps on what is known already");
        assert_eq!((selector.len(), selector.event(0)), (1, Event { token: 7, read: false, write: true, odd: true }));
        selector.wait(Wait::Not).unwrap();
        assert_eq!(selector.len(), 0, "told once");
    }
}
