//! A runtime in somebody else's loop: turned by a `poll(2)` loop, by tokio's reactor, and run on a thread of its own
//! beside tokio. On both drivers.

use annulus::{
    Builder, DriverKind, Runtime,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    rt::Next,
    spawn, spawn_blocking,
    time::sleep,
};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::Write,
    os::fd::AsRawFd,
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// Runs `test` with a runtime of each driver.
fn each(name: &str, test: impl Fn(Runtime)) {
    for driver in [DriverKind::Uring, DriverKind::Poll] {
        match Builder::new().driver(driver).pollable(true).build() {
            Ok(runtime) => test(runtime),
            // Written past the test harness, which hides what a passing test prints.
            Err(error) if driver == DriverKind::Uring => {
                let _ = writeln!(std::io::stderr(), "SKIP {name}::uring: {error}");
            }
            Err(error) => panic!("no runtime: {error}"),
        }
    }
}

/// Waits until the descriptor is readable; false when the time is up first.
fn readable(runtime: &Runtime, limit: Option<Duration>) -> bool {
    let mut ask = libc::pollfd { fd: runtime.pollable().unwrap().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = limit.map_or(20_000, |limit| limit.as_nanos().div_ceil(1_000_000).min(20_000) as i32);
    // SAFETY: one live, writable entry.
    unsafe { libc::poll(&mut ask, 1, millis) == 1 }
}

/// A loop as a GUI has one: it sleeps at the descriptor alone. Returns how often it went round.
fn drive(runtime: &Runtime, done: impl Fn() -> bool) -> u32 {
    let start = Instant::now();
    for round in 0.. {
        if done() {
            return round;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "stuck after {round} rounds: {:?}", runtime.metrics());
        let next = runtime.turn(Duration::ZERO).unwrap();
        if next != Next::Now && !done() {
            let woken = readable(runtime, next.timeout());
            assert!(woken || next != Next::Idle, "idle, and nothing woke it: {:?}", runtime.metrics());
        }
    }
    unreachable!()
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buf = Vec::with_capacity(64);
    loop {
        let res;
        (res, buf) = stream.read(buf).await;
        if res? == 0 {
            return Ok(());
        }
        let res;
        (res, buf) = stream.write_all(buf).await;
        res?;
        buf.clear();
    }
}

/// Red when a turn leaves entries unsubmitted, or does not watch the bell.
#[test]
fn sockets_timers_threads_and_the_pool_all_show_at_the_descriptor() {
    each("sockets_timers_threads_and_the_pool_all_show_at_the_descriptor", |runtime| {
        let rounds = Rc::new(Cell::new(0));
        let count = rounds.clone();
        let all = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            spawn(async move { echo(listener.accept().await.unwrap().0).await.unwrap() });
            let mut client = TcpStream::connect(addr).await.unwrap();
            for n in 0..10_u8 {
                client.write_all(vec![n; 10]).await.0.unwrap();
                let (res, buf) = client.read(Vec::with_capacity(64)).await;
                assert_eq!((res.unwrap(), buf), (10, vec![n; 10]));
                sleep(Duration::from_millis(3)).await;
                assert_eq!(spawn_blocking(move || n + 1).await.unwrap(), n + 1);
                // A thread that wakes it long after everything has come to rest.
                let (tell, told) = futures_channel::oneshot::channel();
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(5));
                    tell.send(n).unwrap();
                });
                assert_eq!(told.await, Ok(n));
                count.set(count.get() + 1);
            }
        });
        let turns = drive(&runtime, || all.is_finished());
        assert_eq!(rounds.get(), 10);
        assert!(turns < 2_000, "{turns} rounds: the descriptor is readable in vain");
    });
}

