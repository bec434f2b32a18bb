//! The pool, by itself.

use super::*;
use crate::{
    entry::{Cqe, Sqe, Twin},
    testing::in_child,
};
use std::{
    io::{PipeReader, PipeWriter, Write, pipe},
    os::fd::AsRawFd,
    sync::mpsc,
};

const LONG: Duration = Duration::from_secs(20);

/// Waits until `what` holds, and fails when it takes too long.
fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LONG, "waited too long");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until everything is done and every thread waits, too.
fn rest(pool: &Threads) {
    until(|| {
        let counts = pool.counts();
        counts.queued == 0 && counts.idle == counts.threads
    });
}

/// Threads, idle ones, jobs that wait, twins and closures begun.
fn numbers(pool: &Threads) -> (usize, usize, usize, u64, u64) {
    let PoolCounts { threads, idle, queued, twins_run, closures_run, .. } = pool.counts();
    (threads, idle, queued, twins_run, closures_run)
}

fn closure(code: impl FnOnce() + Send + 'static) -> Job {
    Job::Closure(Box::new(code))
}

/// A closure that is stuck until somebody hangs up.
fn stuck_closure() -> (mpsc::Sender<()>, Job) {
    let (go, gate) = mpsc::channel();
    (go, closure(move || assert!(gate.recv().is_err(), "nobody sends")))
}

fn silent() -> Arc<Replies> {
    Replies::new(|| ())
}

fn drained(replies: &Replies) -> Vec<Cqe> {
    let mut out = Vec::new();
    replies.drain(&mut out);
    out
}

/// `read(fd, addr, len)`.
static READ: Twin = Twin::pool(read);

unsafe fn read(sqe: &Sqe, _: u32) -> i32 {
    // SAFETY: Lent, in these tests by leaking the buffer.
    crate::sys::unix::ret(unsafe { libc::read(sqe.fd, sqe.addr as *mut libc::c_void, sqe.len as usize) })
}

/// Answers with `len`.
static ECHO: Twin = Twin::pool(echo);

unsafe fn echo(sqe: &Sqe, _: u32) -> i32 {
    sqe.len as i32
}

/// Is interrupted three times; `addr` is where it counts.
static RESTLESS: Twin = Twin::pool(restless);

unsafe fn restless(sqe: &Sqe, attempt: u32) -> i32 {
    // SAFETY: Lent, in these tests by leaking the counter.
    let calls = unsafe { &mut *(sqe.addr as *mut i32) };
    *calls += 1;
    if *calls <= 3 { -libc::EINTR } else { attempt as i32 }
}

static BROKEN: Twin = Twin::pool(broken);

unsafe fn broken(_: &Sqe, _: u32) -> i32 {
    panic!("a broken twin, as the test wants it")
}

fn job(twin: &'static Twin, user_data: u64, sqe: Sqe, reply: &Arc<Replies>) -> Job {
    Job::Twin { sqe: sqe.user_data(user_data), twin, reply: reply.clone() }
}

fn echo_job(user_data: u64, reply: &Arc<Replies>) -> Job {
    job(&ECHO, user_data, Sqe { len: user_data as u32, ..Sqe::default() }, reply)
}

/// A job that is stuck until somebody writes into the pipe.
fn stuck(user_data: u64, pipe: &(PipeReader, PipeWriter), reply: &Arc<Replies>) -> Job {
    let buf: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    let sqe = Sqe { fd: pipe.0.as_raw_fd(), addr: buf.as_mut_ptr() as u64, len: 1, ..Sqe::default() };
    job(&READ, user_data, sqe, reply)
}

#[test]
fn the_pool_grows_while_all_are_stuck_and_stops_at_its_bound() {
    let (pool, replies, mut pipe) = (Threads::new(3), silent(), pipe().unwrap());
    assert_eq!(pool.counts().threads, 0, "threads are made when they are needed");
    for n in 0..10 {
        pool.push(stuck(n, &pipe, &replies)).unwrap();
        assert_eq!(pool.counts().threads, (n as usize + 1).min(3));
    }
    until(|| pool.counts().queued == 7);
    assert_eq!(numbers(&pool), (3, 0, 7, 3, 0));
    pipe.1.write_all(&[1; 10]).unwrap();
    rest(&pool);
    let out = drained(&replies);
    assert!(out.len() == 10 && out.iter().all(|cqe| cqe.res == 1), "{out:?}");
    let start = Instant::now();
    assert_eq!((pool.shutdown(LONG), pool.counts().threads), (0, 0));
    assert!(start.elapsed() < PACE.idle / 2, "idle threads are told to go");
}

