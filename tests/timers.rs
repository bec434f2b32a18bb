//! Timers in numbers: how many, how fine, in which order. Most of it by a clock that stands, so that no load of the
//! machine shows.

use annulus::time::{Duration, Instant, Sleep, advance, sleep, sleep_until, timeout};
use std::{
    cell::RefCell,
    future::{Future, pending},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);

/// Whether a sleep is over, asked by a poll for nobody.
fn is_over(sleep: &mut Sleep) -> bool {
    Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Each has a deadline of its own, and whatever the clock jumps over is done, and nothing else.
#[annulus::test(start_paused = true)]
async fn a_million_are_pending_at_once() {
    const MANY: u32 = 1_000_000;
    let start = Instant::now();
    let mut sleeps: Vec<_> = (1..=MANY).map(|n| sleep_until(start + US * n)).collect();
    assert!(!sleeps.iter_mut().any(is_over));
    advance(US * (MANY / 2)).await;
    let (past, rest) = sleeps.split_at_mut(MANY as usize / 2);
    assert!(past.iter_mut().all(is_over) && !rest.iter_mut().any(is_over));
    advance(US * (MANY / 2)).await;
    assert!(rest.iter_mut().all(is_over));
    assert_eq!(start.elapsed(), US * MANY);
}

/// From different levels of the wheel: each move between them keeps the order, and an even number must not hide that.
#[annulus::test(start_paused = true)]
async fn equal_deadlines_come_in_the_order_of_their_sleeps() {
    const MANY: usize = 3_000;
    for time in [US, MS, MS * 20, MS * 800, MS * 60_000] {
        let (deadline, order) = (Instant::now() + time, Rc::new(RefCell::new(Vec::new())));
        let tasks = (0..MANY).map(|n| {
            let order = order.clone();
            annulus::spawn(async move {
                sleep_until(deadline).await;
                assert_eq!(Instant::now(), deadline);
                order.borrow_mut().push(n);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert!(order.borrow().iter().copied().eq(0..MANY), "after {time:?}");
    }
}

thread_local!(static LINKS: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) });

/// Starts the next sleep as it is woken by the one before.
struct Chain;

impl Wake for Chain {
    fn wake(self: Arc<Self>) {
        let mut next = sleep_until(Instant::now() - MS);
        assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&self.into())).is_pending());
        LINKS.with_borrow_mut(|links| links.push(next));
    }
}

/// A waker may use the wheel whose timer woke it. What it inserts is due, and comes in the next turn, as main's does.
#[annulus::test]
async fn a_wake_may_start_the_next_timer() {
    Waker::from(Arc::new(Chain)).wake();
    let links = || LINKS.with_borrow(Vec::len);
    for _ in 0..1000 {
        let before = links();
        sleep_until(Instant::now() - MS).await;
        let more = links() - before;
        assert!((1..=2).contains(&more), "{more} links in a turn");
    }
    LINKS.take();
}

/// A sleep comes at the last deadline that it was given, however often that was another.
#[annulus::test(start_paused = true)]
async fn a_storm_of_resets_leaves_the_last_deadline() {
    let (start, mut dice) = (Instant::now(), 1_u32);
    let mut roll = move || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        dice >> 8
    };
    let mut sleeps: Vec<_> = (0..1000).map(|_| sleep(MS)).collect();
    for _ in 0..100 {
        for sleep in &mut sleeps {
            Pin::new(&mut *sleep).reset(start + Duration::from_nanos(u64::from(roll()) * 100));
            assert!(!is_over(sleep), "nothing comes before the clock moves");
        }
    }
    sleeps.sort_by_key(Sleep::deadline);
    for sleep in sleeps {
        let deadline = sleep.deadline();
        sleep.await;
        assert_eq!(Instant::now(), deadline);
    }
}

#[annulus::test]
async fn the_shortest_and_the_longest_times_are_taken() {
    assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
    assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    assert!(timeout(MS, sleep(Duration::MAX)).await.is_err());
    assert_eq!(timeout(Duration::MAX, async { sleep(US).await }).await, Ok(()));
}

/// A ring waits for less than a millisecond. (That the poll driver's selector does is a test of its own.)
#[annulus::test(driver = "uring")]
async fn a_sleep_is_finer_than_a_millisecond() {
    let mut shortest = Duration::MAX;
    for _ in 0..200 {
        let start = std::time::Instant::now();
        sleep(US * 100).await;
        let slept = start.elapsed();
        assert!(slept >= US * 100, "never early");
        shortest = shortest.min(slept);
    }
    assert!(shortest < US * 500, "{shortest:?}");
}

/// Tasks that are never done with their turn keep no timer waiting.
#[annulus::test]
async fn timers_come_while_tasks_spin() {
    let spinners: Vec<_> = (0..200)
        .map(|_| {
            annulus::spawn(async {
                loop {
                    annulus::yield_now().await;
                }
            })
        })
        .collect();
    let before = annulus::metrics();
    for _ in 0..20 {
        sleep(US * 200).await;
    }
    let after = annulus::metrics();
    let turns = after.turns - before.turns;
    assert!(turns >= 20 && (after.polls - before.polls) / turns <= 128, "the clock is looked at in each turn");
    spinners.iter().for_each(annulus::JoinHandle::abort);
    for task in spinners {
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
