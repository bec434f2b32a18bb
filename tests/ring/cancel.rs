//! Cancelling: by what, how many, and what both sides say of it.

use crate::common::{LONG, answers, pending_read, push, results, ring};
use annulus::{
    entry::Interest,
    ring::{Ring, SetupFlags, Sqe, SqeFlags},
    sys,
};
use std::{
    collections::BTreeMap,
    io::{Read, Write, pipe},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    thread,
    time::Instant,
};

const CANCELED: i32 = -libc::ECANCELED;
const EALREADY: i32 = -libc::EALREADY;
const EINTR: i32 = -libc::EINTR;
/// The number of every cancel.
const CANCEL: u64 = 1 << 32;

fn cancel(whom: u64, flags: u32) -> Sqe {
    let opcode = sys::IORING_OP_ASYNC_CANCEL as u8;
    Sqe { opcode, addr: whom, op_flags: flags, ..Sqe::nop() }.user_data(CANCEL)
}

fn cancel_of(fd: RawFd, flags: u32) -> Sqe {
    Sqe { fd, ..cancel(0, sys::IORING_ASYNC_CANCEL_FD | flags) }
}

fn poll(fd: &impl AsRawFd, number: u64) -> Sqe {
    Sqe::poll_add(fd.as_raw_fd(), Interest::Read).user_data(number)
}

/// What a cancel with `sqe` gives, and whom it met; nothing where the kernel does not know the flags.
fn met(ring: &mut Ring, sqe: Sqe) -> Option<(i32, Vec<u64>)> {
    push(ring, sqe).unwrap();
    let mut all = answers(ring, 1);
    let begun = Instant::now();
    let n = loop {
        if let Some(answer) = all.iter().find(|cqe| cqe.user_data == CANCEL) {
            break answer.res;
        }
        assert!(begun.elapsed() < LONG);
        all.extend(answers(ring, 1));
    };
    if n == -libc::EINVAL {
        return None;
    }
    let single = sqe.op_flags & (sys::IORING_ASYNC_CANCEL_ALL | sys::IORING_ASYNC_CANCEL_ANY) == 0;
    let due = if single { usize::from(n == 0) } else { usize::try_from(n).unwrap_or(0) };
    all.extend(answers(ring, due + 1 - all.len()));
    let mut whom = results(all);
    whom.remove(&CANCEL);
    assert!(whom.values().all(|&res| res == CANCELED), "{whom:?}");
    Some((n, whom.into_keys().collect()))
}

/// T8. Red when a request that is cancelled while it ends has no answer, or two, or loses a byte.
#[test]
fn a_race_with_the_end_has_one_answer() {
    const ROUNDS: u64 = 300;
    let mut ring = ring!("a_race_with_the_end_has_one_answer", 8);
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let mut said = BTreeMap::new();
    let mut byte = Box::new(0_u8);
    for round in 0..ROUNDS {
        push(&mut ring, Sqe::read(reader.as_raw_fd(), &raw mut *byte, 1, u64::MAX).user_data(round)).unwrap();
        ring.submit().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&[round as u8]).unwrap());
            if round % 2 == 0 {
                thread::yield_now();
            }
            push(&mut ring, cancel(round, 0)).unwrap();
            ring.submit().unwrap();
        });
        let all = results(answers(&mut ring, 2));
        let outcome = (all[&CANCEL], all[&round]);
        *said.entry(outcome).or_insert(0) += 1;
        match outcome {
            (0, CANCELED) => (&reader).read_exact(std::slice::from_mut(&mut *byte)).unwrap(),
            // It was found, and was done all the same.
            (0, 1) => {}
            (cancel, 1) => assert!([-libc::ENOENT, -libc::EALREADY].contains(&cancel), "{cancel}"),
            (EALREADY, CANCELED | EINTR) => (&reader).read_exact(std::slice::from_mut(&mut *byte)).unwrap(),
            other => panic!("{other:?}"),
        }
        assert_eq!(*byte, round as u8, "a byte was lost: {outcome:?}");
        assert_eq!(ring.ready(), 0);
    }
    println!("{said:?}");
}

