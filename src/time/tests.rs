//! Sleeps, timeouts and intervals on a runtime of a few lines: a wheel, a clock and one task.

use super::{error::Elapsed, *};
use crate::rt;
use std::{
    cell::Cell,
    future::{pending, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread,
};

const MS: Duration = Duration::from_millis(1);

/// A waker that counts.
#[derive(Default)]
struct Bell(Mutex<u32>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

fn expire(now: std::time::Instant) -> usize {
    let mut due = Vec::new();
    rt::timers().borrow_mut().expire(now, &mut due);
    let count = due.len();
    due.into_iter().for_each(Waker::wake);
    count
}

/// Polls `future` whenever a timer has fired, and sleeps in between.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let next = rt::timers().borrow().next().expect("a pending future waits for a timer");
        thread::sleep(next.saturating_duration_since(std::time::Instant::now()));
        expire(std::time::Instant::now());
    }
    panic!("the future was polled ten thousand times and is not done");
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn registered() -> usize {
    rt::timers().borrow().len()
}

#[test]
fn a_sleep_is_neither_early_nor_forgotten() {
    for ms in [0, 1, 3, 10, 30] {
        let (start, sleep) = (Instant::now(), sleep(MS * ms));
        let deadline = sleep.deadline();
        run(sleep);
        assert!(start.elapsed() >= MS * ms && Instant::now() >= deadline);
    }
    assert_eq!(registered(), 0);
}

#[test]
fn a_past_deadline_waits_for_the_next_turn() {
    let mut late = sleep_until(Instant::now() - MS);
    assert!(late.is_elapsed());
    assert!(poll(Pin::new(&mut late), Waker::noop()).is_pending(), "others get their turn");
    assert_eq!(expire(std::time::Instant::now()), 1);
    assert!(poll(Pin::new(&mut late), Waker::noop()).is_ready());
    assert!(poll(Pin::new(&mut late), Waker::noop()).is_ready(), "done stays done");
}

#[test]
fn a_sleep_of_any_length_is_accepted() {
    for duration in [Duration::MAX, Duration::from_secs(u64::MAX / 4), Duration::from_secs(1 << 40)] {
        let mut long = sleep(duration);
        assert!(poll(Pin::new(&mut long), Waker::noop()).is_pending());
        assert!(long.deadline() > Instant::now() + Duration::from_secs(86_400 * 365 * 50));
        assert_eq!(expire(std::time::Instant::now()), 0);
    }
    assert_eq!(registered(), 0, "dropped sleeps are withdrawn at once");
}

#[test]
fn only_the_last_waker_is_woken() {
    let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let mut sleep = sleep(MS);
    assert!(poll(Pin::new(&mut sleep), &first.clone().into()).is_pending());
    assert!(poll(Pin::new(&mut sleep), &second.clone().into()).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the replaced waker is dropped");
    expire(sleep.deadline().into_std() + MS);
    assert_eq!((*first.0.lock().unwrap(), *second.0.lock().unwrap()), (0, 1));
    assert!(poll(Pin::new(&mut sleep), Waker::noop()).is_ready());
}

#[test]
fn reset_moves_the_waiting_task_along() {
    let bell = Arc::new(Bell::default());
    let mut sleep = sleep(MS);
    let first = sleep.deadline();
    assert!(poll(Pin::new(&mut sleep), &bell.clone().into()).is_pending());
    Pin::new(&mut sleep).reset(first + MS * 50);
    assert_eq!((expire((first + MS * 40).into_std()), *bell.0.lock().unwrap()), (0, 0));
    expire((first + MS * 51).into_std());
    assert_eq!(*bell.0.lock().unwrap(), 1, "woken at the new deadline without a poll in between");
    assert!(poll(Pin::new(&mut sleep), Waker::noop()).is_ready());
    Pin::new(&mut sleep).reset(first + MS * 100);
    assert!(poll(Pin::new(&mut sleep), Waker::noop()).is_pending(), "a finished sleep starts anew");
    expire((first + MS * 101).into_std());
    Pin::new(&mut sleep).reset(first + MS * 200);
    assert!(poll(Pin::new(&mut sleep), Waker::noop()).is_pending(), "fired but not polled, it starts anew, too");
    assert_eq!(registered(), 1);
}

/// A waker whose clone and drop use the wheel: they panic if that is borrowed.
#[test]
fn wakers_are_cloned_and_dropped_while_nothing_is_borrowed() {
    use std::task::{RawWaker, RawWakerVTable};
    fn touch() {
        drop(rt::timers().borrow_mut());
    }
    fn raw() -> RawWaker {
        static TABLE: RawWakerVTable = RawWakerVTable::new(
            |_| {
                touch();
                raw()
            },
            |_| touch(),
            |_| touch(),
            |_| touch(),
        );
        // Each has an address of its own, so that none `will_wake` another.
        RawWaker::new(Box::leak(Box::new(0_u8)) as *const u8 as *const (), &TABLE)
    }
    // SAFETY: the functions of the table accept any data and are safe on any thread.
    let waker = || unsafe { Waker::from_raw(raw()) };
    let (first, second) = (waker(), waker());
    let mut sleep = sleep(MS);
    assert!(poll(Pin::new(&mut sleep), &first).is_pending());
    assert!(poll(Pin::new(&mut sleep), &second).is_pending());
    Pin::new(&mut sleep).reset(Instant::now() + MS);
    drop(sleep);
    assert_eq!(registered(), 0);
}

/// Home: a sleep follows the task into another runtime, and what it leaves behind is withdrawn.
#[test]
fn a_sleep_moves_between_wheels() {
    use crate::rt::timer::Timers;
    let old = rt::timers();
    let bell = Arc::new(Bell::default());
    let mut sleep = sleep(MS);
    assert!(poll(Pin::new(&mut sleep), &bell.clone().into()).is_pending());
    assert_eq!(old.borrow().len(), 1);
    let new = Rc::new(std::cell::RefCell::new(Timers::new(std::time::Instant::now())));
    rt::replace_timers(new.clone());
    assert!(poll(Pin::new(&mut sleep), &bell.clone().into()).is_pending());
    assert_eq!((old.borrow().len(), new.borrow().len()), (0, 1));
    rt::replace_timers(old.clone());
    let mut fired = sleep_until(Instant::now());
    assert!(poll(Pin::new(&mut fired), Waker::noop()).is_pending());
    expire(std::time::Instant::now() + MS);
    assert!(poll(Pin::new(&mut fired), Waker::noop()).is_ready());
    rt::replace_timers(new.clone());
    assert!(poll(Pin::new(&mut fired), Waker::noop()).is_ready(), "done is done everywhere");
    rt::replace_timers(old.clone());
    let mut woken = Vec::new();
    new.borrow_mut().clear(&mut woken);
    drop(new);
    drop(woken);
    drop(sleep);
    assert_eq!((old.borrow().len(), Arc::strong_count(&bell)), (0, 1));
}

#[test]
fn a_timeout_lets_the_future_go_first() {
    assert_eq!(run(timeout(Duration::ZERO, async { 7 })), Ok(7));
    assert_eq!(run(timeout_at(Instant::now() - MS, async { 7 })), Ok(7));
    assert_eq!(registered(), 0);
    let done = Cell::new(false);
    let mut both = pin!(timeout(MS, poll_fn(|_| if done.get() { Poll::Ready(7) } else { Poll::Pending })));
    assert!(poll(both.as_mut(), Waker::noop()).is_pending());
    assert_eq!(expire(std::time::Instant::now() + MS * 2), 1);
    done.set(true);
    assert_eq!(
        poll(both.as_mut(), Waker::noop()),
        Poll::Ready(Ok(7)),
        "what is done in time counts, however late it is seen"
    );
    let start = Instant::now();
    assert_eq!(run(timeout(MS * 10, pending::<()>())), Err(Elapsed(())));
    assert!(start.elapsed() >= MS * 10);
    assert_eq!(run(timeout(Duration::MAX, sleep(MS))), Ok(()));
    assert_eq!(run(timeout(MS, timeout(MS * 100_000, pending::<()>()))), Err(Elapsed(())));
    assert_eq!(registered(), 0, "the inner timer is withdrawn with the outer");
}

/// Drops set a flag; an `async` block that holds one is not `Unpin`.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn the_future_outlives_its_deadline_until_the_timeout_is_dropped() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Flag(dropped.clone());
    let mut limited = Box::pin(timeout(MS, async move {
        let _flag = flag;
        pending::<()>().await;
    }));
    assert_eq!(run(limited.as_mut()), Err(Elapsed(())));
    assert!(!dropped.get());
    drop(limited);
    assert!(dropped.get());

    let mut counted = timeout(MS, poll_fn(|_| Poll::<()>::Pending));
    assert!(run(&mut counted).is_err());
    assert!(poll(Pin::new(counted.get_mut()), Waker::noop()).is_pending());
    assert!(size_of_val(counted.get_ref()) < size_of_val(&counted));
    assert!(poll(Pin::new(&mut counted.into_inner()), Waker::noop()).is_pending());
}

#[test]
fn elapsed_is_an_io_error() {
    let error = io::Error::from(Elapsed(()));
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("deadline"));
}

