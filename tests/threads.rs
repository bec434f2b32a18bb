//! The runtime among other threads: wakes from afar, closures that block, timers, and several runtimes at once.

use annulus::{
    Builder, DriverKind, JoinHandle,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    spawn, spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, Write},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// A value from another thread, once.
struct Oneshot<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Oneshot<T> {
    fn clone(&self) -> Oneshot<T> {
        Oneshot(self.0.clone())
    }
}

impl<T> Oneshot<T> {
    fn new() -> Oneshot<T> {
        Oneshot(Arc::new(Mutex::new((None, None))))
    }

    fn send(&self, value: T) {
        let mut inside = self.0.lock().unwrap();
        inside.0 = Some(value);
        let waker = inside.1.take();
        drop(inside);
        waker.into_iter().for_each(Waker::wake);
    }

    async fn receive(&self) -> T {
        poll_fn(|cx| {
            let mut inside = self.0.lock().unwrap();
            inside.1 = Some(cx.waker().clone());
            inside.0.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Two threads answer 100,000 questions. A lost wake is a hang, and so a failure of the deadline.
#[annulus::test]
async fn a_hundred_thousand_wakes_from_afar_are_not_lost() {
    const EACH: u32 = 50_000;
    let asker = |n: u32| {
        let (ask, questions) = mpsc::channel::<(u32, Oneshot<u32>)>();
        let answering = thread::spawn(move || questions.into_iter().for_each(|(n, answer)| answer.send(n + 1)));
        spawn(async move {
            let mut sum = 0u64;
            for n in n..n + EACH {
                let answer = Oneshot::new();
                ask.send((n, answer.clone())).unwrap();
                sum += u64::from(answer.receive().await - n);
            }
            drop(ask);
            answering.join().unwrap();
            sum
        })
    };
    let all = async {
        let (one, two) = (asker(0), asker(1_000_000));
        one.await.unwrap() + two.await.unwrap()
    };
    assert_eq!(timeout(Duration::from_secs(60), all).await.expect("a wake was lost"), 2 * u64::from(EACH));
    let metrics = annulus::metrics();
    assert!(metrics.remote_wakes_sent > 0, "{metrics:?}");
}

#[annulus::test]
async fn what_blocks_gives_its_output_or_its_panic() {
    let here = thread::current().id();
    let handles: Vec<JoinHandle<(u32, bool)>> =
        (0..200).map(|n| spawn_blocking(move || (n, thread::current().id() != here))).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap(), (n as u32, true));
    }
    let error = spawn_blocking(|| -> () { panic!("on purpose") }).await.unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7, "the pool works on");
    assert_eq!(annulus::metrics().blocking_jobs, 202);
}

#[test]
fn what_blocks_can_be_aborted_before_it_begins() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let runtime = match Builder::new().driver(kind).max_blocking_threads(1).build() {
            Ok(runtime) => runtime,
            Err(e) => {
                let _ = writeln!(io::stderr(), "SKIP what_blocks_can_be_aborted_before_it_begins: {e}");
                continue;
            }
        };
        runtime.block_on(async {
            let (go, gate) = mpsc::channel::<()>();
            let ran = Arc::new(AtomicBool::new(false));
            let there = ran.clone();
            let first = spawn_blocking(move || gate.recv().unwrap());
            let second = spawn_blocking(move || there.store(true, Ordering::SeqCst));
            second.abort();
            assert!(second.await.unwrap_err().is_cancelled());
            assert!(!first.is_finished(), "the only thread is taken");
            go.send(()).unwrap();
            first.await.unwrap();
            spawn_blocking(|| ()).await.unwrap();
            assert!(!ran.load(Ordering::SeqCst), "{kind}: it ran all the same");
        });
    }
}

#[annulus::test]
async fn what_blocks_does_not_keep_others_waiting() {
    let (go, gate) = mpsc::channel::<()>();
    let blocked = spawn_blocking(move || gate.recv().unwrap());
    for _ in 0..5 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!blocked.is_finished());
    go.send(()).unwrap();
    blocked.await.unwrap();
}

#[annulus::test]
async fn sleepers_wake_in_the_order_of_their_deadlines() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let sleeper = |ms: u64| {
        let order = order.clone();
        spawn(async move {
            sleep(Duration::from_millis(ms)).await;
            assert!(start.elapsed() >= Duration::from_millis(ms), "{ms} ms: early");
            order.borrow_mut().push(ms);
        })
    };
    let sleepers: Vec<_> = [50, 10, 90, 30, 70, 0].into_iter().map(sleeper).collect();
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
    assert_eq!(*order.borrow(), [0, 10, 30, 50, 70, 90]);
}

