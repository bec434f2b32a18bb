//! What the watchdog tells of polls that take too long, and that it tells of nothing else.

use annulus::{
    Builder, DriverKind, Runtime,
    rt::{Stall, TaskBuilder},
    time::sleep,
};
use std::{
    io::{Read, Write, stderr},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_millis(100);

/// Past the test harness, which hides what a passing test prints.
fn skip(test: &str, error: &std::io::Error) {
    let mut stderr = stderr();
    writeln!(stderr, "SKIP {test}: {error}").unwrap();
}

/// A watched runtime on each driver that there is, with what is told of it.
fn on_both_drivers(test: &str, run: impl Fn(Runtime, mpsc::Receiver<Stall>)) {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let tell = move |stall: &Stall| drop(tell.lock().unwrap().send(stall.clone()));
        match Builder::new().driver(kind).name(test).stall_detector(LIMIT).on_stall(tell).build() {
            Ok(runtime) => run(runtime, told),
            Err(error) if kind == DriverKind::Uring => skip(test, &error),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The function that the backtrace has to name.
#[inline(never)]
fn dig_a_hole(time: Duration) {
    let began = Instant::now();
    // In pieces, so that this function is on the stack whatever the compiler does with the last call.
    while began.elapsed() < time {
        thread::sleep(time / 10);
    }
}

#[test]
fn who_blocks_is_named_once_and_let_go() {
    on_both_drivers("who_blocks_is_named_once_and_let_go", |runtime, told| {
        let began = Instant::now();
        let (id, line) = runtime.block_on(async {
            let (task, line) = (TaskBuilder::new().name("digger"), line!() + 1);
            let task = task.spawn(async { dig_a_hole(LIMIT * 6) });
            let id = task.id();
            task.await.unwrap();
            (id, line)
        });
        let [first, last] = [(); 2].map(|()| told.recv_timeout(Duration::from_secs(20)).expect("a stall, and its end"));
        let most = began.elapsed();
        assert!(!first.over && last.over && last.lasted >= first.lasted, "{first:?}, {last:?}");
        for stall in [&first, &last] {
            assert_eq!(stall.runtime.as_deref(), Some("who_blocks_is_named_once_and_let_go"));
            let polled = &stall.polled;
            assert_eq!((polled.task, polled.name.as_deref()), (Some(id), Some("digger")));
            assert_eq!((polled.from.file(), polled.from.line()), (file!(), line));
            assert!(stall.lasted >= LIMIT && stall.lasted <= most, "{stall}");
        }
        assert!(first.to_string().contains(&format!("task {id} \"digger\" (tests/stall.rs:{line}:")), "{first}");
        assert_eq!(last.backtrace, None);
        match (cfg!(feature = "backtrace"), &first.backtrace) {
            (true, Some(stack)) => {
                let functions: Vec<&str> = stack.lines().filter(|line| line.contains(": ")).collect();
                let of_ours = functions.iter().filter(|line| line.contains("dig_a_hole")).count();
                assert_eq!(of_ours, 1, "{stack}");
                assert!(
                    !stack.contains("rt::stack::") && !stack.contains("block_on"),
                    "only what the task does\n{stack}"
                );
            }
            (with, stack) => assert!(!with && stack.is_none(), "{stack:?}"),
        }
        drop(runtime);
        assert!(told.recv().is_err(), "nothing else");
    });
}

#[test]
fn a_main_future_that_blocks_is_named() {
    on_both_drivers("a_main_future_that_blocks_is_named", |runtime, told| {
        runtime.block_on(async { dig_a_hole(LIMIT * 4) });
        let stall = told.recv_timeout(Duration::from_secs(20)).expect("a stall");
        assert_eq!(stall.polled.task, None);
        assert!(stall.to_string().contains("the main future (tests/stall.rs:"), "{stall}");
        assert_eq!(stall.backtrace.is_some_and(|stack| stack.contains("dig_a_hole")), cfg!(feature = "backtrace"));
    });
}

/// Red when a turn leaves the last task behind, or what is between two `block_on`s counts.
#[test]
fn who_sleeps_or_rests_or_is_busy_is_left_alone() {
    on_both_drivers("who_sleeps_or_rests_or_is_busy_is_left_alone", |runtime, told| {
        runtime.block_on(async { sleep(LIMIT * 4).await });
        thread::sleep(LIMIT * 4);
        runtime.block_on(async {
            let task = annulus::spawn(async { sleep(LIMIT * 4).await });
            let until = Instant::now() + LIMIT * 4;
            while Instant::now() < until {
                annulus::yield_now().await;
            }
            task.await.unwrap();
        });
        drop(runtime);
        let told: Vec<Stall> = told.iter().collect();
        assert!(told.is_empty(), "{told:?}");
    });
}

/// Red when the thread is asked without SA_RESTART, or a stall is told before its limit.
#[test]
fn a_call_that_blocks_goes_on_when_its_thread_was_asked() {
    on_both_drivers("a_call_that_blocks_goes_on_when_its_thread_was_asked", |runtime, told| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let seen = Arc::new(Mutex::new(None));
        let first = seen.clone();
        let waiting = thread::spawn(move || {
            *first.lock().unwrap() = told.recv_timeout(Duration::from_secs(20)).ok();
            far.write_all(b"x").unwrap();
        });
        // One call of the system's, which the standard library does not make again.
        let read = runtime.block_on(async { near.read(&mut [0; 8]) });
        assert_eq!(read.expect("the call was interrupted"), 1);
        waiting.join().unwrap();
        assert!(seen.lock().unwrap().as_ref().is_some_and(|stall| !stall.over), "nobody told");
    });
}

/// Red when the watchdog drops what the user gave it, and does not survive that.
#[test]
fn a_hook_that_ends_loudly_is_not_the_end_of_the_watch() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("a hook whose end panics, on purpose");
        }
    }
    on_both_drivers("a_hook_that_ends_loudly_is_not_the_end_of_the_watch", |runtime, told| {
        let loud = Loud;
        let hook = move |_: &Stall| assert!(std::mem::size_of_val(&loud) == 0);
        let other =
            Builder::new().driver(runtime.driver().kind()).stall_detector(LIMIT).on_stall(hook).build().unwrap();
        other.block_on(async {});
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(other)));
        // The watchdog sees that it has gone, and may take long to print the panic.
        let is_told = (0..100).any(|_| {
            thread::sleep(LIMIT * 2);
            runtime.block_on(async { dig_a_hole(LIMIT * 4) });
            told.try_recv().is_ok()
        });
        assert!(is_told, "nobody watches any more");
    });
}
