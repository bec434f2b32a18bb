//! `epoll(7)`: which descriptors became ready.

use super::watch::{ALARM, Event, Watch};
use crate::{
    driver::{
        Wait,
        wake::{BELL, DEAF, WakeHandle},
    },
    sys::{
        linux::{epoll_pwait2, is_tcp},
        unix::{check, errno, timespec},
    },
};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::OnceLock,
    thread,
    time::Duration,
};

/// How many events one wait fetches at most.
const EVENTS: usize = 256;

/// What is watched for beside bytes: the peer's end, and urgent data. Errors and hang-ups come unasked.
const ODD: i32 = libc::EPOLLRDHUP | libc::EPOLLPRI;

/// An epoll instance. A forked child has the same one, in which it would change its parent's watches; so it is refused.
pub(super) struct Selector {
    /// Made when there is first something to watch or to sleep for: a runtime that does neither needs none.
    epoll: Option<OwnedFd>,
    bell: WakeHandle,
    bell_is_watched: bool,
    /// A timer, from when it is first set.
    alarm: Option<OwnedFd>,
    /// Room for EVENTS, from when there is an instance.
    events: Vec<libc::epoll_event>,
    ready: usize,
    /// `epoll_pwait2` is there (Linux 5.11); without it, waits are rounded up to a millisecond.
    precise: bool,
}

impl Selector {
    /// A descriptor on which every call would fail counts as ready.
    pub(super) const TELLS_ERRORS: bool = true;

    /// An instance whose waits `bell` will end, as an event of [`BELL`].
    ///
    /// # Errors
    /// That of `epoll_create1(2)` where a sandbox refuses it.
    pub(super) fn new(bell: &WakeHandle) -> io::Result<Selector> {
        try_once()?;
        Ok(Selector {
            epoll: None,
            bell: bell.clone(),
            bell_is_watched: false,
            alarm: None,
            events: Vec::new(),
            ready: 0,
            precise: true,
        })
    }

    /// The instance's descriptor.
    ///
    /// # Errors
    /// `EMFILE` when there is no descriptor left for it. It is tried again each time.
    #[inline]
    fn instance(&mut self) -> io::Result<RawFd> {
        match &self.epoll {
            Some(epoll) => Ok(epoll.as_raw_fd()),
            None => self.make(),
        }
    }

    #[cold]
    fn make(&mut self) -> io::Result<RawFd> {
        self.bell.check_here()?;
        let epoll = self.epoll.insert(create()?);
        self.events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        Ok(epoll.as_raw_fd())
    }

    /// How long there is nothing to do, unless the descriptor is readable.
    pub(super) fn rests(&mut self) -> Option<Wait> {
        Some(Wait::Forever.at_most(self.watch_bell()))
    }

    /// What is readable when there are events.
    ///
    /// # Errors
    /// `EMFILE` when there is no descriptor left for it.
    pub(super) fn descriptor(&mut self) -> io::Result<RawFd> {
        self.instance()
    }