#[test]
fn an_interval_ticks_in_its_rhythm() {
    let start = Instant::now();
    let mut ticks = interval_at(start, MS * 3);
    let due: Vec<Instant> = run(async {
        let mut due = Vec::new();
        for _ in 0..5 {
            due.push(ticks.tick().await);
            assert!(Instant::now() >= due[due.len() - 1]);
        }
        due
    });
    assert_eq!(due[0], start, "the first tick comes at the start");
    assert!(due.windows(2).all(|pair| pair[1] - pair[0] == MS * 3), "{due:?}");
    assert_eq!((ticks.period(), ticks.missed_tick_behavior()), (MS * 3, MissedTickBehavior::Burst));
}

#[test]
fn an_interval_makes_up_for_missed_ticks_as_it_was_told() {
    let before = Instant::now();
    let late = |behavior| {
        let mut ticks = interval_at(Instant::now() - MS * 1005, MS * 100);
        ticks.set_missed_tick_behavior(behavior);
        run(async {
            let first = ticks.tick().await;
            (ticks.next_due() - first, first)
        })
    };
    assert_eq!(late(MissedTickBehavior::Burst).0, MS * 100);
    let (gap, _) = late(MissedTickBehavior::Delay);
    assert!(gap >= MS * 1105, "{gap:?}");
    let (gap, first) = late(MissedTickBehavior::Skip);
    assert_eq!(gap.as_nanos() % (MS * 100).as_nanos(), 0, "{gap:?}");
    assert!(first + gap > before);
}

