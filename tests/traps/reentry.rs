//! Wakers and drops of others that call back into the runtime at every point where the runtime calls them.

use super::{OnDrop, on_both, pair, poll};
use annulus::{
    Builder, DriverKind, JoinHandle, Runtime,
    buf::{IoBuf, IoBufMut},
    op, spawn, spawn_blocking,
    time::{sleep, timeout},
};
use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    io::Write,
    pin::Pin,
    ptr,
    task::{Context, RawWaker, RawWakerVTable, Waker},
    time::Duration,
};

thread_local! {
    /// How often it was called back, and whether that is going on.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static WAITING: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static GUEST: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    /// Whether this is the thread of the test.
    static HOME: Cell<bool> = const { Cell::new(false) };
}

/// Does all that a stranger's code may do to the runtime that calls it. On other threads, and in itself, nothing.
fn call_back() {
    if !HOME.get() || INSIDE.replace(true) {
        return;
    }
    CALLS.set(CALLS.get() + 1);
    let (fd, _peer) = pair();
    // Entries are pushed, one is given up, and a descriptor is closed.
    assert!(poll(op::recv(&fd, vec![0; 8])).is_pending());
    let _ = poll(op::nop());
    drop(fd);
    // Timers are set and cancelled, tasks are started, aborted and asked for, closures go to the pool.
    assert!(poll(sleep(Duration::from_secs(100))).is_pending());
    let mut handle = spawn(async {});
    handle.abort();
    let _ = poll(&mut handle);
    drop(spawn_blocking(|| ()));
    assert!(annulus::metrics().polls > 0);
    // The one that waits is woken, and another runtime ends.
    WAITING.with_borrow(|waker| waker.iter().for_each(Waker::wake_by_ref));
    drop(GUEST.take());
    INSIDE.set(false);
}

/// A waker that calls back when it is cloned, woken and dropped, and hands the wake on.
fn caller() -> Waker {
    const TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            call_back();
            RawWaker::new(data, &TABLE)
        },
        |_| call_back(),
        |_| call_back(),
        |_| call_back(),
    );
    // SAFETY: the table's functions look at no data, and at nothing that other threads have.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}

/// Awaits it with wakers that call back: a new one each time, so that each poll replaces one.
async fn await_it<F: Future + Unpin>(mut future: F) -> F::Output {
    let polling = poll_fn(|cx| {
        WAITING.set(Some(cx.waker().clone()));
        let waker = if CALLS.get() % 2 == 0 { caller() } else { cx.waker().clone() };
        let poll = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        poll.map(|output| {
            WAITING.set(None);
            output
        })
    });
    timeout(Duration::from_secs(20), polling).await.expect("it was woken, or its waker is lost")
}

/// A buffer whose drop calls back.
struct Caller(Vec<u8>);

impl Drop for Caller {
    fn drop(&mut self) {
        call_back();
    }
}

// SAFETY: Steady, Filled: all is the vector's.
unsafe impl IoBuf for Caller {
    fn read_ptr(&self) -> *const u8 {
        self.0.read_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.bytes_init()
    }
}

// SAFETY: Steady, Filled: all is the vector's.
unsafe impl IoBufMut for Caller {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.write_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.bytes_total()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        // SAFETY: Told, by our caller.
        unsafe { self.0.set_init(pos) };
    }
}

async fn operations() {
    let (fd, mut peer) = pair();
    let sender = spawn(async move {
        sleep(Duration::from_millis(2)).await;
        peer.write_all(b"123").unwrap();
        peer
    });
    let (n, _) = await_it(Box::pin(op::recv(&fd, Caller(vec![0; 8])))).await;
    assert_eq!(n.unwrap(), 3);
    let _peer = sender.await.unwrap();
    // One that is given up, and settled by the driver.
    let mut lost = Box::pin(op::recv(&fd, Caller(vec![0; 8])));
    assert!(lost.as_mut().poll(&mut Context::from_waker(&caller())).is_pending());
    drop(lost);
    await_it(Box::pin(sleep(Duration::from_millis(2)))).await;
}

async fn tasks() {
    let held = OnDrop(call_back);
    let gives = spawn(async move {
        sleep(Duration::from_millis(2)).await;
        held
    });
    drop(await_it(gives).await.unwrap());
    let held = OnDrop(call_back);
    let aborted: JoinHandle<()> = spawn(async move {
        let _held = held;
        pending().await
    });
    annulus::yield_now().await;
    aborted.abort();
    assert!(await_it(aborted).await.unwrap_err().is_cancelled());
    let blocks = spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)));
    await_it(blocks).await.unwrap();
    // A handle that goes with its waker, and a task whose future goes with the runtime.
    let mut left = spawn(pending::<()>());
    assert!(Pin::new(&mut left).poll(&mut Context::from_waker(&caller())).is_pending());
    drop(left);
    let held = OnDrop(call_back);
    drop(spawn(async move {
        let _held = held;
        pending::<()>().await;
    }));
    annulus::yield_now().await;
}

/// T17. Red when a waker is cloned, dropped or woken while the driver, the timers, the queue or a slot is borrowed.
#[test]
fn t17_whoever_is_called_may_call_back() {
    on_both("t17_whoever_is_called_may_call_back", |kind| {
        HOME.set(true);
        let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
        GUEST.set(Builder::new().driver(DriverKind::Poll).build().ok());
        let before = CALLS.get();
        runtime.block_on(async {
            operations().await;
            tasks().await;
        });
        // Timers and operations that the end finds.
        runtime.block_on(async {
            let (fd, _peer) = pair();
            let waker = caller();
            let mut calling = Context::from_waker(&waker);
            let mut receiving = Box::pin(op::recv(&fd, Caller(vec![0; 8])));
            assert!(receiving.as_mut().poll(&mut calling).is_pending());
            let mut sleeping = Box::pin(sleep(Duration::from_secs(100)));
            assert!(sleeping.as_mut().poll(&mut calling).is_pending());
            std::mem::forget(sleeping);
            drop(spawn(receiving));
        });
        drop(runtime);
        HOME.set(false);
        assert!(CALLS.get() > before + 20, "it was hardly called: {}", CALLS.get() - before);
    });
}
