//! Timers.

use crate::{forgiving, system::*};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn timers_know_their_units() {
    let kq = Kqueue::new();
    for (unit, data) in [(0, 30), (USECONDS, 30_000), (NSECONDS, 30_000_000)] {
        let start = Instant::now();
        kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).fflags(unit).data(data).udata(9)]);
        let event = kq.event();
        assert_eq!((event.ident, event.filter, event.data, event.udata), (1, TIMER, 1, 9));
        let took = start.elapsed();
        assert!((Duration::from_millis(29)..Duration::from_millis(500)).contains(&took), "{unit:#x}: {took:?}");
        assert_eq!(kq.error(Event::new(1, TIMER, DELETE)), libc::ENOENT);
    }
}

#[test]
fn a_timer_goes_on_and_counts_until_deleted() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(1, TIMER, ADD).data(10)]);
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(55));
    let times = kq.event().data;
    let most = start.elapsed().as_millis() as i64 / 10 + 1;
    assert!((4..=most).contains(&times), "{times} times of {most}");
    assert!(kq.event().data >= 1);
    kq.change(&[Event::new(1, TIMER, DELETE)]);
    kq.quiet();
}

#[test]
fn a_timer_can_have_a_date() {
    let kq = Kqueue::new();
    let start = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let date = (now + Duration::from_millis(30)).as_nanos() as i64;
    if isize::try_from(date).is_err() {
        return; // 32 bits have no room for it.
    }
    kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).fflags(ABSOLUTE | NSECONDS).data(date)]);
    assert_eq!(kq.event().filter, TIMER);
    let took = start.elapsed();
    assert!((Duration::from_millis(29)..Duration::from_millis(500)).contains(&took), "{took:?}");
    // One that has passed.
    kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).fflags(ABSOLUTE | NSECONDS).data(1)]);
    assert_eq!(kq.event().filter, TIMER);
}

#[test]
fn a_timer_of_zero_fires_at_once() {
    forgiving("a_timer_of_zero_fires_at_once", || {
        let kq = Kqueue::new();
        kq.change(&[Event::new(1, TIMER, ADD | ONESHOT)]);
        assert_eq!(kq.event().filter, TIMER);
        kq.quiet();
    });
}

#[test]
fn adding_a_timer_again_starts_it_again() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).data(1)]);
    std::thread::sleep(Duration::from_millis(10));
    kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).data(60_000)]);
    kq.quiet();
    kq.change(&[Event::new(1, TIMER, ADD | ONESHOT).data(10)]);
    assert_eq!(kq.event().data, 1);
}

/// Where the BSDs differ, the emulation takes the answer that forgives less.
#[test]
fn what_is_no_time_is_refused() {
    if !EMULATED {
        return;
    }
    let kq = Kqueue::new();
    assert_eq!(kq.error(Event::new(1, TIMER, ADD).data(-1)), libc::EINVAL);
    assert_eq!(kq.error(Event::new(1, TIMER, ADD).fflags(ABSOLUTE).data(-1)), libc::EINVAL);
    assert_eq!(kq.error(Event::new(1, TIMER, ADD).fflags(USECONDS | NSECONDS).data(1)), libc::EINVAL);
    if cfg!(target_pointer_width = "64") {
        assert_eq!(kq.error(Event::new(1, TIMER, ADD).data(i64::MAX)), libc::ERANGE);
    }
    assert_eq!(kq.error(Event::new(1, TIMER, DELETE)), libc::ENOENT);
}