#[test]
fn a_cancelled_tick_comes_again() {
    let mut ticks = interval(MS * 100_000);
    {
        let mut tick = pin!(ticks.tick());
        assert!(poll(tick.as_mut(), Waker::noop()).is_pending());
        expire(std::time::Instant::now());
    }
    let before = Instant::now();
    run(ticks.tick());
    assert!(before.elapsed() < MS * 90_000, "the tick that nobody took is still there");
    ticks.reset_immediately();
    run(ticks.tick());
    ticks.reset_after(MS);
    run(ticks.tick());
    assert!(before.elapsed() < MS * 90_000);
    let reset = Instant::now();
    ticks.reset();
    assert!(ticks.next_due() >= reset + MS * 100_000);
}

#[test]
fn instants_are_those_of_the_standard_library() {
    let (std, ms) = (std::time::Instant::now(), MS);
    let mut now = Instant::from_std(std);
    assert_eq!((now.into_std(), Instant::from(std), std::time::Instant::from(now)), (std, now, std));
    let later = now + ms;
    assert_eq!((later - now, now - later, later - ms), (ms, Duration::ZERO, now));
    assert_eq!((later.duration_since(now), now.duration_since(later)), (ms, Duration::ZERO));
    assert_eq!((now.checked_duration_since(later), later.checked_duration_since(now)), (None, Some(ms)));
    assert_eq!(now.saturating_duration_since(later), Duration::ZERO);
    assert_eq!((now.checked_add(Duration::MAX), now.checked_sub(Duration::MAX)), (None, None));
    now += ms;
    assert_eq!(now, later);
    now -= ms;
    assert!(now < later && now.elapsed() < Duration::from_secs(3600));
    assert_eq!(format!("{now:?}"), format!("{std:?}"));
}
