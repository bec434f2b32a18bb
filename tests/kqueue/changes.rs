//! What EV_ADD and its like do to a knote, and what becomes of changes that fail.

use crate::{forgiving, system::*, things::*};
use std::{io::Write, os::fd::AsRawFd, time::Duration};

#[test]
fn a_state_is_told_until_it_ends() {
    let kq = Kqueue::new();
    let (a, mut b) = pair();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD).udata(0x5a)]);
    kq.quiet();
    b.write_all(b"hello").unwrap();
    let event = kq.event();
    assert_eq!((event.ident, event.filter, event.data, event.udata), (a.as_raw_fd() as usize, READ, 5, 0x5a));
    assert_eq!(kq.event(), event);
    drain(&a);
    kq.quiet();
}

#[test]
fn a_change_of_state_is_told_once() {
    let kq = Kqueue::new();
    let (a, mut b) = pair();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | CLEAR)]);
    b.write_all(b"abc").unwrap();
    assert_eq!(kq.event().data, 3);
    kq.quiet();
    b.write_all(b"d").unwrap();
    assert_eq!(kq.event().data, 4);
    kq.quiet();
}

#[test]
fn what_ended_before_it_was_fetched_is_not_told() {
    let kq = Kqueue::new();
    let (a, mut b) = pair();
    for flags in [0, CLEAR] {
        kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | flags)]);
        b.write_all(b"abc").unwrap();
        settle();
        assert_eq!(drain(&a), 3);
        kq.quiet();
        kq.change(&[Event::on(a.as_raw_fd(), READ, DELETE)]);
    }
}

#[test]
fn a_oneshot_is_gone_when_told() {
    let kq = Kqueue::new();
    let (a, mut b) = ready_pair();
    let change = Event::on(a.as_raw_fd(), READ, ADD | ONESHOT);
    kq.change(&[change]);
    assert_eq!(kq.event().data, 5);
    b.write_all(b"x").unwrap();
    kq.quiet();
    assert_eq!(kq.error(Event::on(a.as_raw_fd(), READ, DELETE)), libc::ENOENT);
    kq.change(&[change]);
    assert_eq!(kq.event().data, 6);
}

#[test]
fn a_dispatch_is_disabled_when_told() {
    let kq = Kqueue::new();
    let (a, mut b) = ready_pair();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | DISPATCH)]);
    for data in [5, 6] {
        assert_eq!(kq.event().data, data);
        b.write_all(b"x").unwrap();
        kq.quiet();
        kq.change(&[Event::on(a.as_raw_fd(), READ, ENABLE)]);
    }
    assert_eq!(kq.event().data, 7);
}

#[test]
fn a_disabled_knote_keeps_quiet_until_enabled() {
    forgiving("a_disabled_knote_keeps_quiet_until_enabled", || {
        for flags in [0, CLEAR] {
            let kq = Kqueue::new();
            let (a, mut b) = pair();
            kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | DISABLE | flags)]);
            b.write_all(b"abc").unwrap();
            kq.quiet();
            kq.change(&[Event::on(a.as_raw_fd(), READ, ENABLE)]);
            assert_eq!(kq.event().data, 3);
            kq.change(&[Event::on(a.as_raw_fd(), READ, DISABLE)]);
            b.write_all(b"d").unwrap();
            kq.quiet();
            kq.change(&[Event::on(a.as_raw_fd(), READ, ENABLE)]);
            assert_eq!(kq.event().data, 4);
        }
    });
}

/// Both kernels act on EV_ENABLE only, although the manual lets EV_ADD enable.
#[test]
fn adding_again_does_not_enable() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD)]);
    kq.change(&[Event::on(a.as_raw_fd(), READ, DISABLE)]);
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD)]);
    kq.quiet();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | ENABLE)]);
    assert_eq!(kq.event().data, 5);
}

#[test]
fn adding_again_keeps_the_kind_and_takes_the_udata() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD).udata(1)]);
    kq.change(&[Event::on(a.as_raw_fd(), READ, ADD | CLEAR | ONESHOT).udata(2)]);
    assert_eq!(kq.event().udata, 2);
    assert_eq!(kq.event().udata, 2);
}

#[test]
fn adding_again_asks_again() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    let change = Event::on(a.as_raw_fd(), READ, ADD | CLEAR);
    kq.change(&[change]);
    kq.event();
    kq.quiet();
    kq.change(&[change]);
    assert_eq!(kq.event().data, 5);
    kq.quiet();
}

