//! Whatever spins or floods, the rest goes on; no wake is lost, and none is worth more than one poll.

use super::pair;
use annulus::{
    Fd, JoinHandle, op, spawn, spawn_blocking,
    time::{sleep, timeout},
    yield_now,
};
use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    io::Write,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// So much of each has to come while the others spin.
const ENOUGH: usize = 30;
/// What is not there after so long has starved.
const STARVED: Duration = Duration::from_secs(60);

/// A thread that is stopped and waited for when this is dropped.
struct Stop(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Stop {
    fn when_dropped(mut run: impl FnMut(&AtomicBool) + Send + 'static) -> Stop {
        let stop = Arc::new(AtomicBool::new(false));
        let there = stop.clone();
        Stop(stop, Some(thread::spawn(move || run(&there))))
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
        self.1.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// What spins while everything else has to go on. It ends when what it gives is dropped.
enum Hog {
    Tasks(#[allow(dead_code, reason = "to be dropped")] Vec<Aborted>),
    Main,
    Flood(#[allow(dead_code, reason = "to be dropped")] (Vec<Aborted>, Stop)),
}

/// A task that is aborted when this is dropped.
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// More tasks than fit a turn, each of which always wants its turn.
fn tasks_that_spin() -> Hog {
    let spin = async || {
        loop {
            yield_now().await;
        }
    };
    Hog::Tasks((0..300).map(|_| Aborted(spawn(spin()))).collect())
}

/// Tasks that a thread wakes all the time.
fn wakes_from_afar() -> Hog {
    let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let task = |_| {
        let wakers = wakers.clone();
        let mut told = false;
        Aborted(spawn(poll_fn(move |cx| {
            if !std::mem::replace(&mut told, true) {
                wakers.lock().unwrap().push(cx.waker().clone());
            }
            Poll::Pending
        })))
    };
    let tasks = (0..300).map(task).collect();
    let flood = Stop::when_dropped(move |stop| {
        while !stop.load(SeqCst) {
            wakers.lock().unwrap().iter().for_each(Waker::wake_by_ref);
        }
    });
    Hog::Flood((tasks, flood))
}

/// Operations that always complete.
fn completions() -> Hog {
    let nops = async || {
        loop {
            op::nop().await.unwrap();
        }
    };
    Hog::Tasks((0..300).map(|_| Aborted(spawn(nops()))).collect())
}

/// Something that has to go on.
fn service<F: Future<Output = ()>>(each: impl Fn() -> F + 'static) -> JoinHandle<()> {
    spawn(async move {
        for _ in 0..ENOUGH {
            each().await;
        }
    })
}

async fn wake_from_afar() {
    let done = Arc::new(AtomicBool::new(false));
    let mut thread = None;
    poll_fn(|cx| {
        thread.get_or_insert_with(|| {
            let (done, waker) = (done.clone(), cx.waker().clone());
            thread::spawn(move || {
                done.store(true, SeqCst);
                waker.wake();
            })
        });
        if done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    thread.unwrap().join().unwrap();
}

async fn echo((fd, mut peer): (Fd, std::os::unix::net::UnixStream)) {
    let writer = spawn_blocking(move || {
        thread::sleep(Duration::from_millis(1));
        peer.write_all(b"a").unwrap();
    });
    assert_eq!(op::recv(&fd, vec![0; 8]).await.0.unwrap(), 1);
    writer.await.unwrap();
}

async fn read_a_file() {
    let file = annulus::fs::File::open("Cargo.toml").await.unwrap();
    assert!(file.read_at(vec![0; 64], 0).await.0.unwrap() > 0);
    file.close().await.unwrap();
}

async fn a_fresh_task() {
    assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
}

async fn all_go_on(spins: &str, hog: Hog) {
    let services = [
        ("timers", service(|| sleep(Duration::from_millis(1)))),
        ("wakes from afar", service(wake_from_afar)),
        ("receives", service(|| echo(pair()))),
        ("files", service(read_a_file)),
        ("closures", service(|| async { spawn_blocking(|| ()).await.unwrap() })),
        ("tasks", service(a_fresh_task)),
    ];
    let begun = Instant::now();
    for (name, service) in services {
        while !service.is_finished() {
            assert!(begun.elapsed() < STARVED, "{name} starve while {spins} spin: {:?}", annulus::metrics());
            match hog {
                Hog::Main => yield_now().await,
                Hog::Tasks(_) | Hog::Flood(_) => sleep(Duration::from_millis(1)).await,
            }
        }
        service.await.unwrap();
    }
}

#[annulus::test]
async fn everything_goes_on_whatever_spins() {
    all_go_on("tasks", tasks_that_spin()).await;
    all_go_on("the main future", Hog::Main).await;
    all_go_on("wakes from afar", wakes_from_afar()).await;
    all_go_on("completions", completions()).await;
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Waits for a moment: now and then long enough for the other side to fall asleep.
    fn pause(&mut self) {
        match self.below(64) {
            0 => thread::sleep(Duration::from_micros(self.below(60))),
            1..8 => thread::yield_now(),
            // Mostly about as long as the other side takes on its way to sleep.
            most => (0..self.below(1 << (most % 10))).for_each(|_| std::hint::spin_loop()),
        }
    }
}

/// Somebody and a thread that wait for each other in turns, at random distances. A lost wake is for ever.
async fn in_turns(seed: u64) -> usize {
    const LONG: Duration = Duration::from_millis(800);
    let (asked, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let thread = {
        let (asked, answered, waker) = (asked.clone(), answered.clone(), waker.clone());
        let (mut random, mut last) = (Random(seed), 0);
        Stop::when_dropped(move |stop| {
            while !stop.load(SeqCst) {
                let question = asked.load(SeqCst);
                if question == last {
                    std::hint::spin_loop();
                    continue;
                }
                last = question;
                random.pause();
                answered.store(question, SeqCst);
                waker.lock().unwrap().take().into_iter().for_each(Waker::wake);
            }
        })
    };
    let (begun, mut random) = (Instant::now(), Random(!seed));
    let mut rounds = 0;
    while begun.elapsed() < LONG || rounds < 100 {
        rounds += 1;
        // The way to sleep is longer with something to do before it.
        (0..random.below(1 << (rounds % 7))).for_each(|_| drop(spawn(async {})));
        asked.store(rounds, SeqCst);
        poll_fn(|cx| {
            *waker.lock().unwrap() = Some(cx.waker().clone());
            if answered.load(SeqCst) == rounds { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    drop(thread);
    rounds
}

/// The main future and a task each, because they are woken in different ways. Nothing else is there that could wake the
/// runtime: a watchdog outside ends the process.
#[annulus::test]
async fn sleeps_and_wakes_at_random() {
    let _watchdog = Stop::when_dropped(move |stop| {
        let begun = Instant::now();
        while !stop.load(SeqCst) && begun.elapsed() < STARVED {
            thread::sleep(Duration::from_millis(20));
        }
        if !stop.load(SeqCst) {
            let _ = writeln!(std::io::stderr(), "a wake was lost");
            std::process::abort();
        }
    });
    let main = in_turns(0x9E37_79B9_7F4A_7C15).await;
    let task = spawn(in_turns(0x2545_F491_4F6C_DD1D)).await.unwrap();
    let metrics = annulus::metrics();
    println!(
        "{main} and {task} rounds: {} wakes sent, {} elided",
        metrics.remote_wakes_sent, metrics.remote_wakes_elided
    );
    assert!(metrics.remote_wakes_sent > 0, "{main} and {task} rounds: {metrics:?}");
}

/// A task that is woken a thousand times by eight threads and by its own, before its turn comes: it is polled once.
#[annulus::test]
async fn a_batch_of_wakes_is_one_poll() {
    let polls = Rc::new(Cell::new(0));
    let mine: Rc<Cell<Option<Waker>>> = Rc::default();
    let (counts, tells) = (polls.clone(), mine.clone());
    let task = Aborted(spawn(poll_fn(move |cx| {
        counts.set(counts.get() + 1);
        tells.set(Some(cx.waker().clone()));
        Poll::<()>::Pending
    })));
    for batch in 1..=20 {
        // One sleep may be over before it began, where this thread does not get its time.
        for _ in 0..1000 {
            sleep(Duration::from_millis(1)).await;
            if polls.get() >= batch {
                break;
            }
        }
        assert_eq!(polls.get(), batch);
        let waker = mine.take().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                let waker = waker.clone();
                scope.spawn(move || (0..100).for_each(|_| waker.wake_by_ref()));
            }
        });
        (0..200).for_each(|_| waker.wake_by_ref());
        assert_eq!(polls.get(), batch, "not before its turn");
    }
    drop(task);
}

/// Thousands of tasks with something under way, aborted in a mixed order, here and from another thread, while answers
/// come.
#[annulus::test]
async fn a_storm_of_cancels() {
    const TASKS: usize = 300;
    let mut random = Random(7);
    // Kept until the end, because an end of theirs would end what waits as a cancel does.
    let mut peers = Vec::new();
    for round in 0..4 {
        let mut handles = Vec::new();
        for n in 0..TASKS {
            let (fd, peer) = pair();
            peers.push(peer);
            handles.push(spawn(async move {
                match n % 4 {
                    0 => drop(timeout(Duration::from_millis(3), op::recv(&fd, vec![0; 8])).await),
                    1 => drop(spawn_blocking(|| ()).await),
                    2 => sleep(Duration::from_millis(2)).await,
                    _ => drop(op::recv(&fd, vec![0; 8]).await),
                }
                pending::<()>().await;
            }));
        }
        sleep(Duration::from_millis(round)).await;
        for n in (1..TASKS).rev() {
            handles.swap(n, random.below(n as u64 + 1) as usize);
        }
        let far = handles.split_off(TASKS / 2);
        let other = thread::spawn(move || {
            far.iter().for_each(JoinHandle::abort);
            far
        });
        for (handle, peer) in handles.iter().zip(peers.iter_mut().rev()) {
            handle.abort();
            // The other end is closed where the abort was quick.
            let _ = peer.write_all(b"abc");
        }
        handles.extend(other.join().unwrap());
        for handle in handles {
            let end = timeout(STARVED, handle).await.expect("an abort was lost");
            assert!(end.unwrap_err().is_cancelled());
        }
    }
    let begun = Instant::now();
    while annulus::metrics().driver.slots > 0 {
        assert!(begun.elapsed() < STARVED, "a cancel was lost: {:?}", annulus::metrics());
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(annulus::metrics().tasks_alive, 0);
}