#[test]
fn neither_kind_starves_behind_the_other() {
    let (pool, replies, mut pipe) = (Threads::new(2), silent(), pipe().unwrap());
    let (gates, closures): (Vec<_>, Vec<_>) = (0..5).map(|_| stuck_closure()).unzip();
    closures.into_iter().for_each(|closure| pool.push(closure).unwrap());
    until(|| numbers(&pool) == (2, 0, 3, 0, 2));
    pool.push(echo_job(1, &replies)).unwrap();
    until(|| drained(&replies).len() == 1);
    drop(gates);
    rest(&pool);
    (0..5).for_each(|n| pool.push(stuck(n, &pipe, &replies)).unwrap());
    until(|| pool.counts().twins_run == 3);
    let (tell, told) = mpsc::channel();
    pool.push(closure(move || tell.send(()).unwrap())).unwrap();
    told.recv_timeout(LONG).expect("the closure waits for twins");
    pipe.1.write_all(&[1; 5]).unwrap();
    rest(&pool);
    assert!(pool.counts().threads <= 4);
}

/// A pool that is quick to find a twin stuck.
fn impatient(share: usize) -> Threads {
    let (look, slow) = (Duration::from_millis(1), Duration::from_millis(20));
    Threads::with_pace(share, Pace { look, slow, ..PACE })
}

#[test]
fn stuck_twins_make_room_up_to_a_bound_and_stuck_closures_make_none() {
    let (pool, replies, mut pipe) = (impatient(2), silent(), pipe().unwrap());
    for round in 1..=2 {
        assert_eq!(pool.counts().slow, 0, "nobody is stuck any more");
        (0..10).for_each(|n| pool.push(stuck(n, &pipe, &replies)).unwrap());
        // The share is whole again.
        until(|| pool.counts().queued == 8);
        let (gates, closures): (Vec<_>, Vec<_>) = (0..3).map(|_| stuck_closure()).unzip();
        closures.into_iter().for_each(|closure| pool.push(closure).unwrap());
        until(|| pool.tend().is_some() && pool.counts().slow == 8);
        thread::sleep(Duration::from_millis(50));
        assert!(pool.tend().is_some());
        let counts = pool.counts();
        assert_eq!((counts.threads, counts.queued), (8, 5), "2 and 4 excused twins, 2 closures: {counts:?}");
        assert!(counts.oldest_wait >= Duration::from_millis(50), "{counts:?}");
        pipe.1.write_all(&[1; 10]).unwrap();
        drop(gates);
        rest(&pool);
        assert_eq!((drained(&replies).len(), pool.counts().closures_run), (10, 3 * round));
        until(|| pool.tend().is_none());
    }
}

/// Threads that wait for jobs are told of those that may begin because others are excused.
#[test]
fn room_that_was_made_is_used_at_once() {
    let (pool, replies, mut pipe) = (impatient(2), silent(), pipe().unwrap());
    (0..2).for_each(|n| pool.push(stuck(n, &pipe, &replies)).unwrap());
    let (gates, closures): (Vec<_>, Vec<_>) = (0..2).map(|_| stuck_closure()).unzip();
    closures.into_iter().for_each(|closure| pool.push(closure).unwrap());
    until(|| pool.counts().closures_run == 2);
    drop(gates);
    until(|| pool.counts().idle == 2);
    (2..4).for_each(|n| pool.push(stuck(n, &pipe, &replies)).unwrap());
    let start = Instant::now();
    until(|| {
        pool.tend();
        pool.counts().queued == 0
    });
    assert!(start.elapsed() < PACE.idle / 2, "they came when they were tired of waiting");
    assert_eq!(numbers(&pool), (4, 0, 0, 4, 2), "and no thread was made");
    pipe.1.write_all(&[1; 4]).unwrap();
    rest(&pool);
}

#[test]
fn nobody_looks_while_nobody_waits() {
    let (pool, replies, mut pipe) = (Threads::new(1), silent(), pipe().unwrap());
    assert_eq!(pool.tend(), None);
    pool.push(stuck(1, &pipe, &replies)).unwrap();
    assert_eq!(pool.tend(), None, "it has a thread of its own");
    until(|| pool.counts().twins_run == 1);
    pool.push(echo_job(2, &replies)).unwrap();
    let wait = pool.tend().expect("a job waits");
    assert!(wait <= PACE.look && wait > PACE.look / 2, "{wait:?}");
    pipe.1.write_all(&[1]).unwrap();
    rest(&pool);
    thread::sleep(wait);
    assert_eq!(pool.tend(), None);
}