#[test]
fn a_deleted_knote_is_gone() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    let fd = a.as_raw_fd();
    for flags in [0, CLEAR, DISABLE] {
        kq.change(&[Event::on(fd, READ, ADD | flags)]);
        kq.change(&[Event::on(fd, READ, DELETE)]);
        kq.quiet();
        for flags in [DELETE, ENABLE, DISABLE, 0] {
            assert_eq!(kq.error(Event::on(fd, READ, flags)), libc::ENOENT);
        }
    }
}

#[test]
fn changes_are_made_before_the_wait() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    let events = kq.call(&[Event::on(a.as_raw_fd(), READ, ADD | ONESHOT)], 4, None).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data, 5);
}

#[test]
fn a_change_that_fails_is_told_in_the_list() {
    forgiving("a_change_that_fails_is_told_in_the_list", || {
        let kq = Kqueue::new();
        let (a, _b) = ready_pair();
        let fd = a.as_raw_fd();
        // Something is ready; it is not told beside errors.
        kq.change(&[Event::on(fd, READ, ADD)]);
        let changes = [Event::on(fd, WRITE, DELETE), Event::on(9999, READ, ADD), Event::on(fd, -100, ADD)];
        let told = kq.call(&changes, 8, Some(Duration::from_secs(100))).unwrap();
        let told: Vec<_> = told.iter().map(|e| (e.ident, e.filter, e.is(ERROR), e.data as i32)).collect();
        let expected = [
            (fd as usize, WRITE, true, libc::ENOENT),
            (9999, READ, true, libc::EBADF),
            (fd as usize, -100, true, libc::EINVAL),
        ];
        assert_eq!(told, expected);
        assert_eq!(kq.event().data, 5);
    });
}

#[test]
fn a_change_that_fails_without_room_is_errno() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    let (add, fails) = (Event::on(a.as_raw_fd(), READ, ADD), Event::on(a.as_raw_fd(), WRITE, DELETE));
    assert_eq!(kq.error(Event::on(9999, READ, ADD)), libc::EBADF);
    assert_eq!(kq.call(&[add, fails], 0, None), Err(libc::ENOENT));
    // What came before it, was done.
    assert_eq!(kq.event().data, 5);
    assert_eq!(kq.call(&[fails, fails], 1, None), Err(libc::ENOENT));
}

#[test]
fn receipts_come_at_once_and_alone() {
    forgiving("receipts_come_at_once_and_alone", || {
        let kq = Kqueue::new();
        let (a, _b) = ready_pair();
        let fd = a.as_raw_fd();
        let changes = [
            Event::on(fd, READ, ADD | RECEIPT).udata(1),
            Event::on(fd, WRITE, ADD | RECEIPT | CLEAR).udata(2),
            Event::on(fd, TIMER, DELETE | RECEIPT).udata(3),
        ];
        for room in [3, 8] {
            let receipts = kq.call(&changes, room, None).unwrap();
            let told: Vec<_> = receipts.iter().map(|e| (e.filter, e.is(ERROR), e.data as i32, e.udata)).collect();
            assert_eq!(told, [(READ, true, 0, 1), (WRITE, true, 0, 2), (TIMER, true, libc::ENOENT, 3)]);
        }
        let mut filters: Vec<_> = kq.events().iter().map(|e| (e.filter, e.is(ERROR))).collect();
        filters.sort_unstable();
        assert_eq!(filters, [(WRITE, false), (READ, false)]);
    });
}

#[test]
fn more_than_has_room_is_told_in_turns() {
    let kq = Kqueue::new();
    let pairs: Vec<_> = (0..3).map(|_| ready_pair()).collect();
    for (a, _) in &pairs {
        kq.change(&[Event::on(a.as_raw_fd(), READ, ADD), Event::on(a.as_raw_fd(), WRITE, ADD)]);
    }
    kq.change(&[Event::new(7, USER, ADD).fflags(TRIGGER)]);
    for room in [1, 2, 5] {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 * 7 {
            let events = kq.call(&[], room, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.len(), room);
            seen.extend(events.iter().map(|event| (event.ident, event.filter)));
        }
        assert_eq!(seen.len(), 7, "room {room}: {seen:?}");
    }
}

/// Where the BSDs differ, the emulation takes the answer that forgives less.
#[test]
fn enabling_and_disabling_at_once_is_refused() {
    if !EMULATED {
        return;
    }
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    assert_eq!(kq.error(Event::on(a.as_raw_fd(), READ, ADD | ENABLE | DISABLE)), libc::EINVAL);
}
