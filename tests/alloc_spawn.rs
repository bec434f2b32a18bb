//! What spawning costs in allocations: one, for the task, of so many bytes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator; the counts are plain thread-local numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes more are in use after `f` than before; what `f` gives lives on.
fn bytes<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = BYTES.get();
    let kept = f();
    (BYTES.get().wrapping_sub(before), kept)
}

fn count(f: impl FnOnce()) -> usize {
    let before = COUNT.get();
    f();
    COUNT.get() - before
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
    assert!(empty <= 128, "{empty} bytes for `async {{}}`");
    assert!(waiting <= 160, "{waiting} bytes for each of {MANY} tasks that wait");
    handles.iter().for_each(annulus::JoinHandle::abort);
}