/// Red when a sleep that was announced is not the caller's: then a wake from the loop's own thread is lost.
#[test]
fn what_the_loop_itself_wakes_or_spawns_is_seen() {
    each("what_the_loop_itself_wakes_or_spawns_is_seen", |runtime| {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let (slot, pressed) = (waker.clone(), Rc::new(Cell::new(false)));
        let seen = pressed.clone();
        let button = runtime.spawn(poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            if seen.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
        drive(&runtime, || waker.borrow().is_some());
        while runtime.turn(Duration::ZERO).unwrap() == Next::Now {}
        assert!(!readable(&runtime, Some(Duration::ZERO)), "nothing has happened");
        pressed.set(true);
        waker.borrow().as_ref().unwrap().wake_by_ref();
        assert!(readable(&runtime, None));
        drive(&runtime, || button.is_finished());

        while runtime.turn(Duration::ZERO).unwrap() == Next::Now {}
        let late = runtime.spawn(async {});
        assert!(readable(&runtime, None), "a task that was spawned from outside is something to do");
        drive(&runtime, || late.is_finished());
    });
}

/// Red when what is queued inside of `enter` rings nobody.
#[test]
fn what_is_done_inside_of_enter_is_seen() {
    each("what_is_done_inside_of_enter_is_seen", |runtime| {
        let rest = || while runtime.turn(Duration::ZERO).unwrap() == Next::Now {};
        rest();
        let task = runtime.enter(|| spawn(std::future::pending::<()>()));
        assert!(readable(&runtime, None));
        rest();
        runtime.enter(|| task.abort());
        assert!(readable(&runtime, None));
        drive(&runtime, || task.is_finished());
    });
}

/// Red when the bell of the poll driver is watched by a turn that sleeps, and by no other that is the last.
#[test]
fn a_look_from_afar_does_not_make_it_deaf() {
    for _ in 0..10 {
        each("a_look_from_afar_does_not_make_it_deaf", |runtime| {
            let observer = runtime.observer();
            // It asks while a task is polled, so that the turn answers instead of sleeping.
            let looks = runtime.spawn(async move {
                let looker = thread::spawn(move || drop(observer.look(Duration::from_secs(20))));
                thread::sleep(Duration::from_millis(20));
                looker
            });
            let (tell, told) = futures_channel::oneshot::channel();
            let task = runtime.spawn(async { told.await.unwrap() });
            while runtime.turn(Duration::ZERO).unwrap() == Next::Now {}
            thread::spawn(move || tell.send(7).unwrap());
            // Without another turn, which would make up for it.
            assert!(readable(&runtime, None), "nobody hears the wake");
            drive(&runtime, || task.is_finished());
            runtime.block_on(looks).unwrap().join().unwrap();
        });
    }
}

#[test]
fn a_turn_sleeps_as_long_as_it_may() {
    each("a_turn_sleeps_as_long_as_it_may", |runtime| {
        while runtime.turn(Duration::ZERO).unwrap() == Next::Now {}
        let (start, mut turns) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(30) {
            assert_eq!(runtime.turn(Duration::from_millis(30)).unwrap(), Next::Idle);
            turns += 1;
        }
        assert!(turns <= 3, "{turns} turns: the kernel may interrupt a sleep, but not often");
        let timer = runtime.spawn(sleep(Duration::from_millis(10)));
        let start = Instant::now();
        while !timer.is_finished() {
            runtime.turn(Duration::from_secs(20)).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(10), "the timer ends the sleep");
        let soon = runtime.spawn(sleep(Duration::from_secs(1000)));
        let next = loop {
            let next = runtime.turn(Duration::ZERO).unwrap();
            if next != Next::Now {
                break next;
            }
        };
        assert!(next.timeout().unwrap() > Duration::from_secs(900), "{next:?}");
        soon.abort();
        // What was begun by turns is ended by block_on as well.
        assert!(runtime.block_on(soon).unwrap_err().is_cancelled());
    });
}

#[test]
fn a_turn_inside_of_a_run_is_refused() {
    let runtime = Runtime::new().unwrap();
    let inside = Runtime::new().unwrap();
    let nested = runtime.block_on(async {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inside.turn(Duration::ZERO))).unwrap_err()
    });
    let text = nested.downcast_ref::<String>().unwrap();
    assert!(text.contains("was called inside block_on"), "{text}");
}

