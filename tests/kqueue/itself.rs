//! The wait, and the kqueue as a descriptor.

use crate::{forgiving, system::*, things::*};
use std::{
    fs::File,
    io::Read,
    os::fd::{AsRawFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

#[test]
fn a_wait_lasts_as_long_as_it_may() {
    let kq = Kqueue::new();
    let start = Instant::now();
    assert_eq!(kq.call(&[], 4, Some(Duration::from_millis(30))), Ok(Vec::new()));
    assert!(start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
    // Not rounded up to a millisecond: of some tries, one is not disturbed.
    let quickest = (0..20).map(|_| {
        let start = Instant::now();
        assert_eq!(kq.call(&[], 4, Some(Duration::from_micros(200))), Ok(Vec::new()));
        start.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!((Duration::from_micros(200)..Duration::from_millis(1)).contains(&quickest), "{quickest:?}");
}

#[test]
fn without_room_there_is_no_wait() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD).fflags(TRIGGER)]);
    assert_eq!(kq.call(&[], 0, None), Ok(Vec::new()));
}

#[test]
fn a_change_by_another_thread_ends_the_wait() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| kq.call(&[], 4, Some(Duration::from_secs(10))));
        std::thread::sleep(Duration::from_millis(50));
        kq.change(&[Event::on(a.as_raw_fd(), WRITE, ADD | ONESHOT)]);
        let events = waits.join().unwrap().unwrap();
        assert_eq!(events.iter().map(|event| event.filter).collect::<Vec<_>>(), [WRITE]);
    });
}

#[test]
fn a_signal_ends_the_wait() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: Numbers, which zero is a value of: no flags, so that nothing is restarted, and no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: The handler does nothing, which is safe at any time.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()) }, 0);
    let kq = Kqueue::new();
    // SAFETY: No memory is named.
    let waiting = unsafe { libc::pthread_self() } as usize; // A pointer on some systems.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Again and again, as the first may come before the wait begins.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                // SAFETY: The thread waits for this one to end.
                unsafe { libc::pthread_kill(waiting as libc::pthread_t, libc::SIGUSR2) };
            }
        });
        let outcome = kq.call(&[], 4, Some(Duration::from_secs(10)));
        done.store(true, Ordering::Relaxed);
        assert_eq!(outcome, Err(libc::EINTR));
    });
}

#[test]
fn a_kqueue_can_be_polled_and_nested() {
    forgiving("a_kqueue_can_be_polled_and_nested", || {
        let (kq, outer) = (Kqueue::new(), Kqueue::new());
        let (a, _b) = ready_pair();
        outer.change(&[Event::on(kq.fd(), READ, ADD)]);
        outer.quiet();
        let (user, read) = (Event::new(7, USER, ADD | CLEAR), Event::on(a.as_raw_fd(), READ, ADD));
        let write = Event::on(a.as_raw_fd(), WRITE, ADD | CLEAR);
        for change in [user.fflags(TRIGGER), read, write] {
            assert!(!is_readable(kq.fd()), "{change:?}");
            kq.change(&[change]);
            assert!(is_readable(kq.fd()), "{change:?}");
            assert_eq!(outer.event().ident, kq.fd() as usize);
            kq.event();
            kq.change(&[Event { flags: DELETE, ..change }]);
            outer.quiet();
        }
    });
}

#[test]
fn a_closed_kqueue_is_no_kqueue() {
    forgiving("a_closed_kqueue_is_no_kqueue", || {
        let wait = |fd: RawFd| call(fd, &[], 4, Some(Duration::ZERO));
        assert_eq!(wait(-1), Err(libc::EBADF));
        assert_eq!(wait(File::open("/dev/null").unwrap().as_raw_fd()), Err(libc::EBADF));
        let closed = || {
            let kq = Kqueue::new();
            kq.change(&[Event::new(7, USER, ADD).fflags(TRIGGER)]);
            kq.fd()
        };
        // Another test may have got the number for a kqueue of its own, but not each time.
        assert!((0..20).any(|_| wait(closed()) == Err(libc::EBADF)));
    });
}

#[test]
fn a_kqueue_in_the_place_of_another_starts_empty() {
    for _ in 0..100 {
        let kq = Kqueue::new();
        kq.quiet_now();
        kq.change(&[Event::new(7, USER, ADD).fflags(TRIGGER), Event::new(1, TIMER, ADD)]);
        assert!(!kq.events().is_empty());
    }
}

/// Descriptors that the emulation has of its own are closed when their kqueue is found to be.
#[test]
fn a_closed_kqueue_leaves_nothing_open() {
    if !EMULATED {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for _ in 0..200 {
        let kq = Kqueue::new();
        kq.change(&[Event::new(7, USER, ADD), Event::new(1, TIMER, ADD).data(1000)]);
    }
    // The other tests open some, too, but none as many.
    assert!(open() < before + 100, "{} and then {}", before, open());
}

#[test]
fn threads_have_their_own() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for i in 0..50 {
                    let kq = Kqueue::new();
                    kq.change(&[Event::new(i, USER, ADD), Event::new(i, USER, 0).fflags(TRIGGER)]);
                    assert_eq!(kq.event().ident, i);
                    let (reader, writer) = std::io::pipe().unwrap();
                    kq.change(&[Event::new(i, USER, DELETE), Event::on(reader.as_raw_fd(), READ, ADD)]);
                    drop(writer);
                    assert!(kq.event().is(EOF));
                    assert_eq!((&reader).read(&mut [0; 4]).unwrap(), 0);
                }
            });
        }
    });
}
