//! What spawning costs in allocations: one, for the task.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator; the count is a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
