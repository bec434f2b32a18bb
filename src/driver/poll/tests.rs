//! What the selectors owe to the poll driver: the same, whichever of them this system has.

use super::{
    Selector,
    watch::{ALARM, Event, Watch},
};
use crate::{
    driver::{
        Wait,
        wake::{BELL, WakeHandle},
    },
    sys::unix,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    thread,
    time::{Duration, Instant},
};

const READ: Watch = Watch { read: true, write: false, once: false };
const BOTH: Watch = Watch { read: true, write: true, once: false };
const ONCE: Watch = Watch { read: true, write: false, once: true };

const SOON: Wait = Wait::For(Duration::from_millis(20));
const LATER: Wait = Wait::For(Duration::from_secs(5));

fn selector() -> (Selector, WakeHandle) {
    let bell = WakeHandle::new().unwrap();
    (Selector::new(&bell).unwrap(), bell)
}

/// The events of one wait.
fn wait(selector: &mut Selector, wait: Wait) -> Vec<Event> {
    selector.wait(wait).unwrap();
    (0..selector.len()).map(|i| selector.event(i)).collect()
}

/// The names of those that can be read.
fn readable(selector: &mut Selector, limit: Wait) -> Vec<u64> {
    wait(selector, limit).iter().filter(|event| event.read).map(|event| event.token).collect()
}

/// A connected pair that does not block, whose first end has a number that nobody else is given by chance.
fn pair(number: RawFd) -> (File, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    // SAFETY: Plain call: it makes a new number for the same file.
    let high = unix::check(unsafe { libc::fcntl(a.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) }).unwrap();
    // SAFETY: Fresh descriptor: the kernel just made it.
    (File::from(unsafe { OwnedFd::from_raw_fd(high) }), b)
}

/// Red when an alarm is not set, not forgotten when it is set again, or rings twice.
#[test]
fn an_alarm_rings_once_and_when_it_was_set_to_last() {
    let (mut selector, _bell) = selector();
    let start = Instant::now();
    selector.alarm(Duration::from_secs(60));
    selector.alarm(Duration::from_millis(30));
    assert_eq!(readable(&mut selector, LATER), [ALARM]);
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(readable(&mut selector, SOON), [], "once");
    selector.alarm(Duration::from_millis(1));
    selector.alarm(Duration::from_secs(60));
    assert_eq!(readable(&mut selector, SOON), [], "that was forgotten");
}

#[test]
fn the_bell_ends_a_wait_and_is_silent_again() {
    let (mut selector, bell) = selector();
    assert_eq!(wait(&mut selector, Wait::Not), []);
    let ringer = bell.clone();
    let ringing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        ringer.wake();
        ringer.wake();
    });
    assert_eq!(readable(&mut selector, LATER), [BELL]);
    ringing.join().unwrap();
    bell.clear();
    let _second = wait(&mut selector, Wait::Not);
    bell.clear();
    assert_eq!(wait(&mut selector, SOON), [], "all rings were taken back");
    bell.wake();
    assert_eq!(readable(&mut selector, LATER), [BELL], "it rings again");
    drop(selector);
    bell.wake();
}

/// Red when what is made for the first sleep does not ask who has rung by then.
#[test]
fn who_rang_before_the_first_sleep_is_heard() {
    let (mut selector, bell) = selector();
    assert_eq!(wait(&mut selector, Wait::Not), []);
    bell.wake();
    assert_eq!(readable(&mut selector, LATER), [BELL]);
}

#[test]
fn an_edge_is_told_once_for_each_arrival() {
    let (mut selector, _bell) = selector();
    let (a, mut b) = pair(700);
    selector.add(a.as_raw_fd(), 7, READ).unwrap();
    assert_eq!(wait(&mut selector, Wait::Not), []);
    for _ in 0..2 {
        b.write_all(b"x").unwrap();
        assert_eq!(readable(&mut selector, LATER), [7]);
        assert_eq!(wait(&mut selector, Wait::Not), [], "nothing arrived since");
    }
    drop(b);
    assert_eq!(readable(&mut selector, LATER), [7], "the end is an arrival, too");
    selector.delete(a.as_raw_fd());
    selector.delete(a.as_raw_fd());
}

#[test]
fn what_is_watched_once_has_to_be_asked_for_again() {
    let (mut selector, _bell) = selector();
    let (a, mut b) = pair(720);
    selector.add(a.as_raw_fd(), 1, ONCE).unwrap();
    b.write_all(b"x").unwrap();
    assert_eq!(readable(&mut selector, LATER), [1]);
    b.write_all(b"y").unwrap();
    assert_eq!(wait(&mut selector, SOON), []);
    selector.change(a.as_raw_fd(), 2, ONCE).unwrap();
    assert_eq!(readable(&mut selector, LATER), [2], "two bytes are there still");
}

