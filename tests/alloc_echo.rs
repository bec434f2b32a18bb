//! What the work costs in allocations once it is warm: an echo none, a wake from another thread none, a connection a
//! stated few. Prints what a round trip costs in turns, enters and entries.
#![cfg(not(annulus_kqueue = "emulated"))] // the emulation of kqueue allocates where a kernel would not

#[path = "outside/counting.rs"]
mod counting;
#[path = "outside/echo.rs"]
mod echo;

use annulus::{
    Metrics,
    net::{TcpListener, TcpStream},
};
use counting::ALLOCATIONS;
use echo::{round_trips, serve};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

const ROUNDS: usize = 10_000;

#[annulus::test]
async fn an_echo_allocates_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = annulus::spawn(serve(listener.accept().await.unwrap().0));
    let bufs = round_trips(&mut client, 100, (vec![42; 512], Vec::with_capacity(512))).await;
    let (before, start) = (ALLOCATIONS.get(), annulus::metrics());
    let bufs = round_trips(&mut client, ROUNDS, bufs).await;
    let (after, end) = (ALLOCATIONS.get(), annulus::metrics());
    assert_eq!(after - before, 0, "allocations in {ROUNDS} round trips");
    assert_eq!(bufs.0, bufs.1);
    print(&start, &end);
    assert_eq!(end.driver.twins_pool, 0, "sockets have nothing to do with the pool");
    assert_eq!(end.pool.threads, 0);
    drop(client);
    server.await.unwrap();
}

/// The poll driver looks after those who wait, for the first time a second after they began.
#[annulus::test]
async fn a_look_after_an_idle_connection_allocates_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = annulus::spawn(serve(listener.accept().await.unwrap().0));
    // The wheel makes a level when its first timer comes.
    let long = || annulus::time::sleep(Duration::from_millis(1200));
    annulus::time::timeout(Duration::from_millis(1), long()).await.unwrap_err();
    let before = ALLOCATIONS.get();
    long().await;
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in an idle second");
    drop(client);
    server.await.unwrap();
}

fn print(start: &Metrics, end: &Metrics) {
    let each = |what: fn(&Metrics) -> u64| (what(end) - what(start)) as f64 / ROUNDS as f64;
    println!(
        "{}: per round trip {:.3} enters, {:.3} turns, {:.3} entries, {:.3} twins, {:.3} polls",
        annulus::driver(),
        each(|m| m.driver.enters),
        each(|m| m.driver.turns),
        each(|m| m.driver.sqes_total()),
        each(|m| m.driver.twins_ready),
        each(|m| m.polls),
    );
}

/// The allocations of one connection, made and closed at both ends: a counted descriptor for each end, and the address
/// to connect to.
const PER_CONNECTION: usize = 3;

#[annulus::test]
async fn a_connection_allocates_little() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = async |many: usize| {
        for _ in 0..many {
            let client = TcpStream::connect_addr(addr).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            drop((client, server));
        }
    };
    connections(100).await;
    let before = ALLOCATIONS.get();
    connections(1000).await;
    let each = (ALLOCATIONS.get() - before) as f64 / 1000.0;
    println!("{}: {each:.3} allocations per connection", annulus::driver());
    assert!(each <= PER_CONNECTION as f64, "{each} allocations per connection");
    assert_eq!(annulus::metrics().driver.twins_pool, 0, "closing a socket has nothing to do with the pool");
}

#[derive(Default)]
struct Shared {
    asked: AtomicU32,
    answered: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

/// Answers each question by a wake, and gives how often that allocated.
fn answer(shared: &Shared, questions: u32) -> usize {
    let before = ALLOCATIONS.get();
    for n in 1..=questions {
        while shared.asked.load(Ordering::Acquire) < n {
            thread::park();
        }
        shared.answered.store(n, Ordering::Release);
        let waker = shared.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
    ALLOCATIONS.get() - before
}

async fn ask(shared: &Shared, thread: &thread::Thread) {
    let n = shared.asked.fetch_add(1, Ordering::Release) + 1;
    let mut asked = false;
    poll_fn(|cx| {
        *shared.waker.lock().unwrap() = Some(cx.waker().clone());
        if !std::mem::replace(&mut asked, true) {
            thread.unpark();
        }
        if shared.answered.load(Ordering::Acquire) >= n { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Who is to be woken sleeps by then, unless the machine is very slow. Red when a driver makes room for completions
/// only when the first one comes: whatever else was to allocate nothing would do so now and then.
#[annulus::test]
async fn the_first_wake_from_afar_allocates_nothing() {
    let shared = Arc::new(Shared::default());
    let there = shared.clone();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        answer(&there, 1)
    });
    // The poll driver has its room for events from the first wait on.
    annulus::time::sleep(Duration::from_millis(1)).await;
    let before = ALLOCATIONS.get();
    ask(&shared, other.thread()).await;
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations of who is woken");
    other.join().unwrap();
}

#[annulus::test]
async fn a_wake_from_afar_allocates_nothing() {
    const QUESTIONS: u32 = 2000;
    let shared = Arc::new(Shared::default());
    let there = shared.clone();
    let other = thread::spawn(move || answer(&there, QUESTIONS));
    let task = annulus::spawn(async move {
        // An answer that comes at once is not waited for, and the poll driver has its room for events from a wait on.
        annulus::time::sleep(Duration::from_millis(1)).await;
        ask(&shared, other.thread()).await;
        let before = ALLOCATIONS.get();
        for _ in 1..QUESTIONS {
            ask(&shared, other.thread()).await;
        }
        (ALLOCATIONS.get() - before, other.join().unwrap())
    });
    let (here, there) = task.await.unwrap();
    assert_eq!(here, 0, "allocations of who is woken");
    assert!(there <= 1, "{there} allocations of who wakes; the first park makes the thread's handle");
    assert!(annulus::metrics().remote_wakes_sent > 0, "nobody slept");
}