#[annulus::test]
async fn a_receive_that_timed_out_leaves_the_stream_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut b, _) = listener.accept().await.unwrap();
    for round in 0..20u8 {
        let start = Instant::now();
        let waited = timeout(Duration::from_millis(3), b.read(Vec::with_capacity(64))).await;
        assert!(waited.is_err() && start.elapsed() >= Duration::from_millis(3));
        // The cancellation is asked for, not done; what comes after it must not go to the receive that is gone.
        annulus::time::sleep(Duration::from_millis(1)).await;
        a.write_all(vec![round; 3]).await.0.unwrap();
        let reading = timeout(Duration::from_secs(10), b.read(Vec::with_capacity(64))).await;
        let (n, buf) = reading.expect("the receive that is gone took it");
        assert_eq!((n.unwrap(), buf), (3, vec![round; 3]));
    }
    assert_eq!(annulus::metrics().driver.cancels, 20);
    let in_time = timeout(Duration::from_secs(60), async { 5 }).await;
    assert_eq!(in_time.unwrap(), 5);
}

#[annulus::test]
async fn an_interval_keeps_its_rhythm() {
    const PERIOD: Duration = Duration::from_millis(5);
    let start = Instant::now();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let first = ticks.tick().await;
    for n in 1..=10 {
        let due = ticks.tick().await;
        assert_eq!(due.duration_since(first), PERIOD * n);
        assert!(start.elapsed() >= PERIOD * n, "tick {n} came early");
    }
}

#[test]
fn each_thread_has_a_runtime_of_its_own() {
    let listening = mpsc::channel();
    let threads: Vec<_> = (0..6)
        .map(|n| {
            let tell = listening.0.clone();
            thread::spawn(move || {
                let kind = if n % 2 == 0 { DriverKind::Uring } else { DriverKind::Poll };
                // A ring that cannot be had is another test's skip.
                let runtime = Builder::new().driver(kind).build();
                let runtime = runtime.or_else(|_| Builder::new().driver(DriverKind::Poll).build()).unwrap();
                runtime.block_on(serve_one(&tell));
                runtime.block_on(async { spawn(async { 6 * 7 }).await.unwrap() })
            })
        })
        .collect();
    // All of them at first: who waits for a channel inside a runtime keeps its closes waiting.
    let addrs: Vec<_> = listening.1.iter().take(threads.len()).collect();
    let client = Builder::new().build().unwrap();
    let talks = Cell::new(0);
    client.block_on(async {
        for addr in addrs {
            let mut stream = TcpStream::connect_addr(addr).await.unwrap();
            for n in 0..200u8 {
                stream.write_all(vec![n; 10]).await.0.unwrap();
                assert_eq!(stream.read(Vec::with_capacity(64)).await.1, vec![n; 10]);
            }
            talks.set(talks.get() + 1);
        }
    });
    drop(client);
    assert_eq!(talks.get(), 6);
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 42));
}

async fn serve_one(tell: &mpsc::Sender<std::net::SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    tell.send(listener.local_addr().unwrap()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buf = Vec::with_capacity(64);
    let mut res;
    loop {
        (res, buf) = stream.read(buf).await;
        if res.unwrap() == 0 {
            return;
        }
        (res, buf) = stream.write_all(buf).await;
        res.unwrap();
        buf.clear();
    }
}

/// A handle may be awaited on another thread, in another runtime, of another driver.
#[test]
fn a_handle_travels() {
    let (tell, handles) = mpsc::channel::<JoinHandle<u32>>();
    let done = Arc::new(AtomicU32::new(0));
    let there = done.clone();
    let other = thread::spawn(move || {
        let runtime = Builder::new().driver(DriverKind::Poll).build().unwrap();
        runtime.block_on(async {
            for handle in handles {
                there.fetch_add(handle.await.unwrap(), Ordering::SeqCst);
            }
        });
    });
    annulus::run(async {
        for n in 0..1000 {
            tell.send(spawn(async move {
                annulus::yield_now().await;
                n % 2
            }))
            .unwrap();
        }
        drop(tell);
        while done.load(Ordering::SeqCst) < 500 {
            sleep(Duration::from_millis(1)).await;
        }
    });
    other.join().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 500);
}
