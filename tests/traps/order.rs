//! Whatever a runtime gave may go before it or after it, in any order, inside of another one or outside.

use super::{on_both, pair, poll};
use annulus::{
    Builder, DriverKind, Fd, JoinHandle, Runtime, op, spawn, spawn_blocking,
    time::{Sleep, sleep},
};
use std::{
    future::{Future, pending, poll_fn},
    io::Read,
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Something that a runtime gave.
enum Thing {
    Runtime(Runtime),
    Receive(Pin<Box<dyn Future<Output = ()>>>),
    Sleep(Pin<Box<Sleep>>),
    Task(JoinHandle<()>),
    Closure(JoinHandle<()>),
    Waker(Waker),
    Fd(Fd),
}

/// A runtime and one of each, all under way; and what notices that the descriptor was closed.
fn all(kind: DriverKind) -> ([Thing; 7], UnixStream) {
    let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
    let (fd, peer) = pair();
    let things = runtime.block_on(async {
        let receiving = op::recv(&fd, vec![0; 8]);
        let mut receive: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { drop(receiving.await) });
        let mut sleeping = Box::pin(sleep(Duration::from_secs(100)));
        assert!(poll(receive.as_mut()).is_pending() && poll(sleeping.as_mut()).is_pending());
        let mut given = None;
        let task = spawn(pending());
        let waker = poll_fn(|cx| Poll::Ready(given.get_or_insert_with(|| cx.waker().clone()).clone())).await;
        [
            Thing::Receive(receive),
            Thing::Sleep(sleeping),
            Thing::Task(task),
            Thing::Closure(spawn_blocking(|| ())),
            Thing::Waker(waker),
            Thing::Fd(fd),
        ]
    });
    let [a, b, c, d, e, f] = things;
    ([Thing::Runtime(runtime), a, b, c, d, e, f], peer)
}

/// Uses it once more, if that is any use, and drops it.
fn end(thing: Thing, used: bool) {
    match thing {
        Thing::Runtime(runtime) => drop(runtime),
        // An operation whose runtime is gone is pending for ever, or has its end; polling it is no harm.
        Thing::Receive(mut receive) if used => drop(poll(receive.as_mut())),
        // One that finds no runtime at all says so.
        Thing::Sleep(mut sleep) if used => drop(catch_unwind(AssertUnwindSafe(|| poll(sleep.as_mut())))),
        Thing::Fd(fd) if used => drop(fd.clone()),
        Thing::Task(mut handle) | Thing::Closure(mut handle) if used => {
            handle.abort();
            drop(poll(&mut handle));
        }
        Thing::Waker(waker) if used => waker.wake(),
        other => drop(other),
    }
}

/// Drops all, beginning with number `first`, forwards or backwards.
fn play((mut things, mut peer): ([Thing; 7], UnixStream), first: usize, backwards: bool, used: bool) {
    things.rotate_left(first);
    let mut things = Vec::from(things);
    if backwards {
        things.reverse();
    }
    things.into_iter().for_each(|thing| end(thing, used));
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let read = loop {
        match peer.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {} // another test's signal
            read => break read,
        }
    };
    assert_eq!(read.unwrap(), 0, "the descriptor is closed");
}

/// T19. Red when a sleep looks its wheel up instead of holding it, or an operation its driver.
#[test]
fn t19_any_order() {
    on_both("t19_any_order", |kind| {
        for case in 0..28 {
            play(all(kind), case % 7, case % 2 == 0, case % 4 < 2);
            let (other, guests) = (Builder::new().driver(DriverKind::Poll).build().unwrap(), all(kind));
            other.block_on(async { play(guests, case % 7, case % 2 == 0, case % 4 < 2) });
        }
    });
}

/// A waker may hold what it wakes, and so a runtime's future a runtime.
#[test]
fn t19_a_runtime_that_ends_in_a_waker() {
    struct Holder(std::sync::Mutex<Option<JoinHandle<()>>>);
    impl Wake for Holder {
        fn wake(self: std::sync::Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    on_both("t19_a_runtime_that_ends_in_a_waker", |kind| {
        let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
        let (mut handle, held) = runtime.block_on(async { (spawn(pending::<()>()), spawn(pending::<()>())) });
        let waker = Waker::from(std::sync::Arc::new(Holder(std::sync::Mutex::new(Some(held)))));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(runtime);
        drop(waker);
        assert!(matches!(poll(&mut handle), Poll::Ready(Err(error)) if error.is_cancelled()));
    });
}
