//! What spawning costs in allocations: one, for the task, of so many bytes.

#[path = "outside/counting.rs"]
mod counting;

use counting::{ALLOCATIONS, BYTES};
use std::hint::black_box;

/// How many bytes more are in use after `f` than before; what `f` gives lives on.
fn bytes<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = BYTES.get();
    let kept = f();
    (BYTES.get().wrapping_sub(before), kept)
}

fn count(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn a_task_is_one_allocation_and_nothing_else_is_any() {
    let runtime = annulus::Runtime::new().unwrap();
    let round = async || {
        let mut handles = [const { None }; 100];
        for (n, slot) in handles.iter_mut().enumerate() {
            *slot = Some(annulus::spawn(async move {
                annulus::yield_now().await;
                black_box([n; 16])
            }));
        }
        for handle in handles.into_iter().flatten() {
            handle.await.unwrap();
        }
    };
    runtime.block_on(round());
    assert_eq!(count(|| runtime.block_on(round())), 100, "100 tasks, awaited");
    let yields = async || {
        for _ in 0..1000 {
            annulus::yield_now().await;
        }
    };
    assert_eq!(count(|| runtime.block_on(yields())), 0, "polls of main");
}

/// The limits are close above what it takes on a machine of 64 bits: whoever needs more says so here.
#[annulus::test]
async fn a_task_takes_few_bytes() {
    annulus::spawn(async {}).await.unwrap();
    let (empty, handle) = bytes(|| annulus::spawn(async {}));
    handle.await.unwrap();
    // With its place in the list of tasks and in the queue. Both grow by doubling, so this is close to the least:
    // they have just become full.
    const MANY: usize = 1 << 16;
    let mut handles = Vec::with_capacity(MANY);
    let (waiting, ()) = bytes(|| handles.extend((0..MANY).map(|_| annulus::spawn(std::future::pending::<()>()))));
    let waiting = waiting / MANY;
    println!(
        "bytes of a task: {empty} for `async {{}}`, {waiting} for one of {MANY} that wait, with all that knows of it"
    );
    assert!(empty <= 104, "{empty} bytes for `async {{}}`");
    assert!(waiting <= 120, "{waiting} bytes for each of {MANY} tasks that wait");
    handles.iter().for_each(annulus::JoinHandle::abort);
}
