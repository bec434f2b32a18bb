//! What timers cost in allocations: none, once the wheel has grown to those that are pending at the same time.

#[path = "outside/counting.rs"]
mod counting;

use annulus::time::{Duration, Instant, Sleep, sleep};
use counting::ALLOCATIONS;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

fn start(mut sleep: Sleep) -> Sleep {
    let pending = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending();
    assert!(pending, "it takes its place in the wheel when it is polled");
    sleep
}

/// A timer that is cancelled leaves at once, so a program that limits each of its requests keeps no trace of them.
#[annulus::test]
async fn a_million_cancelled_sleeps_allocate_nothing() {
    const MANY: u64 = 1_000_000;
    // As many as are pending at the same time below, and the levels that they need.
    let time = |n: u64| Duration::from_nanos(1 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 28));
    let mut pending: [Option<Sleep>; 64] = std::array::from_fn(|n| Some(start(sleep(time(n as u64)))));
    drop(start(sleep(Duration::from_secs(3600))));
    let before = ALLOCATIONS.get();
    for n in 0..MANY {
        pending[n as usize % 64] = None;
        pending[n as usize % 64] = Some(start(sleep(time(n))));
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[annulus::test]
async fn a_storm_of_resets_allocates_nothing() {
    let mut moved = start(sleep(Duration::from_secs(3600)));
    let (now, before) = (Instant::now(), ALLOCATIONS.get());
    for n in 0..100_000_u64 {
        Pin::new(&mut moved).reset(now + Duration::from_micros(n * 7919 % 3_600_000_000));
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
