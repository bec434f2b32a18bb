//! What tasks know of themselves, and how the classes share the time.

use crate::rt::{Builder, Class, current, spawn, spawn_blocking, yield_now};
use crate::{DriverKind, task};
use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    rc::Rc,
    time::{Duration, Instant},
};

fn background() -> task::Builder {
    task::Builder::new().class(Class::Background)
}

#[crate::test]
async fn a_task_knows_its_number_and_its_name() {
    assert_eq!((task::try_id(), task::name()), (None, None), "the main future is no task");
    let plain = spawn(async { (task::id(), task::name()) });
    let named = task::Builder::new().name("reader").spawn(async {
        yield_now().await;
        (task::id(), task::name())
    });
    let ids = [plain.id(), named.id()];
    assert_ne!(ids[0], ids[1]);
    assert_eq!(plain.await.unwrap(), (ids[0], None));
    assert_eq!(named.await.unwrap(), (ids[1], Some("reader".into())));
    assert_eq!(task::try_id(), None);
    let blocking = spawn_blocking(task::try_id);
    let detached = spawn(async {});
    detached.detach();
    assert_eq!(blocking.await.unwrap(), None);
}

/// A builder for each driver that there is.
fn on_both(name: &str, test: impl Fn(&Builder)) {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let builder = Builder::new().driver(kind);
        match builder.clone().build() {
            Ok(_) => test(&builder),
            // Written past the test harness, which hides what a passing test prints.
            Err(e) => drop(writeln!(io::stderr(), "SKIP {name}::{kind}: {e}")),
        }
    }
}

/// Red when only a poll makes a task the current one.
#[test]
fn a_future_that_is_dropped_knows_whose_it_was() {
    struct Tell(Rc<Cell<Option<task::Id>>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.set(task::try_id());
        }
    }
    on_both("a_future_that_is_dropped_knows_whose_it_was", |builder| {
        let told: [Rc<Cell<Option<task::Id>>>; 3] = Default::default();
        let holder = |n: usize, ends: bool| {
            let tell = Tell(told[n].clone());
            async move {
                let _tell = tell;
                if !ends {
                    std::future::pending::<()>().await;
                }
            }
        };
        let runtime = builder.clone().build().unwrap();
        let ids = runtime.block_on(async {
            let [done, aborted, left] = [spawn(holder(0, true)), spawn(holder(1, false)), spawn(holder(2, false))];
            yield_now().await;
            aborted.abort();
            let ids = [done.id(), aborted.id(), left.id()];
            assert!(done.await.is_ok() && aborted.await.unwrap_err().is_cancelled());
            ids
        });
        drop(runtime);
        assert_eq!(told.map(|told| told.get()), ids.map(Some));
    });
}

/// The class of the task that is being polled.
fn class() -> Class {
    current::with(|core| core.current().unwrap().about().class()).unwrap()
}

/// Red when the background is run before what is urgent.
#[crate::test]
async fn latency_goes_first() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let note = || {
        let order = order.clone();
        async move { order.borrow_mut().push(class()) }
    };
    let handles = [background().spawn(note()), spawn(note()), background().spawn(note()), spawn(note())];
    for handle in handles {
        handle.await.unwrap();
    }
    assert_eq!(*order.borrow(), [Class::Latency, Class::Latency, Class::Background, Class::Background]);
}

/// Red when a class is not handed down, or stays with whoever comes next.
#[crate::test]
async fn what_a_task_spawns_is_of_its_class() {
    let classes = background().spawn(async {
        let urgent = task::Builder::new().class(Class::Latency).spawn(async { class() });
        [spawn(async { class() }).await.unwrap(), urgent.await.unwrap()]
    });
    assert_eq!(classes.await.unwrap(), [Class::Background, Class::Latency]);
    assert_eq!(spawn(async { class() }).await.unwrap(), Class::Latency);
}

/// Keeps the thread busy.
fn work(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The background's percentage of the time, when both classes always have work: as the work itself counts it.
fn measured(builder: &Builder, latency: Duration, rest: Duration) -> u128 {
    builder.clone().build().unwrap().block_on(async {
        let ran: [Rc<Cell<Duration>>; 2] = Default::default();
        let worker = |time: Duration, ran: &Rc<Cell<Duration>>| {
            let ran = ran.clone();
            async move {
                loop {
                    let start = Instant::now();
                    work(time);
                    ran.set(ran.get() + start.elapsed());
                    yield_now().await;
                }
            }
        };
        spawn(worker(latency, &ran[0]));
        background().spawn(worker(rest, &ran[1]));
        crate::time::sleep(Duration::from_millis(300)).await;
        ran[1].get().as_nanos() * 100 / (ran[0].get() + ran[1].get()).as_nanos()
    })
}

/// Red when the credit is not earned, or not spent.
#[test]
fn the_background_has_its_share_of_the_time() {
    let us = Duration::from_micros;
    on_both("the_background_has_its_share_of_the_time", |builder| {
        for (percent, latency, rest) in
            [(20, us(20), us(1000)), (20, us(100), us(20)), (50, us(100), us(100)), (80, us(20), us(3000))]
        {
            let builder = builder.clone().background_share(percent);
            // The polls are long beside what a sanitizer or an emulator makes the executor cost, which is no work. A
            // busy machine takes time away from whoever runs; it does not do so five times in the same way.
            let mut got = Vec::new();
            let near = (0..5).any(|_| {
                got.push(measured(&builder, latency, rest));
                got[got.len() - 1].abs_diff(percent.into()) <= 12
            });
            assert!(near, "{got:?} % instead of {percent} % with polls of {latency:?} and {rest:?}");
        }
    });
}

#[crate::test]
async fn the_background_has_everything_when_nothing_is_urgent() {
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    let busy = background().spawn(async move {
        loop {
            count.set(count.get() + 1);
            yield_now().await;
        }
    });
    // The timer and the main future are let through all the same.
    crate::time::sleep(Duration::from_millis(20)).await;
    assert!(polls.get() > 100, "{} polls", polls.get());
    busy.abort();
    assert!(busy.await.unwrap_err().is_cancelled());
}

#[test]
fn absurd_shares_are_refused() {
    for percent in [0, 100, 255] {
        let error = Builder::new().background_share(percent).build().unwrap_err();
        assert!(error.to_string().contains("give it 1 to 99"), "{error}");
    }
}
