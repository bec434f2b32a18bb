//! Signals: who hears them, how often, and what is left of them for children.

#![allow(clippy::await_holding_lock, reason = "a test has its thread to itself")]

#[path = "outside/again.rs"]
mod again;
#[path = "outside/limits.rs"]
mod limits;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind,
    signal::{Signal, SignalKind, ctrl_c, signal, signals},
    spawn,
    time::{sleep, timeout},
    yield_now,
};
use std::{
    future::poll_fn,
    io,
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{self, Command},
    ptr,
    sync::{
        Barrier, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

/// Longer than any of this takes, however busy the machine is.
const LONG: Duration = Duration::from_secs(20);

/// Signals are the whole process's, so one test at a time counts them.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal to this process: whichever thread gets it.
fn send(kind: SignalKind) {
    // SAFETY: Plain call: two numbers.
    assert_eq!(unsafe { libc::kill(process::id() as i32, kind.as_raw_value()) }, 0);
}

/// A timeout looks once more when it is over, and then finds what nobody was woken for: so the time counts, too.
async fn hears(signal: &mut Signal) {
    let begun = Instant::now();
    assert_eq!(timeout(LONG, signal.recv()).await.expect("the signal is heard"), Some(()));
    assert!(begun.elapsed() < LONG / 2, "nobody was woken");
}

async fn is_heard_now(signal: &mut Signal) -> bool {
    poll_fn(|cx| Poll::Ready(signal.poll_recv(cx).is_ready())).await
}

const NAMED: [fn() -> SignalKind; 11] = [
    SignalKind::alarm,
    SignalKind::child,
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::io,
    SignalKind::pipe,
    SignalKind::quit,
    SignalKind::terminate,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
    SignalKind::window_change,
];

#[annulus::test]
async fn every_kind_is_heard() {
    let _alone = alone();
    for kind in NAMED.map(|kind| kind()) {
        let mut signal = signal(kind).unwrap();
        send(kind);
        hears(&mut signal).await;
    }
    let urgent = SignalKind::from_raw(libc::SIGURG);
    let mut heard = signal(urgent).unwrap();
    send(urgent);
    hears(&mut heard).await;
}

#[annulus::test]
async fn what_cannot_be_heard_is_refused_with_a_reason() {
    let forbidden = [libc::SIGKILL, libc::SIGSTOP, libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS];
    for number in forbidden.into_iter().chain([0, -1, 127, 128, 4096, i32::MAX, i32::MIN]) {
        let error = signal(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{number}: {error}");
        assert!(error.to_string().len() > 20, "{number}: {error}");
    }
}

/// The runtime sleeps in its driver when the signal comes, and it comes to a thread that is not its own.
#[annulus::test]
async fn a_sleeping_runtime_is_woken() {
    let _alone = alone();
    let mut heard = signal(SignalKind::user_defined1()).unwrap();
    for _ in 0..3 {
        let sender = thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            send(SignalKind::user_defined1());
        });
        hears(&mut heard).await;
        sender.join().unwrap();
    }
}

/// Red when one of them is not heard, or one that comes all the time hides the others.
#[annulus::test]
async fn whichever_of_several_comes_is_told() {
    let _alone = alone();
    let [first, second] = [SignalKind::user_defined1(), SignalKind::user_defined2()];
    let mut both = signals([first, second]).unwrap();
    for kind in [second, first, second] {
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            kind.raise().unwrap();
        });
        let begun = Instant::now();
        assert_eq!(timeout(LONG, both.recv()).await.expect("it is heard"), Some(kind));
        assert!(begun.elapsed() < LONG / 2, "nobody was woken");
        sender.join().unwrap();
    }
    let mut told = Vec::new();
    second.raise().unwrap();
    for _ in 0..4 {
        first.raise().unwrap();
        told.push(timeout(LONG, both.recv()).await.unwrap().unwrap());
    }
    assert!(told.contains(&first) && told.contains(&second), "{told:?}");
    assert_eq!(signals([]).unwrap().recv().await, None);
    assert_eq!(signals([first, SignalKind::from_raw(libc::SIGKILL)]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let error = SignalKind::from_raw(4096).raise().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

/// Red when a cancelled wait is taken for the runtime's end.
#[annulus::test]
async fn cancelling_all_operations_ends_no_listening() {
    let _alone = alone();
    let mut heard = signal(SignalKind::user_defined2()).unwrap();
    assert!(!is_heard_now(&mut heard).await);
    for _ in 0..3 {
        annulus::op::cancel_all();
        assert!(timeout(Duration::from_millis(5), heard.recv()).await.is_err());
    }
    send(SignalKind::user_defined2());
    hears(&mut heard).await;
}

/// Red when a ring wakes only whoever armed the wait.
#[annulus::test]
async fn all_listeners_of_a_runtime_hear_each_signal() {
    let _alone = alone();
    let heard = [(); 20].map(|()| {
        spawn(async {
            let mut signal = signal(SignalKind::user_defined2()).unwrap();
            for _ in 0..5 {
                hears(&mut signal).await;
            }
        })
    });
    yield_now().await;
    let mut own = signal(SignalKind::user_defined2()).unwrap();
    for round in 0..5 {
        send(SignalKind::user_defined2());
        hears(&mut own).await;
        // All have to have looked before the next one, or two would be one for them.
        sleep(Duration::from_millis(if round == 4 { 0 } else { 50 })).await;
    }
    for listener in heard {
        timeout(LONG, listener).await.expect("every listener hears five").unwrap();
    }
}

#[annulus::test]
async fn several_at_once_are_one_and_none_is_told_twice() {
    let _alone = alone();
    let mut first = signal(SignalKind::user_defined1()).unwrap();
    for _ in 0..100 {
        send(SignalKind::user_defined1());
    }
    // Delivered to another thread, they may take a moment.
    sleep(Duration::from_millis(50)).await;
    let mut late = signal(SignalKind::user_defined1()).unwrap();
    assert!(is_heard_now(&mut first).await);
    assert!(!is_heard_now(&mut first).await, "a hundred before the first look are one");
    assert!(!is_heard_now(&mut late).await, "what came before the listener is not told");
    send(SignalKind::user_defined1());
    hears(&mut late).await;
    hears(&mut first).await;
}

/// Red when whoever gives up takes the wait with it.
#[annulus::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let _alone = alone();
    let (mut first, mut second) = (signal(SignalKind::hangup()).unwrap(), signal(SignalKind::hangup()).unwrap());
    assert!(timeout(Duration::from_millis(5), first.recv()).await.is_err());
    let waiting = spawn(async move { hears(&mut second).await });
    yield_now().await;
    // It armed the wait, if somebody did, and goes.
    drop(first);
    send(SignalKind::hangup());
    timeout(LONG, waiting).await.unwrap().unwrap();
}

#[annulus::test]
async fn ctrl_c_is_awaited() {
    let _alone = alone();
    let mut waiting = pin!(ctrl_c());
    assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
    send(SignalKind::interrupt());
    timeout(LONG, waiting).await.unwrap().unwrap();
}

/// Red when only one bell is rung, or one of two runtimes of a thread has the other's hub.
#[test]
fn every_runtime_hears_every_signal() {
    let _alone = alone();
    let barrier = Barrier::new(5);
    let listen = |driver| {
        let Ok(runtime) = Builder::new().driver(driver).build() else {
            barrier.wait();
            return;
        };
        // Another runtime of this thread listened before, and is not run any more.
        let other = Builder::new().driver(driver).build().unwrap();
        let mut idle = other.block_on(async {
            let mut idle = signal(SignalKind::terminate()).unwrap();
            assert!(!is_heard_now(&mut idle).await);
            idle
        });
        runtime.block_on(async {
            let mut heard = signal(SignalKind::terminate()).unwrap();
            let second = spawn(async { hears(&mut signal(SignalKind::terminate()).unwrap()).await });
            yield_now().await;
            barrier.wait();
            hears(&mut heard).await;
            second.await.unwrap();
        });
        other.block_on(hears(&mut idle));
    };
    let drivers = [DriverKind::Uring, DriverKind::Poll, DriverKind::Uring, DriverKind::Poll];
    thread::scope(|scope| {
        let listen = &listen;
        for driver in drivers {
            scope.spawn(move || listen(driver));
        }
        barrier.wait();
        send(SignalKind::terminate());
    });
}

/// A signal outlives its runtime, and says so.
#[test]
fn after_the_runtime_nothing_is_heard() {
    let _alone = alone();
    let runtime = Builder::new().driver(DriverKind::Poll).build().unwrap();
    let mut heard = runtime.block_on(async {
        let mut heard = signal(SignalKind::quit()).unwrap();
        assert!(!is_heard_now(&mut heard).await);
        heard
    });
    drop(runtime);
    let next = Builder::new().driver(DriverKind::Poll).build().unwrap();
    let end = next.block_on(async { timeout(LONG, heard.recv()).await.expect("an answer") });
    assert_eq!(end, None);
}

static BEFORE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn before(signal: i32) {
    BEFORE.fetch_add(usize::try_from(signal).unwrap(), Ordering::Relaxed);
}

/// What one process can do only once: the handler that was there before, few descriptors, and children.
#[test]
fn a_process_of_its_own() {
    if role().is_none() {
        for driver in ["uring", "poll"] {
            if driver == "uring" && annulus::probe().ring().is_err() {
                continue;
            }
            passes(again("a_process_of_its_own", "alone").env("ANNULUS_DRIVER", driver));
        }
        return;
    }
    // SAFETY: zeros are a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = before as extern "C" fn(i32) as libc::sighandler_t;
    // SAFETY: the handler adds to an atomic number and does nothing else.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) }, 0);
    limits::set_soft(libc::RLIMIT_NOFILE, 48);
    annulus::run(async {
        let kind = SignalKind::user_defined1();
        let mut many: Vec<Signal> = (0..1000).map(|_| signal(kind).unwrap()).collect();
        for _ in 0..1000 {
            drop(signal(SignalKind::user_defined2()).unwrap());
            yield_now().await;
        }
        send(kind);
        for heard in &mut many {
            hears(heard).await;
        }
        assert_eq!(BEFORE.load(Ordering::Relaxed), libc::SIGUSR1 as usize, "the former handler is called, once");
        assert_eq!(child_dies_of(kind), Some(libc::SIGUSR1));
        assert_eq!(child_dies_of(SignalKind::user_defined2()), Some(libc::SIGUSR2));
    });
    // Nobody listens any more, and the process lives on.
    send(SignalKind::user_defined2());
    assert_eq!(BEFORE.load(Ordering::Relaxed), libc::SIGUSR1 as usize);
}

/// Red when the signal is taken from the process before it is known that somebody can hear it.
#[test]
fn a_signal_that_nobody_can_hear_stays_the_processes() {
    const NAME: &str = "a_signal_that_nobody_can_hear_stays_the_processes";
    if role().is_none() {
        let status = again(NAME, "alone").stdout(process::Stdio::null()).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
        return;
    }
    annulus::run(async {
        let limit = limits::set_soft(libc::RLIMIT_NOFILE, 3);
        let error = signal(SignalKind::terminate()).unwrap_err();
        limits::set_soft(libc::RLIMIT_NOFILE, limit);
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        send(SignalKind::terminate());
        sleep(LONG).await;
    });
}

/// A child neither ignores nor blocks what its parent listens for.
fn child_dies_of(kind: SignalKind) -> Option<i32> {
    let command = format!("kill -{} $$; exit 3", kind.as_raw_value());
    Command::new("sh").args(["-c", &command]).status().unwrap().signal()
}