/// Red when a cancel counts wrong, or meets whom it should not. Before Linux 5.19 there is but one key.
#[test]
fn a_cancel_meets_those_with_its_key() {
    use sys::{IORING_ASYNC_CANCEL_ALL as ALL, IORING_ASYNC_CANCEL_ANY as ANY};
    let mut ring = ring!("a_cancel_meets_those_with_its_key", 16);
    let ((a, _a), (b, _b)) = (pipe().unwrap(), pipe().unwrap());
    for (fd, number) in [(&a, 1), (&a, 2), (&b, 3), (&b, 4), (&b, 5), (&a, 6)] {
        push(&mut ring, poll(fd, number)).unwrap();
    }
    ring.submit().unwrap();
    let one = met(&mut ring, cancel_of(a.as_raw_fd(), 0));
    let Some((0, one)) = one else { return assert_eq!(met(&mut ring, cancel(3, 0)), Some((0, vec![3]))) };
    assert!(one.len() == 1 && [1, 2, 6].contains(&one[0]), "{one:?}");
    let rest: Vec<u64> = [1, 2, 6].into_iter().filter(|n| *n != one[0]).collect();
    assert_eq!(met(&mut ring, cancel_of(a.as_raw_fd(), ALL)), Some((2, rest)));
    assert_eq!(met(&mut ring, cancel_of(a.as_raw_fd(), ALL)), Some((0, vec![])));
    assert_eq!(met(&mut ring, cancel_of(a.as_raw_fd(), 0)), Some((-libc::ENOENT, vec![])));
    assert_eq!(met(&mut ring, cancel(4, ALL)), Some((1, vec![4])));
    assert_eq!(met(&mut ring, cancel_of(-1, 0)).unwrap().0, -libc::EBADF);
    assert_eq!(met(&mut ring, cancel_of(b.as_raw_fd(), ANY)), None, "any, and by descriptor");
    assert_eq!(met(&mut ring, cancel(0, 1 << 30)), None);
    assert_eq!(met(&mut ring, cancel(0, ANY)), Some((2, vec![3, 5])));
    assert_eq!(met(&mut ring, cancel(0, ANY)).unwrap().0, 0, "nobody is left");
}

/// Red when a direct descriptor is taken for another with its number. Since Linux 6.0.
#[test]
fn a_cancel_knows_direct_descriptors() {
    use sys::{IORING_ASYNC_CANCEL_ALL as ALL, IORING_ASYNC_CANCEL_FD_FIXED as FIXED};
    let mut ring = ring!("a_cancel_knows_direct_descriptors", 8);
    let (rx, _tx) = pipe().unwrap();
    let mut table = [-1, rx.as_raw_fd()];
    // SAFETY: Kernel's word: two numbers, which are read.
    unsafe { ring.register(sys::IORING_REGISTER_FILES, table.as_mut_ptr().cast(), 2) }.unwrap();
    let direct = |number| Sqe { fd: 1, flags: SqeFlags::FIXED_FILE, ..poll(&rx, number) };
    for sqe in [direct(1), direct(2)] {
        push(&mut ring, sqe).unwrap();
    }
    ring.submit().unwrap();
    match met(&mut ring, cancel_of(1, ALL | FIXED)) {
        Some(met) => assert_eq!(met, (2, vec![1, 2])),
        None => assert_eq!(met(&mut ring, cancel(2, 0)), Some((0, vec![2]))),
    }
}

/// Red when one of two keys is enough. Since Linux 6.6; before, and on some kernels until 6.19, it met others.
#[test]
fn two_keys_have_to_fit_both() {
    use sys::{IORING_ASYNC_CANCEL_ALL as ALL, IORING_ASYNC_CANCEL_USERDATA as USERDATA};
    let mut ring = ring!("two_keys_have_to_fit_both", 8);
    let ((a, _a), (b, _b)) = (pipe().unwrap(), pipe().unwrap());
    for sqe in [poll(&a, 1), poll(&a, 2), poll(&b, 1)] {
        push(&mut ring, sqe).unwrap();
    }
    ring.submit().unwrap();
    let both = Sqe { addr: 1, ..cancel_of(a.as_raw_fd(), ALL | USERDATA) };
    match met(&mut ring, both) {
        Some((1, whom)) => assert_eq!(whom, [1]),
        // As if there were the first key alone, or the second.
        Some((n, whom)) => assert!(n == 2 && [[1, 2], [1, 1]].iter().any(|wrong| whom == wrong), "{n}, {whom:?}"),
        None => assert_eq!(met(&mut ring, cancel(2, 0)), Some((0, vec![2]))),
    }
}

/// T7. Red when one of many requests is not found, or its cancel is lost because a queue is full.
#[test]
fn thirty_thousand_polls_are_cancelled() {
    const MANY: u64 = 30_000;
    let mut ring = ring!("thirty_thousand_polls_are_cancelled", 4096);
    let (rx, _tx) = pipe().unwrap();
    let mut push_all = |entry: &dyn Fn(u64) -> Sqe| {
        for sqe in (0..MANY).map(entry) {
            if push(&mut ring, sqe).is_err() {
                ring.submit().unwrap();
                push(&mut ring, sqe).unwrap();
            }
        }
    };
    push_all(&|number| poll(&rx, number));
    // Far more answers than there is room for: none is read until all are cancelled.
    push_all(&|number| cancel(number, 0).user_data(CANCEL + number));
    let all = results(answers(&mut ring, 2 * MANY as usize));
    assert!(all.into_iter().all(|(number, res)| res == if number < CANCEL { CANCELED } else { 0 }));
    assert_eq!((ring.lost(), ring.ready(), ring.cq_overflow()), (0, 0, false));
}

