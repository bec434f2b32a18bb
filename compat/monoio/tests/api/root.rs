//! The root, builders, runtimes, tasks, closures that block, macros, utilities.

use crate::{call, called, names};
use monoio::{
    FusionDriver, FusionRuntime, IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder,
    blocking::{BlockingStrategy, BlockingTask, JoinError, ThreadPool},
    time::TimeDriver,
};
use std::{
    future::ready,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

pub(crate) async fn all() {
    // Runtimes have threads of their own: this one has a runtime already.
    for name in std::thread::spawn(runtimes).join().unwrap() {
        called(name);
    }
    let task = call!(spawn)(async { 6 * 7 });
    assert!(!call!(task::JoinHandle::is_finished)(&task));
    assert_eq!(task.await, 42);
    assert_eq!(call!(spawn_blocking)(|| 1).await.unwrap(), 1);
    assert_eq!(call!(blocking::spawn_blocking)(|| 2).await.unwrap(), 2);
    macros().await;
    utils().await;
}

/// A pool that counts, and runs what it is given on this thread, or nothing.
#[derive(Clone)]
struct Counting(Arc<AtomicUsize>, bool);

impl ThreadPool for Counting {
    fn schedule_task(&self, task: BlockingTask) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 {
            BlockingTask::run(task);
        }
    }
}

fn runtimes() -> Vec<&'static str> {
    assert_eq!(call!(start => monoio::start::<LegacyDriver, _>)(ready(7)), 7);

    let builder = call!(RuntimeBuilder::new => RuntimeBuilder::<FusionDriver>::new)();
    let builder = call!(RuntimeBuilder::with_entries)(builder, 1);
    let builder = call!(RuntimeBuilder::enable_timer)(builder);
    let mut fusion: names::Fusion =
        call!(RuntimeBuilder::build => RuntimeBuilder::<TimeDriver<FusionDriver>>::build)(builder).unwrap();
    assert_eq!(
        names::which(&fusion) == "legacy",
        call!(FusionRuntime::block_on)(&mut fusion, async { monoio::utils::is_legacy() })
    );
    let mut plain: FusionRuntime<IoUringDriver, LegacyDriver> = RuntimeBuilder::<FusionDriver>::new().build().unwrap();
    // What it runs may borrow.
    let mut borrowed = 0;
    plain.block_on(async { borrowed += 1 });
    assert_eq!(borrowed, 1);

    let builder = call!(RuntimeBuilder::default => <RuntimeBuilder<LegacyDriver> as Default>::default)();
    let builder: RuntimeBuilder<TimeDriver<LegacyDriver>> = call!(RuntimeBuilder::enable_all)(builder);
    let mut legacy: Runtime<TimeDriver<LegacyDriver>> = call!(Buildable::build)(builder).unwrap();
    assert!(call!(Runtime::block_on)(&mut legacy, async { monoio::utils::is_legacy() }));
    let mut legacy: names::Fusion = call!(FusionRuntime::from => From::from)(legacy);
    assert_eq!((names::which(&legacy), legacy.block_on(ready(1))), ("legacy", 1));
    if let Ok(mut uring) = RuntimeBuilder::<TimeDriver<IoUringDriver>>::new().build() {
        assert!(uring.block_on(async { !monoio::utils::is_legacy() }));
        assert_eq!(names::which(&uring.into()), "uring");
        let runtime: FusionRuntime<IoUringDriver, LegacyDriver> =
            RuntimeBuilder::<IoUringDriver>::new().build().unwrap().into();
        assert!(matches!(runtime, FusionRuntime::Uring(_)));
    }
    pools();
    crate::CALLED.take().into_iter().collect()
}

