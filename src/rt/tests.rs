//! What tasks, wakes and handles promise.

mod fairness;

use super::{
    Builder, Class, JoinError, JoinHandle, Runtime, current, spawn, spawn_blocking,
    task::{About, Ids},
    yield_now,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    io,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

assert_impl_all!(JoinHandle<u8>: Send, Sync, Unpin);
assert_not_impl_any!(JoinHandle<Rc<u8>>: Send, Sync);
assert_impl_all!(JoinError: Send, Sync, std::error::Error);
assert_not_impl_any!(Runtime: Send, Sync);

/// Ends a test that hangs, instead of the whole run.
fn within(time: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let body = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(time) {
        panic!("the test hangs");
    }
    if let Err(panic) = body.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What a task without a spawn is about.
fn about() -> About {
    About::new(Ids::new().next(), Class::Latency, Location::caller(), None)
}

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Spawns without running anything.
fn spawn_in<F: Future + 'static>(runtime: &Runtime, future: F) -> JoinHandle<F::Output> {
    let mut future = Some(future);
    runtime.block_on(poll_fn(move |_| Poll::Ready(spawn(future.take().unwrap()))))
}

/// Counts drops, and those on a thread that is not the one it was made on. It is not `Send`.
struct Home {
    home: ThreadId,
    drops: Arc<Drops>,
    _here: Rc<()>,
}

#[derive(Default)]
struct Drops {
    all: AtomicUsize,
    abroad: AtomicUsize,
}

impl Home {
    fn new(drops: &Arc<Drops>) -> Home {
        Home { home: thread::current().id(), drops: drops.clone(), _here: Rc::default() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.drops.all.fetch_add(1, SeqCst);
        if thread::current().id() != self.home {
            self.drops.abroad.fetch_add(1, SeqCst);
        }
    }
}

impl Drops {
    #[track_caller]
    fn expect(&self, all: usize) {
        assert_eq!((self.all.load(SeqCst), self.abroad.load(SeqCst)), (all, 0), "drops, and drops on another thread");
    }
}

/// A future that hands its waker out and never ends.
async fn stuck(_guard: Home, waker: Rc<RefCell<Option<Waker>>>) {
    poll_fn(|cx| {
        *waker.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn poll_once<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, JoinError>> {
    pin!(handle).poll(&mut Context::from_waker(waker))
}

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn main_and_tasks_give_their_outputs() {
    let runtime = runtime();
    let text = String::from("borrowed");
    let out = runtime.block_on(async {
        let handle = spawn(async { 40 });
        yield_now().await;
        assert!(handle.is_finished());
        (handle.await.unwrap() + 2, &text)
    });
    assert_eq!(out, (42, &text));
    let metrics = runtime.metrics();
    assert_eq!((metrics.tasks_spawned, metrics.tasks_alive), (1, 0));
    assert_eq!(metrics.polls, 1 + 2, "one of the task, two of main");
}

#[test]
fn tasks_rest_between_two_block_ons() {
    let runtime = runtime();
    let handle = spawn_in(&runtime, async { 7 });
    assert!(!handle.is_finished());
    assert_eq!(runtime.block_on(handle).unwrap(), 7);
}

#[test]
fn abort_before_the_first_poll() {
    let (runtime, drops) = (runtime(), Arc::<Drops>::default());
    let guard = Home::new(&drops);
    runtime.block_on(async {
        let handle = spawn(async move {
            let _guard = guard;
            panic!("an aborted task is not polled");
        });
        handle.abort();
        handle.abort();
        assert!(!handle.is_finished(), "the future is dropped in its turn");
        let error: JoinError = handle.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
    });
    drops.expect(1);
    assert_eq!(runtime.metrics().polls, 2);
}

#[test]
fn abort_while_pending_while_running_and_after_the_end() {
    let (runtime, drops) = (runtime(), Arc::<Drops>::default());
    runtime.block_on(async {
        let waker = Rc::default();
        let waiting = spawn(stuck(Home::new(&drops), Rc::clone(&waker)));
        yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        waker.take().unwrap().wake();

        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let (inside, guard) = (own.clone(), Home::new(&drops));
        *own.borrow_mut() = Some(spawn(async move {
            let _guard = guard;
            inside.borrow().as_ref().unwrap().abort();
            pending::<()>().await;
        }));
        yield_now().await;
        yield_now().await;
        let handle = own.take().unwrap();
        assert!(handle.is_finished());
        assert!(handle.await.unwrap_err().is_cancelled());

        let late = spawn(async { 1 });
        yield_now().await;
        late.abort();
        assert_eq!(late.await.unwrap(), 1);
    });
    drops.expect(2);
}

#[test]
fn abort_from_another_thread_drops_at_home() {
    within(Duration::from_secs(20), || {
        let (runtime, drops) = (runtime(), Arc::<Drops>::default());
        let guard = Home::new(&drops);
        let result = runtime.block_on(async {
            let handle = spawn(async {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            let handle = Arc::new(handle);
            let far = handle.clone();
            thread::spawn(move || far.abort()).join().unwrap();
            Arc::into_inner(handle).unwrap().await
        });
        assert!(result.unwrap_err().is_cancelled());
        drops.expect(1);
    });
}

#[test]
fn a_detached_task_runs_on_and_its_output_is_dropped_once() {
    let (runtime, drops) = (runtime(), Arc::<Drops>::default());
    runtime.block_on(async {
        let output = Home::new(&drops);
        drop(spawn(async { output }));
        yield_now().await;
        drops.expect(1);
        let output = Home::new(&drops);
        let handle = spawn(async { output });
        yield_now().await;
        drops.expect(1);
        drop(handle);
        drops.expect(2);
        let output = Home::new(&drops);
        let taken = spawn(async { output }).await.unwrap();
        drops.expect(2);
        drop(taken);
    });
    drops.expect(3);
}

#[test]
fn a_panic_is_its_tasks_alone() {
    let runtime = runtime();
    runtime.block_on(async {
        let bad = spawn(async { panic!("of the task") });
        let good = spawn(async {
            yield_now().await;
            1
        });
        assert_eq!(good.await.unwrap(), 1);
        let error: JoinError = bad.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.to_string(), "the task panicked: of the task");
        assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "of the task");
    });
    assert_eq!(runtime.metrics().unawaited_panics, 0, "it was awaited");
}

#[test]
fn panics_nobody_awaited_are_counted() {
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn(async { panic!("dropped before") }));
        let handle = spawn(async { panic!("dropped after") });
        yield_now().await;
        assert_eq!(current::with(super::Core::metrics).unwrap().unawaited_panics, 1);
        drop::<JoinHandle<()>>(handle);
        assert_eq!(current::with(super::Core::metrics).unwrap().unawaited_panics, 2);
        drop(spawn(async {
            let _kept: JoinHandle<()> = spawn(async { panic!("kept until the end") });
            pending::<()>().await;
        }));
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(runtime.metrics().unawaited_panics, 2);
    assert_eq!(runtime.shut_down().unawaited_panics, 3);
}

#[test]
fn a_panic_in_the_drop_of_a_future_is_its_tasks() {
    let runtime = runtime();
    let bomb = || OnDrop(|| panic!("in drop"));
    runtime.block_on(async {
        let guard = bomb();
        let after = spawn(poll_fn(move |_| {
            let _held = &guard;
            Poll::Ready(5)
        }));
        assert_eq!(after.await.unwrap_err().to_string(), "the task panicked: in drop");
        let guard = bomb();
        let aborted = spawn(async {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_panic());
        let guard = bomb();
        let twice: JoinHandle<()> = spawn(poll_fn(move |_| {
            let _held = &guard;
            panic!("in poll");
        }));
        assert_eq!(twice.await.unwrap_err().to_string(), "the task panicked: in poll");
        let guard = bomb();
        drop(spawn(async {
            let _guard = guard;
            pending::<()>().await;
        }));
        yield_now().await;
    });
    assert_eq!(runtime.shut_down().unawaited_panics, 1, "the one at the runtime's end");
}

#[test]
fn a_panic_of_main_leaves_the_runtime_usable() {
    let runtime = runtime();
    let handle = spawn_in(&runtime, async { 3 });
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { panic!("main") })));
    assert!(panic.is_err());
    assert!(crate::driver::Driver::current().is_none(), "the thread has no runtime again");
    assert_eq!(runtime.block_on(handle).unwrap(), 3);
}

#[test]
fn a_waker_outlives_its_task_and_its_runtime() {
    within(Duration::from_secs(20), || {
        let drops = Arc::<Drops>::default();
        let (ended, alive) = (Rc::default(), Rc::default());
        let runtime = runtime();
        runtime.block_on(async {
            let handle = spawn(stuck(Home::new(&drops), Rc::clone(&ended)));
            drop(spawn(stuck(Home::new(&drops), Rc::clone(&alive))));
            yield_now().await;
            handle.abort();
            assert!(handle.await.is_err());
            drops.expect(1);
            ended.borrow().as_ref().unwrap().wake_by_ref();
        });
        drop(runtime);
        drops.expect(2);
        let wakers = [ended.take().unwrap(), alive.take().unwrap()];
        wakers.iter().for_each(Waker::wake_by_ref);
        let foreign = wakers.clone();
        thread::spawn(move || foreign.map(Waker::wake)).join().unwrap();
        thread::spawn(move || drop(wakers)).join().unwrap();
        drops.expect(2);
    });
}

#[test]
fn the_last_waker_dropped_abroad_drops_no_future_there() {
    let drops = Arc::<Drops>::default();
    let runtime = runtime();
    let waker = Rc::default();
    runtime.block_on(async {
        drop(spawn(stuck(Home::new(&drops), Rc::clone(&waker))));
        yield_now().await;
    });
    let last = waker.take().unwrap();
    thread::spawn(move || drop(last)).join().unwrap();
    drops.expect(0);
    drop(runtime);
    drops.expect(1);
}

#[test]
fn wakes_race_with_the_end_of_the_runtime() {
    within(Duration::from_secs(60), || {
        for _ in 0..200 {
            let drops = Arc::<Drops>::default();
            let waker = Rc::default();
            let runtime = runtime();
            runtime.block_on(async {
                drop(spawn(stuck(Home::new(&drops), Rc::clone(&waker))));
                yield_now().await;
            });
            let far = waker.take().unwrap();
            let start = Arc::new(AtomicBool::new(false));
            let go = start.clone();
            let other = thread::spawn(move || {
                go.store(true, SeqCst);
                vec![far; 20].into_iter().for_each(Waker::wake);
            });
            while !start.load(SeqCst) {
                thread::yield_now();
            }
            drop(runtime);
            drops.expect(1);
            other.join().unwrap();
        }
    });
}

#[test]
fn a_push_that_comes_after_the_end_frees_the_task() {
    let runtime = runtime();
    let remote = runtime.core.remote().clone();
    let (task, handle) = super::task::new(
        pending::<Result<(), JoinError>>(),
        about(),
        runtime.core.holds().make(),
        runtime.core.store(),
    );
    // The waker on the other thread has set the flag and not pushed yet; meanwhile the runtime ends.
    task.cancel();
    task.finish();
    drop(runtime);
    remote.push(task);
    drop(handle);
    assert_eq!(Arc::strong_count(&remote), 1, "nothing but this test holds the shared half");
}

/// Red when the shared half is freed before the last task that outlives the runtime, or never.
#[test]
fn the_last_task_frees_the_shared_half_wherever_it_goes() {
    within(Duration::from_secs(20), || {
        for (early, late) in [(0, 0), (1, 0), (0, 1), (3, 2), (0, 7)] {
            let runtime = runtime();
            let remote = runtime.core.remote().clone();
            let mut kept: Vec<_> = (0..early + late).map(|_| spawn_in(&runtime, async { 7 })).collect();
            runtime.block_on(async {
                spawn(yield_now()).await.unwrap();
                yield_now().await;
            });
            let late = kept.split_off(early);
            // Elsewhere, while the runtime is there; and when it has gone.
            thread::spawn(move || drop(kept)).join().unwrap();
            drop(runtime);
            let left = late.len();
            assert_eq!(Arc::strong_count(&remote), 1 + usize::from(left > 0), "{left} tasks are left");
            let threads: Vec<_> = late.into_iter().map(|handle| thread::spawn(move || drop(handle))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(Arc::strong_count(&remote), 1, "nobody is left");
        }
    });
}

#[test]
fn a_handle_is_awaited_on_another_thread() {
    within(Duration::from_secs(20), || {
        let (give, got) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let (finish, finished) = mpsc::channel::<()>();
        let home = thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async {
                give.send(spawn(spawn_blocking(move || gate.recv()))).unwrap();
                let bad: JoinHandle<Result<_, _>> = spawn(async { panic!("carried") });
                give.send(bad).unwrap();
                spawn_blocking(move || finished.recv()).await.unwrap().unwrap();
            });
            runtime.shut_down()
        });
        let (first, second) = (got.recv().unwrap(), got.recv().unwrap());
        let elsewhere = runtime();
        elsewhere.block_on(async {
            let first = spawn(first);
            yield_now().await;
            open.send(()).unwrap();
            first.await.unwrap().unwrap().unwrap().unwrap();
            assert!(second.await.unwrap_err().is_panic());
        });
        finish.send(()).unwrap();
        assert_eq!(home.join().unwrap().unawaited_panics, 0);
    });
}