/// Red when a ring whose completions are deferred is given out: nobody would be woken.
#[test]
fn who_does_not_ask_for_a_pollable_runtime_is_told_so() {
    for driver in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(driver).build() else { continue };
        let probe = annulus::probe();
        let by_enter = probe.ring().is_ok_and(|ring| format!("{:?}", ring.flags).contains("DEFER_TASKRUN"));
        match runtime.pollable() {
            Ok(_) => assert!(driver == DriverKind::Poll || !by_enter),
            Err(error) => assert!(error.to_string().contains("Builder::pollable(true)"), "{error}"),
        }
    }
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// One thread, two runtimes: tokio's reactor watches the descriptor, and a task of tokio's turns annulus.
#[test]
fn tokio_turns_annulus() {
    each("tokio_turns_annulus", |runtime| {
        let local = tokio::task::LocalSet::new();
        let (to_annulus, from_tokio) = tokio::sync::oneshot::channel();
        let (to_tokio, from_annulus) = tokio::sync::oneshot::channel();
        let task = runtime.spawn(async move {
            let n: u32 = from_tokio.await.unwrap();
            sleep(Duration::from_millis(5)).await;
            to_tokio.send(n + 1).unwrap();
        });
        let turner = async {
            // SAFETY: the runtime, which is borrowed, keeps its descriptor open.
            let fd = unsafe { tokio::io::unix::AsyncFd::register(runtime.pollable().unwrap()) }.unwrap();
            loop {
                let next = runtime.turn(Duration::ZERO).unwrap();
                match next {
                    _ if task.is_finished() => break,
                    Next::Now => tokio::task::yield_now().await,
                    next => {
                        let limit = next.timeout().unwrap_or(Duration::from_secs(20));
                        if let Ok(ready) = tokio::time::timeout(limit, fd.readable()).await {
                            ready.unwrap().clear_ready();
                        }
                    }
                }
            }
        };
        let talker = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            to_annulus.send(7).unwrap();
            assert_eq!(from_annulus.await, Ok(8));
        };
        tokio().block_on(local.run_until(async { tokio::join!(turner, talker) }));
    });
}

/// Two threads: annulus has its own, and both await what the other's tasks give.
#[test]
fn tokio_and_annulus_run_side_by_side() {
    for driver in [DriverKind::Uring, DriverKind::Poll] {
        let (orders, mut taken) = tokio::sync::mpsc::channel::<(u32, tokio::sync::oneshot::Sender<u32>)>(4);
        let shard = thread::spawn(move || {
            let Ok(runtime) = Builder::new().driver(driver).build() else { return false };
            runtime.block_on(async {
                while let Some((n, answer)) = taken.recv().await {
                    spawn(async move {
                        sleep(Duration::from_millis(1)).await;
                        // Not everybody waits for the answer.
                        let _ = answer.send(n * 2);
                    });
                }
                sleep(Duration::from_millis(20)).await;
            });
            true
        });
        let asked = tokio().block_on(async {
            for n in 0..100 {
                let (answer, doubled) = tokio::sync::oneshot::channel();
                if orders.send((n, answer)).await.is_err() {
                    return false;
                }
                if n % 10 == 0 {
                    match doubled.await {
                        Ok(doubled) => assert_eq!(doubled, n * 2),
                        // The thread has no such driver, and is gone.
                        Err(_) => return false,
                    }
                }
            }
            true
        });
        drop(orders);
        let ran = shard.join().unwrap();
        assert_eq!(asked, ran);
        if !ran {
            let _ =
                writeln!(std::io::stderr(), "SKIP tokio_and_annulus_run_side_by_side::{driver}: no such driver here");
        }
    }
}
