//! Timers, while none or many others are pending.

use crate::Bench;
use annulus::{
    time::{Sleep, sleep, timeout},
    yield_now,
};
use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.each("timer/timeout in time", async || timeout(Duration::from_secs(1), yield_now()).await.unwrap());
    for (pending, name) in [(0, "none"), (100_000, "100k"), (1_000_000, "1M")] {
        let others = bench.runtime.block_on(others(pending));
        bench.each(&format!("timer/set and drop, {name} pending"), async || {
            drop(set(Duration::from_secs(1)).await);
        });
        bench.many(&format!("timer/set and fire, {name} pending"), fire);
        drop(others);
    }
}

/// A timer that the wheel knows.
async fn set(time: Duration) -> Sleep {
    let mut sleep = sleep(time);
    poll_fn(|cx| {
        assert!(Pin::new(&mut sleep).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    sleep
}

/// Timers that are due between an hour and a day from now.
async fn others(pending: u64) -> Vec<Sleep> {
    let mut others = Vec::new();
    for n in 0..pending {
        others.push(set(Duration::from_secs(3600 + n * 7919 % 82_800)).await);
    }
    others
}

/// A thousand timers at a time, all due within a few milliseconds.
async fn fire(times: u64) {
    let mut left = times;
    while left > 0 {
        let some = left.min(1000);
        left -= some;
        let mut set_ones = Vec::new();
        for n in 0..some {
            set_ones.push(set(Duration::from_micros(2000 + n)).await);
        }
        for one in set_ones {
            one.await;
        }
    }
}