#[test]
fn a_handle_wakes_the_last_waker_it_was_polled_with() {
    let runtime = runtime();
    let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
    runtime.block_on(async {
        let mut handle = spawn(async { 9 });
        for waker in [&first, &first, &second] {
            assert!(poll_once(&mut handle, &waker.clone().into()).is_pending());
        }
        assert_eq!(Arc::strong_count(&first), 1, "the replaced waker is gone");
        yield_now().await;
        assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
        assert_eq!(Arc::strong_count(&second), 1);
        assert!(matches!(poll_once(&mut handle, Waker::noop()), Poll::Ready(Ok(9))));
        assert!(handle.is_finished());

        let mut dropped = spawn(pending::<()>());
        assert!(poll_once(&mut dropped, &first.clone().into()).is_pending());
        assert_eq!(Arc::strong_count(&first), 2);
        drop(dropped);
        assert_eq!(Arc::strong_count(&first), 1, "the handle takes its waker with it");
    });
}

#[test]
fn tasks_that_await_each_other_are_freed() {
    let drops = Arc::<Drops>::default();
    let runtime = runtime();
    runtime.block_on(async {
        let slots: [Rc<RefCell<Option<JoinHandle<()>>>>; 2] = Default::default();
        for (mine, other) in [(0, 1), (1, 0)] {
            let (slots_in, guard) = (slots.clone(), Home::new(&drops));
            let handle = spawn(async move {
                let _guard = guard;
                let handle = slots_in[other].take();
                let _ = handle.unwrap().await;
            });
            *slots[mine].borrow_mut() = Some(handle);
        }
        yield_now().await;
    });
    drop(runtime);
    drops.expect(2);
}

