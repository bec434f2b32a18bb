//! What the runtime's own steps cost: a task, a turn, an operation that does nothing.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use annulus::{Runtime, op, spawn, yield_now};
use criterion::{Criterion, criterion_group, criterion_main};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Runs `step` in one `block_on`, as often as criterion asks, and says how long that took.
fn timed(runtime: &Runtime, times: u64, step: impl AsyncFn()) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..times {
            step().await;
        }
        start.elapsed()
    })
}

fn runtime(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group(runtime.driver().kind().to_string());
    let mut bench = |name: &str, step: &dyn Fn(u64) -> Duration| {
        group.bench_function(name, |b| b.iter_custom(step));
    };
    bench("yield_now", &|times| timed(&runtime, times, yield_now));
    bench("spawn_join", &|times| {
        timed(&runtime, times, async || spawn(async { black_box(1) }).await.map(drop).unwrap())
    });
    bench("spawn_join_100", &|times| timed(&runtime, times, spawn_join_100));
    bench("nop", &|times| timed(&runtime, times, async || op::nop().await.unwrap()));
    bench("nop_100", &|times| timed(&runtime, times, nop_100));
    bench("sleep_dropped", &|times| timed(&runtime, times, sleep_dropped));
    bench("block_on", &|times| {
        let start = Instant::now();
        (0..times).for_each(|_| runtime.block_on(async {}));
        start.elapsed()
    });
}

async fn spawn_join_100() {
    let tasks: [_; 100] = std::array::from_fn(|n| spawn(async move { black_box(n) }));
    for task in tasks {
        task.await.unwrap();
    }
}

/// A hundred tasks with an operation each: they share their turn.
async fn nop_100() {
    let tasks: [_; 100] = std::array::from_fn(|_| spawn(op::nop()));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

/// A timer that is set and taken back, as a timeout is.
async fn sleep_dropped() {
    let ready = annulus::time::timeout(Duration::from_secs(1), yield_now());
    ready.await.unwrap();
}

fn brief() -> Criterion {
    let (warm_up, measure) = (Duration::from_millis(300), Duration::from_secs(1));
    Criterion::default().without_plots().warm_up_time(warm_up).measurement_time(measure).sample_size(20)
}

criterion_group! {
    name = micro;
    config = brief();
    targets = runtime
}
criterion_main!(micro);
