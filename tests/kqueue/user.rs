//! Events of the user's own.

use crate::system::*;
use std::time::{Duration, Instant};

fn trigger(ident: usize) -> Event {
    Event::new(ident, USER, 0).fflags(TRIGGER)
}

#[test]
fn a_trigger_wakes_another_thread() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD | CLEAR)]);
    let event = std::thread::scope(|scope| {
        let waits = scope.spawn(|| kq.call(&[], 4, Some(Duration::from_secs(10))));
        std::thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        kq.change(&[trigger(7)]);
        let events = waits.join().unwrap().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    });
    assert_eq!((event.ident, event.filter), (7, USER));
    kq.quiet();
}

#[test]
fn triggers_add_up_to_one_event() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD | CLEAR), Event::new(8, USER, ADD | CLEAR)]);
    for _ in 0..2 {
        kq.change(&[trigger(7); 3]);
        assert_eq!(kq.event().ident, 7);
        // It is not triggered any more, whatever else changes.
        kq.change(&[Event::new(7, USER, ENABLE).fflags(FFOR | 1)]);
        kq.quiet();
    }
}

#[test]
fn without_clear_a_trigger_stays() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD), trigger(7)]);
    for _ in 0..3 {
        assert_eq!(kq.event().ident, 7);
    }
    kq.change(&[Event::new(7, USER, DELETE)]);
    kq.quiet();
}

#[test]
fn flags_of_the_user_are_kept_and_combined() {
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD | CLEAR)]);
    for (control, before, after) in [(FFCOPY, 0x123, 0x123), (FFOR, 0x44, 0x167), (FFAND, 0x66, 0x66), (0, 0x1, 0x66)] {
        kq.change(&[trigger(7).fflags(TRIGGER | control | before).data(42).udata(3)]);
        let event = kq.event();
        assert_eq!((event.fflags, event.data, event.udata), (after, 42, 3));
    }
}

#[test]
fn nobody_can_trigger_what_is_not_there() {
    let kq = Kqueue::new();
    assert_eq!(kq.error(trigger(7)), libc::ENOENT);
    kq.change(&[Event::new(7, USER, ADD | ONESHOT)]);
    assert_eq!(kq.error(trigger(8)), libc::ENOENT);
    kq.change(&[trigger(7)]);
    assert_eq!(kq.event().ident, 7);
    assert_eq!(kq.error(trigger(7)), libc::ENOENT);
}

/// FreeBSD's answer, which forgives less.
#[test]
fn a_trigger_that_clears_is_none() {
    if !EMULATED {
        return;
    }
    let kq = Kqueue::new();
    kq.change(&[Event::new(7, USER, ADD | CLEAR)]);
    kq.change(&[Event::new(7, USER, CLEAR).fflags(TRIGGER)]);
    kq.quiet();
}
