//! Wakes from afar: by which path they come, what happens where a path is closed, and that none is lost or goes astray
//! while runtimes come and go.
#![cfg(not(annulus_kqueue))] // which has one path

#[path = "outside/again.rs"]
mod again;
#[path = "outside/limits.rs"]
mod limits;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind, Metrics, Runtime,
    time::{sleep, timeout},
    yield_now,
};
use std::{
    future::poll_fn,
    io::{self, Write},
    os::fd::AsRawFd,
    pin::Pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

const ROUNDS: u64 = 2000;
const LONG: Duration = Duration::from_secs(20);

fn build(kind: DriverKind) -> io::Result<Runtime> {
    Builder::new().driver(kind).entries(8).build()
}

fn both(name: &str, test: impl Fn(DriverKind)) {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        match build(kind) {
            Ok(_) => test(kind),
            Err(e) => drop(writeln!(io::stderr(), "SKIP {name}: {e}")),
        }
    }
}

/// A number that another thread raises, and the waker of who waits for that.
#[derive(Default)]
struct Shared {
    number: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Shared {
    fn reach(&self, number: u64) {
        self.number.store(number, SeqCst);
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, number: u64, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.number.load(SeqCst) >= number { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The runtime sleeps, and a thread, prepared by `prepare`, wakes it, again and again.
fn ping_pong(runtime: &Runtime, rounds: u64, prepare: impl FnOnce() + Send + 'static) -> Metrics {
    let shared = Arc::new(Shared::default());
    let far = shared.clone();
    let (go, gone) = mpsc::channel();
    let other = thread::spawn(move || {
        prepare();
        for n in gone {
            if n % 3 == 0 {
                thread::sleep(Duration::from_micros(n % 50));
            }
            far.reach(n);
        }
    });
    runtime.block_on(async {
        for n in 1..=rounds {
            go.send(n).unwrap();
            let begun = Instant::now();
            // Whoever is not woken finds the number when the time is up.
            let _ = timeout(LONG, poll_fn(|cx| shared.poll(n, cx))).await;
            assert!(begun.elapsed() < LONG, "a wake was lost");
        }
        drop(go);
    });
    other.join().unwrap();
    // Rings that came when nobody slept any more are heard here.
    runtime.block_on(sleep(Duration::from_millis(2)));
    runtime.metrics()
}

/// Red when a message is taken for a stray, and when the counter is watched again after a message.
#[test]
fn a_ring_is_woken_by_messages_where_the_kernel_has_them() {
    const NAME: &str = "a_ring_is_woken_by_messages_where_the_kernel_has_them";
    let Some(hidden) = role() else {
        if let Err(e) = build(DriverKind::Uring) {
            return drop(writeln!(io::stderr(), "SKIP {NAME}: {e}"));
        }
        passes(&mut again(NAME, "nothing"));
        passes(again(NAME, "messages").env("ANNULUS_HIDE_OPS", "SEND_MSG_RING"));
        return;
    };
    let metrics = ping_pong(&build(DriverKind::Uring).unwrap(), ROUNDS, || ());
    let (messages, counter) = (metrics.driver.woken_by_message, metrics.driver.woken_by_counter);
    let sent = metrics.remote_wakes_sent;
    assert!(sent > 0 && metrics.driver.strays == 0, "{metrics:?}");
    match (hidden.as_str(), messages) {
        ("nothing", 0) => drop(writeln!(io::stderr(), "SKIP {NAME}: this kernel has no such messages")),
        ("nothing", _) => assert!(messages == sent && counter == 0, "{metrics:?}"),
        // It may be rung again before the first ring was heard, which makes one of two.
        _ => assert!(messages == 0 && (1..=sent).contains(&counter), "{metrics:?}"),
    }
    // The counter is watched once, and then again only after it rang.
    assert!(metrics.driver.sqes_of("POLL_ADD") <= 1 + counter, "{metrics:?}");
}

/// A thread that a filter keeps from sending messages wakes by the counter. Red when a message that fails is forgotten.
#[test]
fn who_may_not_send_messages_wakes_all_the_same() {
    const NAME: &str = "who_may_not_send_messages_wakes_all_the_same";
    let runtime = match build(DriverKind::Uring) {
        Ok(runtime) => runtime,
        Err(e) => return drop(writeln!(io::stderr(), "SKIP {NAME}: {e}")),
    };
    let before = ping_pong(&runtime, 100, || ()).driver;
    if before.woken_by_message == 0 {
        return drop(writeln!(io::stderr(), "SKIP {NAME}: this kernel has no such messages"));
    }
    let after = ping_pong(&runtime, ROUNDS, forbid_messages).driver;
    assert_eq!((after.woken_by_message, after.strays), (before.woken_by_message, 0), "{after:?}");
    assert!(after.woken_by_counter > 0, "{after:?}");
}

/// Red when a runtime that could not make what rings it sleeps as if it had.
#[test]
fn without_descriptors_a_wake_comes_all_the_same() {
    const NAME: &str = "without_descriptors_a_wake_comes_all_the_same";
    let Some(driver) = role() else {
        passes(&mut again(NAME, "poll"));
        match build(DriverKind::Uring) {
            Ok(_) => drop(passes(&mut again(NAME, "uring"))),
            Err(e) => drop(writeln!(io::stderr(), "SKIP {NAME}: {e}")),
        }
        return;
    };
    // With one descriptor left, the poll driver has what it sleeps at, and nothing to be rung by.
    for left in [0, 1] {
        let runtime = build(if driver == "poll" { DriverKind::Poll } else { DriverKind::Uring }).unwrap();
        let (tell, told) = futures_channel::oneshot::channel();
        let teller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            tell.send(7).unwrap();
        });
        let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
        let limit = limits::set_soft(libc::RLIMIT_NOFILE, next + left);
        let begun = Instant::now();
        let heard = runtime.block_on(async { timeout(LONG, told).await });
        limits::set_soft(libc::RLIMIT_NOFILE, limit);
        assert_eq!(heard.expect("a wake was lost"), Ok(7));
        assert!(begun.elapsed() < LONG / 2, "the timeout made up for a wake that was lost");
        teller.join().unwrap();
    }
}

/// `io_uring_register(2)` is answered with EPERM on this thread from now on.
fn forbid_messages() {
    let step = |code: u32, k: u32, jf: u8| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_io_uring_register as u32, 1),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: Plain call: no memory is named.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: Kernel's word: the program is read before the call returns, and holds for this thread alone.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) }, 0);
}

/// Gives its waker away, and never ends.
struct Exposed(Arc<Mutex<Vec<Waker>>>);

impl Future for Exposed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }
}