/// The books by themselves, at times that are made up.
mod books {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn twin(replies: &Arc<Replies>) -> Job {
        echo_job(0, replies)
    }

    #[test]
    fn the_oldest_begins_whose_kind_has_room() {
        let (mut state, replies, start) = (State::new(1, STACK), silent(), Instant::now());
        state.push(closure(|| ()), start);
        state.push(twin(&replies), start + SECOND);
        state.push(closure(|| ()), start + 2 * SECOND);
        state.push(twin(&replies), start + 3 * SECOND);
        assert_eq!((state.queued(), state.runnable()), (4, 2));
        let (first, job) = state.begin(start + 4 * SECOND).unwrap();
        assert!(matches!(job, Job::Closure(_)));
        let (second, job) = state.begin(start + 4 * SECOND).unwrap();
        assert!(matches!(job, Job::Twin { .. }));
        assert!(state.begin(start + 4 * SECOND).is_none(), "both shares are used up");
        assert_eq!((state.queued(), state.runnable()), (2, 0));
        assert_eq!(state.oldest_wait(start + 5 * SECOND), 3 * SECOND);
        state.end(second);
        assert!(matches!(state.begin(start + 5 * SECOND), Some((_, Job::Twin { .. }))));
        state.end(first);
        assert_eq!((state.runnable(), state.begun()), (1, (2, 1)));
    }

    #[test]
    fn a_twin_is_excused_when_it_is_stuck_and_another_waits() {
        let (mut state, replies, start) = (State::new(1, STACK), silent(), Instant::now());
        state.push(twin(&replies), start);
        let (stuck, _) = state.begin(start).unwrap();
        state.excuse(start + 9 * SECOND, SECOND, 1);
        state.push(twin(&replies), start + 9 * SECOND);
        assert_eq!(state.runnable(), 0, "nobody waited");
        state.excuse(start + SECOND - Duration::from_nanos(1), SECOND, 1);
        assert_eq!(state.runnable(), 0, "it has not run for long");
        state.excuse(start + SECOND, SECOND, 0);
        assert_eq!(state.runnable(), 0, "there is no room for excuses");
        state.excuse(start + SECOND, SECOND, 1);
        assert_eq!(state.runnable(), 1);
        let (other, _) = state.begin(start + SECOND).unwrap();
        state.push(twin(&replies), start + SECOND);
        state.excuse(start + 9 * SECOND, SECOND, 1);
        assert_eq!(state.runnable(), 0, "there is room for one");
        state.end(stuck);
        assert_eq!(state.runnable(), 0, "it was not counted any more");
        state.end(other);
        assert_eq!((state.runnable(), state.running(None)), (1, 0));
    }

    #[test]
    fn a_stall_is_when_a_kind_waits_and_none_of_it_begins() {
        let (mut state, replies, start) = (State::new(1, STACK), silent(), Instant::now());
        let stall = |state: &State, after: Duration| state.stall(start + after, 5 * SECOND);
        state.push(twin(&replies), start);
        state.begin(start).unwrap();
        assert_eq!(stall(&state, 60 * SECOND), None, "nobody waits");
        state.push(twin(&replies), start + SECOND);
        let late = 6 * SECOND - Duration::from_nanos(1);
        assert_eq!(stall(&state, late), None, "it has not waited for long");
        assert_eq!(stall(&state, 6 * SECOND), Some(Stall { kind: Kind::Twin, running: 1, waiting: 1 }));
        state.push(closure(|| ()), start + 2 * SECOND);
        state.begin(start + 2 * SECOND).unwrap();
        state.push(closure(|| ()), start + 2 * SECOND);
        state.excuse(start + 6 * SECOND, SECOND, 1);
        state.begin(start + 6 * SECOND).unwrap();
        state.push(twin(&replies), start + 2 * SECOND);
        assert_eq!(stall(&state, 7 * SECOND), Some(Stall { kind: Kind::Closure, running: 1, waiting: 1 }));
        assert_eq!((state.slow(start + 7 * SECOND, SECOND), state.slow(start + 7 * SECOND, 6 * SECOND)), (3, 1));
    }
}

#[test]
fn an_idle_thread_is_used_before_another_is_made() {
    let (pool, replies) = (Threads::new(8), silent());
    for n in 0..50 {
        pool.push(echo_job(n, &replies)).unwrap();
        rest(&pool);
    }
    assert_eq!(numbers(&pool), (1, 1, 0, 50, 0));
}