/// Red when not all are met at once, or more are counted. Since Linux 5.19.
#[test]
fn a_thousand_polls_are_cancelled_at_once() {
    const MANY: u64 = 1000;
    let mut ring = ring!("a_thousand_polls_are_cancelled_at_once", 256);
    let (rx, _tx) = pipe().unwrap();
    for number in 0..MANY {
        if number % 256 == 0 {
            ring.submit().unwrap();
        }
        push(&mut ring, poll(&rx, number)).unwrap();
    }
    ring.submit().unwrap();
    match met(&mut ring, cancel(0, sys::IORING_ASYNC_CANCEL_ANY)) {
        Some((n, whom)) => assert!(n == MANY as i32 && whom.into_iter().eq(0..MANY)),
        None => assert_eq!(met(&mut ring, cancel(7, 0)), Some((0, vec![7]))),
    }
}

/// T7. A full queue has no room for a cancel, and says so; what it is for is found after the next submit. Red when
/// either is lost.
#[test]
fn t07_a_cancel_that_finds_no_room_is_told() {
    let mut ring = ring!("t07_a_cancel_that_finds_no_room_is_told", 2);
    let _pairs = [pending_read(&mut ring, 1), pending_read(&mut ring, 2)];
    assert!(push(&mut ring, cancel(1, 0)).is_err(), "there is no room");
    ring.submit().unwrap();
    assert_eq!(met(&mut ring, cancel(1, 0)), Some((0, vec![1])));
    assert_eq!(met(&mut ring, cancel(1, 0)), Some((-libc::ENOENT, vec![])), "once");
    assert_eq!(met(&mut ring, cancel(2, 0)), Some((0, vec![2])));
}

/// T8, T29. What waits in a chain is not found; the one before it is. Red when what was cancelled says anything else.
#[test]
fn t08_of_a_chain_only_the_first_is_found() {
    for flags in [SetupFlags::empty(), SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN] {
        let mut ring = ring!("t08_of_a_chain_only_the_first_is_found", 8, flags);
        let (reader, _writer) = UnixStream::pair().unwrap();
        let mut byte = 0;
        let read = Sqe::read(reader.as_raw_fd(), &raw mut byte, 1, u64::MAX);
        push(&mut ring, read.user_data(1).flags(SqeFlags::IO_LINK)).unwrap();
        push(&mut ring, Sqe::nop().user_data(2)).unwrap();
        assert_eq!(met(&mut ring, cancel(2, 0)), Some((-libc::ENOENT, vec![])));
        push(&mut ring, cancel(1, 0)).unwrap();
        assert_eq!(results(answers(&mut ring, 3)), [(CANCEL, 0), (1, CANCELED), (2, CANCELED)].into());
    }
}

/// T8. Red when what a worker does is taken for cancelled because it was asked to.
#[test]
fn t08_what_a_worker_does_ends_later() {
    let mut ring = ring!("t08_what_a_worker_does_ends_later", 8);
    let ((from, mut tx), (_rx, to)) = (pipe().unwrap(), pipe().unwrap());
    let splice = Sqe::splice((from.as_raw_fd(), u64::MAX), (to.as_raw_fd(), u64::MAX), 1, 0);
    push(&mut ring, splice.user_data(1)).unwrap();
    ring.submit().unwrap();
    thread::sleep(crate::common::NOBODY); // until the worker has it
    push(&mut ring, cancel(1, 0)).unwrap();
    let mut all = answers(&mut ring, 1);
    if all[0].user_data == CANCEL && all[0].res == EALREADY {
        // On some kernels it is not interrupted.
        tx.write_all(b"x").unwrap();
    }
    all.extend(answers(&mut ring, 1));
    let ended = *all.iter().find(|cqe| cqe.user_data == 1).unwrap();
    // An interruption has an inner number of the kernel's on some.
    let res = ended.result().map_err(|e| e.raw_os_error().unwrap());
    match results(all)[&CANCEL] {
        0 => assert_eq!(res, Err(libc::ECANCELED), "it had not begun"),
        EALREADY => assert!([Ok(1), Err(libc::EINTR), Err(libc::ECANCELED)].contains(&res), "{res:?}"),
        other => panic!("{other}, and {res:?}"),
    }
}
