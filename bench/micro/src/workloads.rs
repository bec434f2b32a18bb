//! The workloads. Each measures inside one runtime, but for the one that makes runtimes.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::Duration;

use crate::Contender;
use crate::clock::Slices;
use crate::court::Court;

/// Sleeping tasks at a time, and the longest of their sleeps in milliseconds.
const SLEEPERS: u32 = 100_000;
const LONGEST_MS: u32 = 200;

/// Measures the workload of this name. `None`: there is none, or it is not this contender's.
pub fn measure<C: Contender>(name: &str) -> Option<Slices> {
    Some(match name {
        "spawn" => C::block_on(sliced(spawn_one_by_one::<C>)),
        "spawn-1000" => C::block_on(sliced(spawn_1000::<C>)),
        "yield-1" => C::block_on(sliced(|| yields::<C>(1, 20_000))),
        "yield-100" => C::block_on(sliced(|| yields::<C>(100, 500))),
        "sleep-100k" => C::block_on(sliced(sleepers::<C>)),
        "start" => starts::<C>(),
        "wake" => C::block_on(wakes()),
        "idle" => C::block_on(sliced(idle::<C>)),
        "nop" => {
            drop(C::nop()?);
            C::block_on(sliced(nops::<C>))
        }
        _ => return None,
    })
}

/// Slices of `step`, which says how many operations it made.
async fn sliced(step: impl AsyncFn() -> u32) -> Slices {
    let mut slices = Slices::begin();
    while slices.go_on() {
        slices.start();
        slices.stop(step().await);
    }
    slices
}

/// One task at a time.
async fn spawn_one_by_one<C: Contender>() -> u32 {
    const OPS: u32 = 5_000;
    for n in 0..OPS {
        black_box(C::spawn(async move { u64::from(n) }).await);
    }
    OPS
}

/// A thousand tasks, and then their ends.
async fn spawn_1000<C: Contender>() -> u32 {
    const ROUNDS: u32 = 20;
    for _ in 0..ROUNDS {
        let tasks: Vec<_> = (0..1000).map(|n| C::spawn(async move { n })).collect();
        for task in tasks {
            black_box(task.await);
        }
    }
    ROUNDS * 1000
}

/// So many tasks that each let the others go first so many times.
async fn yields<C: Contender>(tasks: u32, times: u32) -> u32 {
    let ring: Vec<_> = (0..tasks).map(|_| C::spawn(yield_often(times))).collect();
    for task in ring {
        black_box(task.await);
    }
    tasks * times
}

/// The same for all contenders: wakes itself and is pending once. Some runtimes' own `yield_now` waits for their next
/// look at the kernel, which is another thing.
async fn yield_often(times: u32) -> u64 {
    for _ in 0..times {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    u64::from(times)
}

/// Tasks that sleep 1 to 200 ms, all at the same time. The order of their deadlines is scattered.
async fn sleepers<C: Contender>() -> u32 {
    let time = |n: u32| Duration::from_millis(u64::from(n * 37 % LONGEST_MS + 1));
    let tasks: Vec<_> = (0..SLEEPERS).map(|n| C::spawn_sleep(time(n))).collect();
    for task in tasks {
        black_box(task.await);
    }
    SLEEPERS
}

/// Makes a runtime for a future that is ready, and ends it.
fn starts<C: Contender>() -> Slices {
    const OPS: u32 = 20;
    let mut slices = Slices::begin();
    while slices.go_on() {
        slices.start();
        (0..OPS).for_each(|_| C::block_on(async {}));
        slices.stop(OPS);
    }
    slices
}

/// From the runtime to a thread and back. Both sides sleep between, so this is CPU time of both.
async fn wakes() -> Slices {
    let court = Court::open();
    sliced(async || {
        const OPS: u32 = 200;
        for _ in 0..OPS {
            court.round().await;
        }
        OPS
    })
    .await
}

/// A runtime that has nothing to do for 50 ms.
async fn idle<C: Contender>() -> u32 {
    black_box(C::spawn_sleep(Duration::from_millis(50)).await);
    1
}

/// One entry through the ring at a time.
async fn nops<C: Contender>() -> u32 {
    const OPS: u32 = 2_000;
    for _ in 0..OPS {
        if let Some(nop) = C::nop() {
            black_box(nop.await);
        }
    }
    OPS
}