/// An idle thread that was notified, and has not come to it yet, is not there for a second job.
#[test]
fn two_jobs_do_not_count_on_the_same_idle_thread() {
    let (pool, replies, mut pipe) = (Threads::new(8), silent(), pipe().unwrap());
    pool.push(echo_job(0, &replies)).unwrap();
    rest(&pool);
    pool.push(stuck(1, &pipe, &replies)).unwrap();
    pool.push(stuck(2, &pipe, &replies)).unwrap();
    until(|| pool.counts().twins_run == 3);
    pipe.1.write_all(&[1; 2]).unwrap();
    rest(&pool);
    assert_eq!(drained(&replies).len(), 3);
}

#[test]
fn one_thread_answers_in_order() {
    let (pool, replies) = (Threads::new(1), silent());
    for n in 0..1000 {
        pool.push(echo_job(n, &replies)).unwrap();
    }
    rest(&pool);
    let order: Vec<(u64, i32)> = drained(&replies).iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
    assert_eq!(order, (0..1000).map(|n| (n, n as i32)).collect::<Vec<_>>());
}

#[test]
fn idle_threads_retire_and_come_back() {
    let pool = Threads::with_pace(4, Pace { idle: Duration::from_millis(20), ..PACE });
    for round in 1..=2 {
        let (tell, told) = mpsc::channel();
        pool.push(closure(move || tell.send(thread::current().name().map(String::from)).unwrap())).unwrap();
        let name = told.recv_timeout(LONG).unwrap().expect("pool threads have names");
        assert_eq!(name, format!("annulus-pool-{}", round - 1));
        until(|| pool.counts().threads == 0);
        assert_eq!(pool.counts().closures_run, round);
    }
}

#[test]
fn a_queued_twin_can_be_cancelled_and_a_started_one_not() {
    let (pool, replies, other, mut pipe) = (Threads::new(1), silent(), silent(), pipe().unwrap());
    pool.push(stuck(1, &pipe, &replies)).unwrap();
    until(|| pool.counts().queued == 0);
    pool.push(echo_job(2, &other)).unwrap();
    pool.push(echo_job(2, &replies)).unwrap();
    pool.push(echo_job(3, &replies)).unwrap();
    assert!(!pool.cancel(1, &replies), "it has been started");
    assert!(!pool.cancel(3, &other), "it belongs to another driver");
    assert!(pool.cancel(2, &replies));
    assert!(!pool.cancel(2, &replies), "it is gone");
    pipe.1.write_all(&[1]).unwrap();
    rest(&pool);
    let order: Vec<u64> = drained(&replies).iter().map(|cqe| cqe.user_data).collect();
    assert_eq!(order, [1, 3]);
    assert_eq!(drained(&other).len(), 1, "the same number of another driver is left alone");
}

#[test]
fn shutdown_answers_what_is_queued_and_reports_what_is_stuck() {
    let (pool, replies, mut pipe) = (Threads::new(1), silent(), pipe().unwrap());
    let (go, blocked) = stuck_closure();
    pool.push(stuck(1, &pipe, &replies)).unwrap();
    pool.push(blocked).unwrap();
    until(|| pool.counts().queued == 0);
    let held = Arc::new(());
    let inside = held.clone();
    pool.push(echo_job(2, &replies)).unwrap();
    pool.push(closure(move || drop(inside))).unwrap();
    let start = Instant::now();
    assert_eq!(pool.shutdown(Duration::from_millis(50)), 1, "one closure is stuck");
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(drained(&replies), [Cqe::new(2, -libc::ECANCELED)]);
    assert_eq!((Arc::strong_count(&held), pool.counts().closures_run), (1, 1), "dropped, not run");
    assert!(pool.push(echo_job(4, &replies)).unwrap_err().to_string().contains("shut down"));
    drop(go);
    pipe.1.write_all(&[1]).unwrap();
    assert_eq!(pool.shutdown(LONG), 0);
    assert_eq!((drained(&replies), pool.counts().threads), (vec![Cqe::new(1, 1)], 0));
}

#[test]
fn a_panic_ends_neither_thread_nor_process() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("a panic in a drop, as the test wants it");
        }
    }
    let (pool, replies) = (Threads::new(1), silent());
    pool.push(closure(|| panic!("a panic, as the test wants it"))).unwrap();
    rest(&pool);
    pool.push(closure(|| std::panic::panic_any(Grenade))).unwrap();
    rest(&pool);
    pool.push(job(&BROKEN, 5, Sqe::default(), &replies)).unwrap();
    rest(&pool);
    assert_eq!(numbers(&pool), (1, 1, 0, 1, 2));
    assert_eq!(drained(&replies), [Cqe::new(5, -libc::EIO)]);
    assert_eq!(pool.shutdown(LONG), 0);
    let grenade = Grenade;
    assert!(pool.push(closure(move || drop(grenade))).is_err(), "refused, and its drop contained");
}