    /// Makes a wait find an event of [`ALARM`] after `time`, once. What it was set to before is forgotten. `false`:
    /// there is no descriptor left for a timer.
    pub(super) fn alarm(&mut self, time: Duration) -> bool {
        if !self.bell.is_here() {
            return true;
        }
        let Ok(timer) = self.timer() else { return false };
        let set = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(time) };
        // SAFETY: Kernel's word: the time is read before the call returns, and the former one is not asked for.
        unsafe { libc::timerfd_settime(timer, 0, &set, std::ptr::null_mut()) == 0 }
    }

    fn timer(&mut self) -> io::Result<RawFd> {
        if let Some(timer) = &self.alarm {
            return Ok(timer.as_raw_fd());
        }
        // SAFETY: Plain call: a clock and flags.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) })?;
        // SAFETY: Fresh descriptor: the kernel made this one just now as well.
        let timer = unsafe { OwnedFd::from_raw_fd(fd) };
        self.add(fd, ALARM, Watch { read: true, write: false, once: false })?;
        self.alarm = Some(timer);
        Ok(fd)
    }

    /// Has the bell watched before the first sleep, here or at the descriptor, and says how long to sleep at most.
    /// Whoever rings before that finds or makes what will be watched.
    fn watch_bell(&mut self) -> Option<Duration> {
        if self.bell_is_watched {
            return None;
        }
        let watch = Watch { read: true, write: false, once: false };
        self.bell_is_watched = self.bell.raw().and_then(|fd| self.add(fd, BELL, watch)).is_ok();
        // Without a descriptor nobody can ring: this is how long a wake takes then.
        if self.bell_is_watched { self.bell.was_missed().then_some(Duration::ZERO) } else { Some(DEAF) }
    }

    /// Watches `fd` from now on.
    ///
    /// # Errors
    /// `EPERM` for a file that has no readiness.
    pub(super) fn add(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, watch)
    }

    /// Changes what `fd` is watched for, or asks again. A number that was closed and came back is watched anew.
    pub(super) fn change(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        match self.check(fd, token, watch) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => self.add(fd, token, watch),
            other => other,
        }
    }

    /// Whether `fd` is still watched, and is the file that it was; looks at its readiness anew if so.
    ///
    /// # Errors
    /// `EBADF` when the number was closed, `ENOENT` when it was closed and is another file by now.
    pub(super) fn check(&mut self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, watch)
    }

    /// Stops watching `fd`. A number that is closed already is not watched any more, which is as good.
    pub(super) fn delete(&mut self, fd: RawFd) {
        if self.epoll.is_none() {
            return;
        }
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, Watch { read: false, write: false, once: true });
    }

    fn control(&mut self, what: i32, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        self.bell.check_here()?;
        let epoll = self.instance()?;
        let mut events = if watch.once { libc::EPOLLONESHOT } else { libc::EPOLLET };
        events |= if watch.read { libc::EPOLLIN | ODD } else { 0 };
        events |= if watch.write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: Kernel's word: `event` is read before the call returns.
        check(unsafe { libc::epoll_ctl(epoll, what, fd, &mut event) }).map(drop)
    }

    /// Waits for events; [`Selector::event`] has them afterwards. A signal ends the wait early.
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        self.ready = 0;
        self.bell.check_here()?;
        if wait == Wait::Not && self.epoll.is_none() {
            return Ok(());
        }
        let epoll = match self.instance() {
            Ok(epoll) => epoll,
            Err(e) if is_scarcity(&e) => {
                nap(wait);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let wait = if wait == Wait::Not { wait } else { wait.at_most(self.watch_bell()) };
        let n = match wait {
            Wait::Not => self.wait_roughly(epoll, 0),
            Wait::Forever => self.wait_roughly(epoll, -1),
            Wait::For(limit) if self.precise => self.wait_precisely(epoll, limit),
            Wait::For(limit) => {
                self.wait_roughly(epoll, i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX))
            }
        };
        match n {
            0.. => self.ready = n as usize,
            _ if errno() == libc::EINTR => {}
            // Seccomp profiles that are older than the call answer EPERM.
            _ if self.precise && [libc::ENOSYS, libc::EPERM].contains(&errno()) => {
                self.precise = false;
                return self.wait(wait);
            }
            _ => return Err(io::Error::last_os_error()),
        }
        Ok(())
    }

    fn wait_precisely(&mut self, epoll: RawFd, limit: Duration) -> i32 {
        let (room, limit) = (self.events.as_mut_ptr(), timespec(limit));
        // SAFETY: Kernel's word: `events` has room for EVENTS, and the limit lives until the call returns.
        unsafe { epoll_pwait2(epoll, room, EVENTS, &limit) }
    }

    fn wait_roughly(&mut self, epoll: RawFd, millis: i32) -> i32 {
        // SAFETY: Kernel's word: `events` has room for EVENTS.
        unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), EVENTS as i32, millis) }
    }

    /// Whether waits last no longer than they are asked to, to the nanosecond. Known after the first that has a limit.
    #[cfg(test)]
    pub(super) fn is_precise(&self) -> bool {
        self.precise
    }

    /// How many events the last wait found.
    pub(super) fn len(&self) -> usize {
        self.ready
    }

    /// Event number `i` of the last wait.
    pub(super) fn event(&self, i: usize) -> Event {
        let event = self.events[i];
        let (bits, either) = (event.events as i32, libc::EPOLLERR | libc::EPOLLHUP);
        let odd = bits & (ODD | either) != 0;
        Event {
            token: event.u64,
            read: odd || bits & libc::EPOLLIN != 0,
            write: bits & (libc::EPOLLOUT | either) != 0,
            odd,
        }
    }

    /// Whether a receive on `fd` that came short has emptied it, and an edge follows for whatever comes then.
    ///
    /// TCP keeps that promise. Unix sockets do not (they stop where descriptors were passed), nor do datagrams, whose
    /// ends are those of messages. What may sit on top of TCP unseen (kTLS's records, urgent data that somebody else
    /// has read before its event came) can break it; the patrol's look is an edge as well, so that costs a second then.
    pub(super) fn tells_when_empty(fd: RawFd) -> bool {
        is_tcp(fd)
    }
}

/// Whether there are instances at all here is asked once in a process: later it would be the driver's failure.
fn try_once() -> io::Result<()> {
    static THERE: OnceLock<()> = OnceLock::new();
    if THERE.get().is_some() {
        return Ok(());
    }
    match create() {
        Ok(_) => {
            let () = THERE.get_or_init(|| ());
            Ok(())
        }
        // It may be there when others have closed something.
        Err(e) if is_scarcity(&e) => Ok(()),
        Err(e) => {
            let why = format!("epoll_create1(2) is refused, as by a seccomp filter: {e}");
            Err(io::Error::new(e.kind(), why))
        }
    }
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: Plain call: no memory is named.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: Fresh descriptor: the kernel just made it and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether there may be an instance later, when others have closed something.
fn is_scarcity(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// Sleeps where nothing is watched and nobody can ring, so that whoever would have is found soon.
fn nap(wait: Wait) {
    if let Wait::For(time) = wait.no_longer_than(Wait::For(DEAF)) {
        thread::sleep(time);
    }
}
