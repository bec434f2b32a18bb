//! `EVFILT_TIMER`: a timerfd each.

use super::{
    EV_CLEAR, EV_ONESHOT, Errno, NOTE_ABSOLUTE, NOTE_NSECONDS, NOTE_SECONDS, NOTE_USECONDS, kevent,
    knote::{Filter, Told},
    linux,
};
use std::{
    ffi::c_int,
    fs::File,
    os::fd::{AsRawFd, RawFd},
};

pub(super) struct Timer {
    timer: File,
    absolute: bool,
}

impl Timer {
    pub(super) fn new(change: &kevent) -> Result<Timer, Errno> {
        let absolute = change.fflags & NOTE_ABSOLUTE != 0;
        let clock = if absolute { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
        let mut timer = Timer { timer: linux::timerfd(clock)?, absolute };
        timer.touch(change)?;
        Ok(timer)
    }
}

impl Filter for Timer {
    fn watched(&self) -> (RawFd, c_int) {
        (self.timer.as_raw_fd(), libc::EPOLLIN)
    }

    fn flags(&self) -> u16 {
        if self.absolute { EV_CLEAR | EV_ONESHOT } else { EV_CLEAR }
    }

    /// Starts it, from now on. Expirations that nobody fetched are forgotten.
    fn touch(&mut self, change: &kevent) -> Result<(), Errno> {
        if self.absolute != (change.fflags & NOTE_ABSOLUTE != 0) {
            return Err(libc::EINVAL);
        }
        let time = nanoseconds(change)?;
        let zero = timespec(0);
        // A timerfd takes zero for "never", and BSDs for "now".
        let first = timespec(time.max(1));
        let (flags, it_interval) = if self.absolute { (libc::TFD_TIMER_ABSTIME, zero) } else { (0, timespec(time)) };
        linux::timerfd_set(&self.timer, flags, &libc::itimerspec { it_interval, it_value: first })
    }

    fn event(&mut self, _clear: bool) -> Option<Told> {
        match linux::take(&self.timer) {
            0 => None,
            times => Some(Told { data: times as isize, ..Told::default() }),
        }
    }
}

fn nanoseconds(change: &kevent) -> Result<i64, Errno> {
    let unit = match change.fflags & !NOTE_ABSOLUTE {
        0 => 1_000_000,
        NOTE_SECONDS => 1_000_000_000,
        NOTE_USECONDS => 1_000,
        NOTE_NSECONDS => 1,
        _ => return Err(libc::EINVAL),
    };
    let time = change.data as i64;
    if time < 0 { Err(libc::EINVAL) } else { time.checked_mul(unit).ok_or(libc::ERANGE) }
}

fn timespec(nanoseconds: i64) -> libc::timespec {
    libc::timespec { tv_sec: (nanoseconds / 1_000_000_000) as _, tv_nsec: (nanoseconds % 1_000_000_000) as _ }
}