#[test]
fn an_interrupted_call_is_made_again() {
    let (pool, replies) = (Threads::new(1), silent());
    let calls: &'static mut i32 = Box::leak(Box::new(0));
    let sqe = Sqe { addr: calls as *mut i32 as u64, ..Sqe::default() };
    pool.push(job(&RESTLESS, 6, sqe, &replies)).unwrap();
    rest(&pool);
    assert_eq!(drained(&replies), [Cqe::new(6, 0)], "and each time as the first attempt");
}

#[test]
fn ten_thousand_jobs_of_several_pushers_are_done_once_each() {
    let (pool, replies) = (Threads::new(4), silent());
    thread::scope(|scope| {
        for pusher in 0..4 {
            let (pool, replies) = (pool.clone(), &replies);
            scope.spawn(move || (0..2500).for_each(|n| pool.push(echo_job(pusher * 2500 + n, replies)).unwrap()));
        }
    });
    rest(&pool);
    let mut numbers: Vec<u64> = drained(&replies).iter().map(|cqe| cqe.user_data).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
    assert!(pool.counts().threads <= 4);
}

#[test]
fn a_thread_that_cannot_be_made_is_an_error_only_if_there_is_no_other() {
    let (pool, replies, mut pipe) = (Threads::new(2), silent(), pipe().unwrap());
    let impossible = 1 << (usize::BITS - 2);
    pool.shared.lock().stack = impossible;
    assert!(pool.push(echo_job(1, &replies)).is_err());
    assert_eq!(numbers(&pool), (0, 0, 0, 0, 0));
    pool.shared.lock().stack = STACK;
    pool.push(stuck(2, &pipe, &replies)).unwrap();
    pool.shared.lock().stack = impossible;
    pool.push(echo_job(3, &replies)).expect("it waits for the thread that is there");
    pipe.1.write_all(&[1]).unwrap();
    rest(&pool);
    assert_eq!(drained(&replies).len(), 2);
}

#[test]
fn the_owner_is_woken_once_and_only_if_it_asked() {
    let wakes = Arc::new(Mutex::new(0));
    let counter = wakes.clone();
    let (pool, replies) = (Threads::new(1), Replies::new(move || *counter.lock().unwrap() += 1));
    let push = |n| {
        pool.push(echo_job(n, &replies)).unwrap();
        rest(&pool);
    };
    push(1);
    assert_eq!(*wakes.lock().unwrap(), 0, "nobody asked");
    assert!(!replies.ask(), "there is something to drain");
    push(2);
    assert_eq!((*wakes.lock().unwrap(), drained(&replies).len()), (0, 2));
    assert!(replies.ask());
    push(3);
    push(4);
    assert_eq!((*wakes.lock().unwrap(), drained(&replies).len()), (1, 2), "one wake for two replies");
    assert!(replies.ask());
    assert!(drained(&replies).is_empty());
    push(5);
    assert_eq!(*wakes.lock().unwrap(), 1, "draining takes the question back");
}

#[test]
fn draining_swaps_two_vectors_and_allocates_nothing() {
    let (pool, replies) = (Threads::new(1), silent());
    let (mut out, mut places) = (Vec::with_capacity(8), Vec::new());
    for n in 0..40 {
        pool.push(echo_job(n, &replies)).unwrap();
        rest(&pool);
        replies.drain(&mut out);
        assert_eq!(out.len(), 1);
        places.push(out.as_ptr());
        out.clear();
    }
    places[2..].sort_unstable();
    let mut steady = places[2..].to_vec();
    steady.dedup();
    assert_eq!(steady.len(), 2, "the same two vectors all the time");
}

/// T21. Red when a child asks for a lock that one of its parent's threads may have had at the fork.
#[test]
fn a_forked_child_leaves_the_pool_alone() {
    let pool = Threads::with_pace(1, Pace { look: Duration::ZERO, ..PACE });
    let (go, stuck) = stuck_closure();
    pool.push(stuck).unwrap();
    pool.push(closure(|| ())).unwrap();
    assert!(pool.next_look.get().is_some(), "a job waits");
    let held = pool.shared.lock();
    assert!(in_child(|| {
        assert_eq!((pool.cancel(7, &silent()), pool.tend(), pool.shutdown(LONG)), (false, None, 0));
        assert_eq!(pool.counts(), PoolCounts::default());
    }));
    drop((held, go));
    rest(&pool);
}
