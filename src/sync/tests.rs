//! What the tests of this room have in common.

use super::{Barrier, CancellationToken, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use std::{
    cell::Cell,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
};

/// Counts the wakes of its wakers.
#[derive(Default)]
pub(super) struct Wakes(AtomicUsize);

impl Wakes {
    pub(super) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (wakes.clone(), wakes.into())
    }

    /// How many there were since this was asked last.
    pub(super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// No call of a hostile waker has panicked on this thread. (Where it was woken or dropped, nobody else has noticed.)
#[track_caller]
pub(super) fn unhurt() {
    assert_eq!(PANICS.get(), 0, "a hostile waker panicked, see above");
}

/// A waker that calls `f` whenever it is cloned, woken or dropped. It must stay on this thread.
pub(super) fn hostile(f: impl Fn() + 'static) -> Waker {
    type Call = Rc<dyn Fn()>;
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_it);
    unsafe fn call(data: *const ()) -> ManuallyDrop<Box<Call>> {
        // SAFETY: the pointer is that of a waker that lives; what it owns is left alone.
        ManuallyDrop::new(unsafe { Box::from_raw(data.cast::<Call>().cast_mut()) })
    }
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the table is called with its own data.
        let call = unsafe { call(data) };
        call();
        RawWaker::new(Box::into_raw((*call).clone()).cast(), &TABLE)
    }
    unsafe fn wake(data: *const ()) {
        // SAFETY: the table is called with its own data, and `wake` owns it.
        unsafe { drop_it(data) };
    }
    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: the table is called with its own data.
        let call = unsafe { call(data) };
        call();
    }
    unsafe fn drop_it(data: *const ()) {
        // SAFETY: the table is called with its own data, for the last time.
        let call = ManuallyDrop::into_inner(unsafe { call(data) });
        call();
    }
    let call: Call = Rc::new(move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(&f)) {
            PANICS.set(PANICS.get() + 1);
            resume_unwind(payload);
        }
    });
    // SAFETY: a clone has a box of its own, and the tests keep it on their thread.
    unsafe { Waker::from_raw(RawWaker::new(Box::into_raw(Box::new(call)).cast(), &TABLE)) }
}

/// Polls once, for `waker`.
pub(super) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// The output of a future that is ready at once.
pub(super) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready"),
    }
}

/// Numbers that are the same in each run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}

/// Awaits what is always ready until another task has run. Red without the budget.
async fn lets_others_run(what: &str, mut ready: impl AsyncFnMut()) {
    let stop = Rc::new(Cell::new(false));
    let stops = stop.clone();
    let other = crate::spawn(async move { stops.set(true) });
    for n in 0.. {
        if stop.get() {
            break;
        }
        assert!(n < 10_000, "who awaits {what} lets nobody run");
        ready().await;
    }
    other.await.unwrap();
}

#[crate::test]
async fn what_is_always_ready_lets_others_run() {
    let (semaphore, mutex, lock, notify) = (Semaphore::new(1), Mutex::new(()), RwLock::new(()), Notify::new());
    lets_others_run("a permit", async || drop(semaphore.acquire().await)).await;
    lets_others_run("a mutex", async || drop(mutex.lock().await)).await;
    lets_others_run("a lock to read", async || drop(lock.read().await)).await;
    lets_others_run("a lock to write", async || drop(lock.write().await)).await;
    notify.notify_one();
    let notified = async || {
        notify.notified().await;
        notify.notify_one();
    };
    lets_others_run("a notification", notified).await;
    let once = async || {
        let (tx, rx) = oneshot::channel();
        tx.send(()).unwrap();
        rx.await.unwrap();
    };
    lets_others_run("a oneshot", once).await;
    let (tx, mut rx) = watch::channel(());
    let changed = async || {
        tx.send(()).unwrap();
        rx.changed().await.unwrap();
    };
    lets_others_run("a change", changed).await;
    let (tx, mut rx) = broadcast::channel(1);
    let received = async || {
        tx.send(()).unwrap();
        rx.recv().await.unwrap();
    };
    lets_others_run("a broadcast", received).await;
    let (tx, mut rx) = mpsc::channel(1);
    let received = async || {
        tx.send(()).await.unwrap();
        rx.recv().await.unwrap();
    };
    lets_others_run("a channel", received).await;
    let (barrier, token) = (Barrier::new(1), CancellationToken::new());
    lets_others_run("a barrier", async || _ = barrier.wait().await).await;
    token.cancel();
    lets_others_run("a token", async || token.cancelled().await).await;
}

/// What the tasks of the storm share.
struct Shared {
    semaphore: Rc<Semaphore>,
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    notify: Notify,
    tx: mpsc::Sender<u32>,
}

/// Does one thing or another, holds what it got for a while, and leaves by itself only in the end.
async fn restless(shared: Rc<Shared>, mut dice: Dice) {
    for _ in 0..20 {
        match dice.roll(7) {
            0 => {
                let permit = shared.semaphore.clone().acquire_many_owned(1 + dice.roll(3) as u32).await;
                crate::yield_now().await;
                drop(permit);
            }
            1 => {
                let mut value = shared.mutex.lock().await;
                crate::yield_now().await;
                *value += 1;
            }
            2 => *shared.lock.write().await += 1,
            3 => {
                let value = shared.lock.read().await;
                crate::yield_now().await;
                drop(value);
            }
            4 => shared.notify.notified().await,
            5 => shared.notify.notify_one(),
            _ => drop(shared.tx.send(1).await),
        }
    }
}

/// Red when a future that is dropped keeps what it got, wherever that is.
#[crate::test]
async fn tasks_that_are_aborted_take_nothing_along() {
    let (mut dice, (tx, mut rx)) = (Dice::new(1), mpsc::channel(2));
    let (semaphore, notify) = (Rc::new(Semaphore::new(3)), Notify::new());
    let shared = Rc::new(Shared { semaphore, mutex: Mutex::new(0), lock: RwLock::new(0), notify, tx });
    for _ in 0..50 {
        let mut tasks: Vec<_> =
            (0..30).map(|n| crate::spawn(restless(shared.clone(), Dice::new(dice.roll(1 << 20) as u64 + n)))).collect();
        while !tasks.is_empty() {
            for _ in 0..dice.roll(4) {
                crate::yield_now().await;
            }
            let _ = rx.try_recv();
            let task = tasks.swap_remove(dice.roll(tasks.len()));
            task.abort();
            let _ = task.await;
        }
        while rx.try_recv().is_ok() {}
        assert!(shared.mutex.try_lock().is_ok() && shared.lock.try_write().is_ok());
        assert_eq!((shared.semaphore.available_permits(), shared.tx.capacity()), (3, 2));
    }
}