fn pools() {
    let pool = call!(blocking::DefaultThreadPool::new)(2);
    let builder = RuntimeBuilder::<LegacyDriver>::new();
    let mut runtime = call!(RuntimeBuilder::attach_thread_pool)(builder, Box::new(pool.clone())).build().unwrap();
    let here = std::thread::current().id();
    let there = runtime.block_on(async { monoio::spawn_blocking(|| std::thread::current().id()).await.unwrap() });
    assert_ne!(here, there);

    /// Passes on to a pool by the trait's method.
    struct Passing<P>(P);
    impl<P: ThreadPool> ThreadPool for Passing<P> {
        fn schedule_task(&self, task: BlockingTask) {
            call!(blocking::ThreadPool::schedule_task)(&self.0, task);
        }
    }
    for (runs, outcome) in [(true, true), (false, false)] {
        let counting = Counting(Arc::default(), runs);
        let pool = Box::new(Passing(counting.clone()));
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().attach_thread_pool(pool).build().unwrap();
        let answer: Result<u8, JoinError> = runtime.block_on(async { monoio::spawn_blocking(|| 5).await });
        assert_eq!((answer.is_ok(), counting.0.load(Ordering::Relaxed)), (outcome, 1));
    }
    called("blocking::BlockingTask::run");

    let builder = RuntimeBuilder::<LegacyDriver>::new();
    let builder = call!(RuntimeBuilder::with_blocking_strategy)(builder, BlockingStrategy::ExecuteLocal);
    let mut runtime = builder.build().unwrap();
    // One that is run here may start another: red when the second waits for the first for ever.
    let inner = || monoio::spawn_blocking(|| std::thread::current().id());
    let there = runtime.block_on(async move { monoio::spawn_blocking(move || drop(inner())).await.and(inner().await) });
    assert_eq!(there.unwrap(), here);
    let strict = RuntimeBuilder::<LegacyDriver>::new().with_blocking_strategy(BlockingStrategy::Panic);
    let mut strict = strict.build().unwrap();
    let spawn = std::panic::AssertUnwindSafe(|| strict.block_on(async { drop(monoio::spawn_blocking(|| ())) }));
    assert!(std::panic::catch_unwind(spawn).is_err());
    // Names are looked up all the same, and what was refused is forgotten in the next runtime.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    strict.block_on(async { monoio::net::TcpStream::connect(("localhost", port)).await }).unwrap();
    assert_eq!(monoio::start::<LegacyDriver, _>(async { monoio::spawn_blocking(|| 5).await }).unwrap(), 5);
}

async fn macros() {
    monoio::scoped_thread_local!(static DEPTH: u8);
    assert!(!call!(macros::scoped_tls::ScopedKey::is_set)(&DEPTH));
    assert_eq!(call!(macros::scoped_tls::ScopedKey::try_with)(&DEPTH, |depth: Option<&u8>| depth.copied()), None);
    let deep = || call!(macros::scoped_tls::ScopedKey::with)(&DEPTH, |depth: &u8| depth + 1);
    assert_eq!(call!(macros::scoped_tls::ScopedKey::set)(&DEPTH, &3, deep), 4);

    assert_eq!(call!(macros::support::poll_fn)(|_| Poll::Ready(1)).await, 1);
    let mut done = pin!(call!(macros::support::maybe_done)(ready(2)));
    done.as_mut().await;
    assert_eq!(done.take_output(), Some(2));
    assert_eq!(call!(macros::support::thread_rng_n)(1), 0);

    assert_eq!(monoio::join!(ready(1), ready(2)), (1, 2));
    assert_eq!(monoio::try_join!(ready(Ok::<_, u8>(1)), ready(Err::<u8, u8>(2))), Err(2));
    let picked = monoio::select! {
        biased;
        n = ready(3), if false => n,
        () = std::future::pending() => 0,
        n = ready(4) => n,
        else => 5,
    };
    assert_eq!(picked, 4);
    let future = ready(6);
    monoio::pin!(future);
    assert_eq!(future.as_mut().await, 6);
}

async fn utils() {
    assert!(call!(utils::thread_rng_n)(10) < 10);
    let detected = call!(utils::detect_uring)();
    let legacy = call!(utils::is_legacy)();
    assert!(detected || legacy);
    assert!(call!(utils::bind_to_cpu_set)(Vec::new()).is_err(), "a thread has to be somewhere");
    #[cfg(feature = "signal")]
    interrupted().await;
}

#[cfg(feature = "signal")]
async fn interrupted() {
    use monoio::utils::CtrlC;
    let interrupted: CtrlC = call!(utils::CtrlC::new)().unwrap();
    call!(utils::CtrlC::ctrlc)();
    interrupted.await;
}