/// Red when the new kind of watch is laid over the old one: it stays one-shot on systems that keep a watch's flags.
#[test]
fn one_kind_of_watch_becomes_the_other() {
    let (mut selector, _bell) = selector();
    let (mut a, mut b) = pair(740);
    selector.add(a.as_raw_fd(), 1, ONCE).unwrap();
    selector.change(a.as_raw_fd(), 2, BOTH).unwrap();
    for _ in 0..2 {
        b.write_all(b"x").unwrap();
        assert_eq!(readable(&mut selector, LATER), [2]);
        assert_eq!(a.read(&mut [0; 2]).unwrap(), 1);
    }
    selector.change(a.as_raw_fd(), 3, ONCE).unwrap();
    b.write_all(b"x").unwrap();
    assert_eq!(readable(&mut selector, LATER), [3]);
    b.write_all(b"x").unwrap();
    assert_eq!(wait(&mut selector, SOON), []);
}

#[test]
fn both_directions_have_their_events() {
    let (mut selector, _bell) = selector();
    let (a, mut b) = pair(760);
    selector.add(a.as_raw_fd(), 5, BOTH).unwrap();
    let first = wait(&mut selector, LATER);
    assert!(first.iter().all(|event| event.token == 5 && event.write && !event.read), "{first:?}");
    b.write_all(b"x").unwrap();
    assert_eq!(readable(&mut selector, LATER), [5]);
}

#[test]
fn a_number_that_was_closed_or_changed_hands_is_noticed() {
    let (mut selector, _bell) = selector();
    let (a, b) = pair(780);
    let number = a.as_raw_fd();
    for watch in [READ, BOTH] {
        selector.change(number, 1, watch).unwrap();
        selector.check(number, 1, watch).unwrap();
    }
    drop(a);
    assert_eq!(selector.check(number, 1, READ).unwrap_err().raw_os_error(), Some(libc::EBADF));
    // SAFETY: Plain call: two numbers, of which the second is free.
    assert_eq!(unsafe { libc::dup2(b.as_raw_fd(), number) }, number);
    // SAFETY: Fresh descriptor: `dup2` has just made it.
    let other = unsafe { OwnedFd::from_raw_fd(number) };
    assert_eq!(selector.check(number, 1, READ).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    selector.change(number, 2, READ).unwrap();
    selector.check(number, 2, READ).unwrap();
    drop(other);
}

#[test]
fn errors_are_those_that_the_driver_knows() {
    let (mut selector, _bell) = selector();
    let closed = selector.add(1 << 20, 1, READ).unwrap_err();
    assert_eq!(closed.raw_os_error(), Some(libc::EBADF), "{closed}");
}

/// Red when a limit is rounded to milliseconds, either way.
#[test]
fn a_short_wait_is_short_and_not_too_short() {
    let (mut selector, _bell) = selector();
    let shortest = (0..20).map(|_| {
        let start = Instant::now();
        assert_eq!(wait(&mut selector, Wait::For(Duration::from_micros(200))), []);
        start.elapsed()
    });
    let shortest = shortest.min().unwrap();
    if !selector.is_precise() {
        let _ = writeln!(std::io::stderr(), "SKIP a_short_wait_is_short_and_not_too_short: no epoll_pwait2 here");
        return;
    }
    assert!((Duration::from_micros(200)..Duration::from_micros(950)).contains(&shortest), "{shortest:?}");
}

/// The writer of a pipe whose reader has gone is told at once, and not left to wait.
#[test]
fn a_pipe_without_a_reader_is_ready_to_say_so() {
    let (mut selector, _bell) = selector();
    let (reader, writer) = pipe();
    drop(reader);
    selector.add(writer.as_raw_fd(), 9, BOTH).unwrap();
    assert!(wait(&mut selector, LATER).iter().any(|event| event.token == 9 && event.write));
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: Kernel's word: there is room for two numbers.
    unix::check(unsafe { libc::pipe(ends.as_mut_ptr()) }).unwrap();
    // SAFETY: Fresh descriptor: the kernel just made both ends, and nobody else has them.
    let own = |fd| unsafe { OwnedFd::from_raw_fd(fd) };
    (own(ends[0]), own(ends[1]))
}

/// epoll refuses files, kqueue reports them ready; nobody is left to wait.
#[test]
fn a_file_is_refused_or_always_ready() {
    let (mut selector, _bell) = selector();
    let file = File::open("Cargo.toml").unwrap();
    match selector.add(file.as_raw_fd(), 1, BOTH) {
        Ok(()) => assert_eq!(readable(&mut selector, LATER), [1]),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}"),
    }
}
