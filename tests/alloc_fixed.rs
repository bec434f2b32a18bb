//! What fixed buffers cost in allocations: none, once their pool and those who wait for it are there.

#[path = "outside/counting.rs"]
mod counting;

use annulus::pool::{FixedBuf, FixedPool};
use counting::ALLOCATIONS;

/// The fewest allocations of a round, when two have let grow what grows once, in the runtime too. Now and then the pool
/// takes a thread more; what each call costs, each round does.
async fn steady(mut round: impl AsyncFnMut()) -> usize {
    round().await;
    round().await;
    let mut fewest = usize::MAX;
    for _ in 0..5 {
        let before = ALLOCATIONS.get();
        round().await;
        fewest = fewest.min(ALLOCATIONS.get() - before);
    }
    fewest
}

/// Red when a list of free places is made too small, or a take costs one.
#[annulus::test]
async fn a_take_and_a_return_allocate_nothing() {
    let pool = FixedPool::builder().class(4096, 16).class(64, 16).build().unwrap();
    let mut held: Vec<FixedBuf> = Vec::with_capacity(32);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        for _ in 0..16 {
            held.push(pool.take(64).await.unwrap());
            held.push(pool.try_take(4096).unwrap());
        }
        held.clear();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// Red when a list has room for what is free, and not for what comes back.
#[annulus::test]
async fn what_comes_back_to_a_grown_pool_allocates_nothing() {
    let pool = FixedPool::builder().class(64, 16).build().unwrap();
    let held: Vec<FixedBuf> = (0..16).map(|_| pool.try_take(64).unwrap()).collect();
    pool.grow(64, 3).unwrap();
    let before = ALLOCATIONS.get();
    drop(held);
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(pool.stats()[0].free, 19);
}

/// Red when waiting for a buffer costs one.
#[annulus::test]
async fn waiting_for_a_buffer_allocates_nothing() {
    let pool = FixedPool::builder().class(64, 1).build().unwrap();
    let there = pool.clone();
    let other = annulus::spawn(async move {
        loop {
            let buf = there.take(1).await.unwrap();
            annulus::yield_now().await;
            drop(buf);
        }
    });
    let round = async || {
        for _ in 0..100 {
            drop(pool.take(1).await.unwrap());
        }
    };
    assert_eq!(steady(round).await, 0);
    other.abort();
}

/// Red when a read into a fixed buffer costs one. On poll it is the pool's: a queue of calls and answers.
#[cfg(not(annulus_kqueue = "emulated"))] // which allocates where a kernel would not
#[annulus::test]
async fn reading_into_one_allocates_nothing() {
    let pool = FixedPool::builder().class(4096, 2).build().unwrap();
    let file = annulus::fs::File::open("Cargo.toml").await.unwrap();
    let round = async || {
        for _ in 0..100 {
            let (n, buf) = file.read_at(pool.take(4096).await.unwrap(), 0).await;
            assert_eq!(n.unwrap(), buf.len());
        }
    };
    assert_eq!(steady(round).await, 0);
}
