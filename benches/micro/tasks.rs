//! Tasks: their beginning, their turns, their end.

use crate::Bench;
use annulus::{JoinHandle, spawn, task::JoinSet, yield_now};
use std::hint::black_box;

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.each("spawn/one", async || join([spawn(async { black_box(1) })]).await);
    bench.each("spawn/100", async || join(std::array::from_fn::<_, 100, _>(|n| spawn(async move { n }))).await);
    bench.each("spawn/1000", async || join((0..1000).map(|n| spawn(async move { n })).collect::<Vec<_>>()).await);
    bench.each("spawn/100 in a JoinSet", join_set);
    bench.each("yield/main", yield_now);
    bench.many("yield/alone", async |times| join([spawn(yield_often(times))]).await);
    bench.many("yield/among 100", async |times| {
        // The first has what is left over, so that there are as many yields as were asked for.
        let each = |n: u64| times / 100 + if n == 0 { times % 100 } else { 0 };
        join((0..100).map(|n| spawn(yield_often(each(n)))).collect::<Vec<_>>()).await;
    });
}

async fn join<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) {
    for task in tasks {
        black_box(task.await.unwrap());
    }
}

async fn join_set() {
    let mut tasks: JoinSet<_> = (0..100).map(|n| async move { n }).collect();
    while let Some(n) = tasks.join_next().await {
        black_box(n.unwrap());
    }
}

async fn yield_often(times: u64) {
    for _ in 0..times {
        yield_now().await;
    }
}