/// Eight threads wake runtimes that sleep, that end and that are long gone, while their descriptors are used again by
/// newer ones. None of those gets an answer that it did not ask for, or a message that was not for it.
#[test]
fn wakes_of_the_dead_reach_nobody() {
    both("wakes_of_the_dead_reach_nobody", |kind| {
        let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let start = Arc::new(Barrier::new(9));
        let wake = {
            let (wakers, stop, start) = (wakers.clone(), stop.clone(), start.clone());
            move |nth: usize| {
                start.wait();
                while !stop.load(SeqCst) {
                    let some: Vec<Waker> = wakers.lock().unwrap().iter().skip(nth).step_by(3).cloned().collect();
                    some.iter().for_each(Waker::wake_by_ref);
                    thread::yield_now();
                }
            }
        };
        let threads: Vec<_> = (0..8)
            .map(|n| {
                thread::spawn({
                    let wake = wake.clone();
                    move || wake(n)
                })
            })
            .collect();
        start.wait();
        for _ in 0..300 {
            let runtime = build(kind).unwrap();
            runtime.block_on(async {
                drop(annulus::spawn(Exposed(wakers.clone())));
                let _ = timeout(Duration::from_micros(200), Exposed(wakers.clone())).await;
                yield_now().await;
            });
            let Metrics { remote_wakes_sent: sent, driver, .. } = runtime.shut_down();
            assert_eq!(driver.strays, 0, "{kind}: {driver:?}");
            assert!(driver.woken_by_message <= sent, "{kind}: a wake of somebody else's came here: {driver:?}, {sent}");
            let mut wakers = wakers.lock().unwrap();
            let old = wakers.len().saturating_sub(200);
            wakers.drain(..old).for_each(drop);
        }
        stop.store(true, SeqCst);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