#[test]
fn no_remote_wake_is_lost() {
    const WAKES: usize = 25_000;
    within(Duration::from_secs(100), || {
        let runtime = runtime();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..4).map(|_| spawn(one_waker(WAKES))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        let metrics = runtime.metrics();
        assert!(metrics.remote_wakes_sent > 0 && metrics.remote_wakes_elided > 0, "{metrics:?}");
    });
}

/// A task that a thread wakes `wakes` times; every 64th time the thread waits until the task saw it.
async fn one_waker(wakes: usize) {
    let (published, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut thread = None;
    poll_fn(|cx| {
        let now = published.load(SeqCst);
        seen.store(now, SeqCst);
        if now == wakes {
            return Poll::Ready(());
        }
        thread.get_or_insert_with(|| {
            let (published, seen, waker) = (published.clone(), seen.clone(), cx.waker().clone());
            thread::spawn(move || {
                for n in 1..=wakes {
                    published.store(n, SeqCst);
                    waker.wake_by_ref();
                    while n % 64 == 0 && seen.load(SeqCst) < n {
                        thread::yield_now();
                    }
                }
            })
        });
        Poll::Pending
    })
    .await;
    thread.unwrap().join().unwrap();
}

#[test]
fn main_is_woken_from_another_thread() {
    within(Duration::from_secs(20), || {
        let runtime = runtime();
        let mut thread = None;
        let done = Arc::new(AtomicUsize::new(0));
        runtime.block_on(poll_fn(|cx| {
            let n = done.load(SeqCst);
            if n == 100 {
                return Poll::Ready(());
            }
            let (done, waker) = (done.clone(), cx.waker().clone());
            thread = Some(thread::spawn(move || {
                done.store(n + 1, SeqCst);
                waker.wake();
            }));
            Poll::Pending
        }));
        thread.unwrap().join().unwrap();
    });
}

#[test]
fn a_task_that_wakes_itself_goes_to_the_back() {
    let runtime = runtime();
    let order = Rc::new(RefCell::new(Vec::new()));
    runtime.block_on(async {
        let handles: Vec<_> = (0..3)
            .map(|id| {
                let order = order.clone();
                spawn(async move {
                    for _ in 0..3 {
                        order.borrow_mut().push(id);
                        yield_now().await;
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
    });
    assert_eq!(*order.borrow(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn spinning_tasks_starve_neither_main_nor_timers_nor_threads() {
    within(Duration::from_secs(20), || {
        let runtime = runtime();
        let (timer, thread) = (Rc::new(Cell::new(false)), Arc::new(Count::default()));
        runtime.block_on(async {
            for _ in 0..300 {
                drop(spawn(async {
                    loop {
                        yield_now().await;
                    }
                }));
            }
            let (flag, at) = (timer.clone(), Instant::now() + Duration::from_millis(5));
            let sleeper = spawn(async move {
                poll_fn(|cx| {
                    if Instant::now() >= at {
                        return Poll::Ready(());
                    }
                    super::timers().borrow_mut().insert(at, cx.waker().clone());
                    Poll::Pending
                })
                .await;
                flag.set(true);
            });
            spawn_blocking(|| thread::sleep(Duration::from_millis(2))).await.unwrap();
            sleeper.await.unwrap();
            // Main, too, may spin without stopping the others.
            spin_until_woken(&thread).await;
        });
        assert!(timer.get());
        let metrics = runtime.metrics();
        assert!(metrics.polls / metrics.turns <= super::core::POLLS_PER_TURN as u64, "{metrics:?}");
    });
}

async fn spin_until_woken(count: &Arc<Count>) {
    let waker: Waker = count.clone().into();
    thread::spawn(move || waker.wake());
    while count.0.load(SeqCst) == 0 {
        yield_now().await;
    }
}

#[test]
fn a_sleeping_runtime_wakes_for_its_timer() {
    within(Duration::from_secs(20), || {
        let runtime = runtime();
        let start = Instant::now();
        let at = start + Duration::from_millis(20);
        runtime.block_on(poll_fn(|cx| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            super::timers().borrow_mut().insert(at, cx.waker().clone());
            Poll::Pending
        }));
        assert!(runtime.metrics().turns < 10, "it slept: {:?}", runtime.metrics());
    });
}

#[test]
fn block_on_inside_block_on_names_both() {
    let (outer, inner) = (runtime(), runtime());
    let panic = outer.block_on(async {
        let task = spawn(async move { inner.block_on(async {}) });
        task.await.unwrap_err()
    });
    let text = panic.to_string();
    assert_eq!(text.matches("src/rt/tests.rs:").count(), 2, "{text}");
    assert!(text.contains("was called inside block_on at"), "{text}");
    assert_eq!(outer.block_on(async { 1 }), 1, "the refusal changed nothing");
}

#[test]
fn a_runtime_may_end_inside_another() {
    let (outer, inner) = (runtime(), runtime());
    let handle = spawn_in(&inner, pending::<()>());
    outer.block_on(async {
        let before = crate::driver::Driver::current().unwrap();
        drop(inner);
        assert!(
            Rc::ptr_eq(&before, &crate::driver::Driver::current().unwrap()),
            "the outer runtime is the current one again"
        );
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn outside_a_runtime_spawning_says_so() {
    for call in [|| drop(spawn(async {})), || drop(spawn_blocking(|| {}))] {
        let panic = catch_unwind(call).unwrap_err();
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap();
        assert!(text.contains("block_on"), "{text}");
    }
}

#[test]
fn a_task_spawned_during_the_end_is_cancelled() {
    let drops = Arc::<Drops>::default();
    let late = Rc::new(RefCell::new(None));
    let runtime = runtime();
    runtime.block_on(async {
        let (late, drops) = (late.clone(), drops.clone());
        drop(spawn(async move {
            let _guard = OnDrop(move || {
                let guard = Home::new(&drops);
                *late.borrow_mut() = Some(spawn(async {
                    let _guard = guard;
                }));
                let held = drops.clone();
                drop(spawn_blocking(move || held.all.fetch_add(100, SeqCst)));
            });
            pending::<()>().await;
        }));
        yield_now().await;
    });
    drop(runtime);
    drops.expect(1);
    let mut handle = late.take().unwrap();
    assert!(matches!(poll_once(&mut handle, Waker::noop()), Poll::Ready(Err(e)) if e.is_cancelled()));
}

#[test]
fn drop_may_wake_and_abort_at_the_end() {
    let drops = Arc::<Drops>::default();
    let runtime = runtime();
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    runtime.block_on(async {
        for _ in 0..3 {
            let (all, guard, sibling) = (wakers.clone(), Home::new(&drops), spawn(pending::<()>()));
            let wakers = wakers.clone();
            drop(spawn(async move {
                let _guard = OnDrop(move || {
                    let _guard = &guard;
                    sibling.abort();
                    all.borrow().iter().for_each(Waker::wake_by_ref);
                });
                poll_fn(|cx| {
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            }));
        }
        yield_now().await;
    });
    drop(runtime);
    drops.expect(3);
    wakers.take().into_iter().for_each(Waker::wake);
}

#[test]
fn blocking_work_gives_its_output_or_its_panic() {
    within(Duration::from_secs(20), || {
        let runtime = runtime();
        runtime.block_on(async {
            let here = thread::current().id();
            let there = spawn_blocking(|| thread::current().id()).await.unwrap();
            assert_ne!(here, there);
            let error = spawn_blocking(|| panic!("far away")).await.unwrap_err();
            assert_eq!(error.to_string(), "the task panicked: far away");
        });
        assert_eq!(runtime.metrics().blocking_jobs, 2);
        assert_eq!(runtime.shut_down().unawaited_panics, 0);
    });
}

#[test]
fn blocking_work_aborted_in_time_is_not_run() {
    let core_remote = runtime().core.remote().clone();
    let ran = Arc::new(AtomicBool::new(false));
    let flag = ran.clone();
    let (job, answer) = super::blocking::pair(move || flag.store(true, SeqCst), about(), core_remote.clone());
    drop(answer);
    job();
    assert!(!ran.load(SeqCst));
    // A job that is dropped answers too, and so does one that the pool refuses.
    let (job, answer) = super::blocking::pair(|| (), about(), core_remote.clone());
    drop(job);
    let Poll::Ready(outcome) = pin!(answer).poll(&mut Context::from_waker(Waker::noop())) else { panic!("no answer") };
    assert!(outcome.unwrap_err().is_cancelled());
    let (job, answer) = super::blocking::pair(|| (), about(), core_remote);
    drop(job);
    answer.refuse(io::Error::from_raw_os_error(libc::EAGAIN));
    let Poll::Ready(outcome) = pin!(answer).poll(&mut Context::from_waker(Waker::noop())) else { panic!("no answer") };
    assert_eq!(io::Error::from(outcome.unwrap_err()).raw_os_error(), Some(libc::EAGAIN));
}

#[test]
fn blocking_work_outlives_its_runtime() {
    within(Duration::from_secs(20), || {
        let (open, gate) = mpsc::channel::<()>();
        let (done, wait) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let output = Arc::new(Mutex::new(()));
        let runtime = runtime();
        let (kept, held) = (Arc::downgrade(&output), output);
        let handle = spawn_in(&runtime, async {
            let job = spawn_blocking(move || {
                begin.send(()).unwrap();
                let _ = gate.recv();
                (held, OnDrop(move || done.send(()).unwrap()))
            });
            job.await.map(drop)
        });
        runtime.block_on(async {
            yield_now().await;
            yield_now().await;
        });
        begun.recv().unwrap();
        drop(runtime);
        let mut handle = handle;
        assert!(matches!(poll_once(&mut handle, Waker::noop()), Poll::Ready(Err(e)) if e.is_cancelled()));
        open.send(()).unwrap();
        wait.recv().unwrap();
        assert!(kept.upgrade().is_none(), "the output nobody wanted is dropped");
    });
}

#[test]
fn a_thousand_runtimes_leave_no_descriptor() {
    let open = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    runtime().block_on(async {});
    let before = open();
    for n in 0..1000 {
        let runtime = runtime();
        assert_eq!(runtime.block_on(async { spawn(async move { n }).await.unwrap() }), n);
    }
    assert!(open() <= before + 50, "{before} descriptors before, {} after", open());
}

#[test]
fn absurd_numbers_are_refused() {
    for builder in [Builder::new().entries(0), Builder::new().entries(1 << 20), Builder::new().max_blocking_threads(0)]
    {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains("1 to 32768") || text.contains("at least one thread"), "{text}");
    }
}

/// Thread-locals are dropped one after the other, the last one first; a runtime may be among the earlier ones.
#[test]
fn a_runtime_in_a_thread_local_ends_with_its_thread() {
    thread_local! {
        static RUNTIME: Runtime = runtime();
        static KEPT: RefCell<Option<crate::Fd>> = const { RefCell::new(None) };
    }
    within(Duration::from_secs(20), || {
        let drops = Arc::<Drops>::default();
        for runtime_first in [false, true] {
            let (seen, (fd, mut peer)) = (drops.clone(), std::os::unix::net::UnixStream::pair().unwrap());
            let end = thread::spawn(move || {
                if !runtime_first {
                    KEPT.set(None);
                }
                let guard = Home::new(&seen);
                let late = OnDrop(|| drop(spawn(async {})));
                RUNTIME.with(|runtime| {
                    drop(spawn_in(runtime, async {
                        let (_guard, _late) = (guard, late);
                        crate::time::sleep(Duration::from_secs(100)).await;
                    }));
                    runtime.block_on(yield_now());
                });
                KEPT.set(Some(crate::Fd::new(fd.into())));
            });
            end.join().unwrap();
            assert_eq!(io::Read::read(&mut peer, &mut [0]).unwrap(), 0, "the descriptor is closed");
        }
        drops.expect(2);
    });
}

#[test]
fn a_deadline_too_long_for_the_clock_is_none() {
    let runtime = Builder::new().shutdown_deadline(Duration::MAX).build().unwrap();
    runtime.block_on(async { spawn_blocking(|| {}).await.unwrap() });
    drop(runtime);
}

/// A waker that a timer still holds may be anybody's, and panic when it is dropped.
#[test]
fn wakers_that_panic_do_not_keep_the_end_from_its_work() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a waker that panics in its drop, as the test wants it");
        }
    }
    let (fd, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        for _ in 0..2 {
            let far = Instant::now() + Duration::from_secs(100);
            super::timers().borrow_mut().insert(far, Waker::from(Arc::new(Bomb)));
        }
        let mut recv = crate::op::recv(&crate::Fd::new(fd.into()), Vec::with_capacity(1));
        crate::testing::poll_once(&mut recv).await;
    });
    assert!(catch_unwind(AssertUnwindSafe(|| drop(runtime))).is_ok());
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(io::Read::read(&mut peer, &mut [0]).unwrap(), 0, "what was in flight is finished");
}

/// The thread has answered, and the runtime ends before the task could see it.
#[test]
fn a_panic_of_blocking_work_that_nobody_saw_is_counted() {
    let runtime = runtime();
    let remote = runtime.core.remote().clone();
    let (job, answer) = super::blocking::pair(|| -> u8 { panic!("far away") }, about(), remote);
    drop(spawn_in(&runtime, answer));
    job();
    assert_eq!(runtime.shut_down().unawaited_panics, 1);
}
