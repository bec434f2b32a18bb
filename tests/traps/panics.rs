//! Panics while things of the runtime are on the stack: their drops run during the unwinding, and must neither panic
//! again, which would end the process, nor do half of their work.

use super::{OnDrop, on_both, pair, poll};
use annulus::{
    Builder, DriverKind, Fd, JoinHandle, op, spawn, spawn_blocking,
    time::{sleep, timeout},
};
use std::{
    cell::Cell,
    future::pending,
    io::Read,
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

/// The driver has a turn meanwhile: a thread is not kept from its work for so long.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Panics with one of everything on its stack, under way.
async fn panics(fd: Fd, dropped: Rc<Cell<usize>>) {
    let mut receiving = Box::pin(op::recv(&fd, vec![0; 8]));
    assert!(poll(receiving.as_mut()).is_pending());
    let mut sleeping = Box::pin(sleep(Duration::from_secs(100)));
    assert!(poll(sleeping.as_mut()).is_pending());
    let mut waiting = Box::pin(timeout(Duration::from_secs(100), pending::<()>()));
    assert!(poll(waiting.as_mut()).is_pending());
    let _task: JoinHandle<()> = spawn(pending());
    let _closure = spawn_blocking(|| ());
    let aborted = spawn(pending::<()>());
    let _late = OnDrop(move || {
        // What a drop may want of the runtime, it gets during the unwinding, too.
        drop(spawn(async {}));
        aborted.abort();
        assert!(poll(sleep(Duration::from_secs(100))).is_pending());
        dropped.set(dropped.get() + 1);
    });
    let _other = Builder::new().driver(DriverKind::Poll).build().unwrap();
    panic!("on purpose");
}

fn is_closed(peer: &mut UnixStream) {
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the descriptor is closed");
}

/// T20. The panic is the task's, and all of its things are gone.
#[test]
fn t20_a_task_that_panics_lets_go_of_everything() {
    on_both("t20_a_task_that_panics", |kind| {
        let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
        let (dropped, (fd, mut peer)) = (Rc::default(), pair());
        let seen = Rc::clone(&dropped);
        runtime.block_on(async {
            let error = spawn(panics(fd, dropped)).await.unwrap_err();
            assert_eq!(error.to_string(), "the task panicked: on purpose");
            sleep(A_MOMENT).await;
            is_closed(&mut peer);
        });
        assert_eq!((seen.get(), runtime.metrics().unawaited_panics), (1, 0));
    });
}

/// T20. The panic is the caller's, and the runtime goes on.
#[test]
fn t20_a_main_future_that_panics_lets_go_of_everything() {
    on_both("t20_a_main_future_that_panics", |kind| {
        let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
        let (dropped, (fd, mut peer)) = (Rc::default(), pair());
        let seen = Rc::clone(&dropped);
        let run = AssertUnwindSafe(|| runtime.block_on(panics(fd, dropped)));
        assert_eq!(*catch_unwind(run).unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        runtime.block_on(sleep(A_MOMENT));
        assert_eq!(seen.get(), 1);
        is_closed(&mut peer);
    });
}

/// T20. A runtime that goes during an unwinding ends as any other: its tasks' drops may panic then, too.
#[test]
fn t20_a_runtime_that_ends_while_a_panic_passes() {
    on_both("t20_a_runtime_that_ends", |kind| {
        let (fd, mut peer) = pair();
        let run = AssertUnwindSafe(|| {
            let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
            runtime.block_on(async {
                drop(spawn(async move {
                    let _loud = OnDrop(|| panic!("on purpose: a drop"));
                    drop(op::recv(&fd, vec![0; 8]).await);
                }));
                annulus::yield_now().await;
            });
            panic!("on purpose: the caller");
        });
        assert_eq!(*catch_unwind(run).unwrap_err().downcast::<&str>().unwrap(), "on purpose: the caller");
        is_closed(&mut peer);
    });
}

/// T20. A payload may panic when it is dropped: nobody's panic that nobody awaits.
#[test]
fn t20_a_payload_that_panics_in_its_drop() {
    on_both("t20_a_payload_that_panics", |kind| {
        let runtime = Builder::new().driver(kind).entries(8).build().unwrap();
        let payload = || OnDrop(|| panic!("on purpose: a payload"));
        runtime.block_on(async {
            drop(spawn(async move { std::panic::panic_any(payload()) }));
            drop(spawn_blocking(move || std::panic::panic_any(payload())));
            let mut kept: JoinHandle<()> = spawn(async move { std::panic::panic_any(payload()) });
            sleep(A_MOMENT).await;
            let error = match poll(&mut kept) {
                std::task::Poll::Ready(answer) => answer.unwrap_err(),
                std::task::Poll::Pending => panic!("it ended long ago"),
            };
            assert!(catch_unwind(AssertUnwindSafe(|| drop(error))).is_err(), "it is the awaiter's now");
            assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        });
        assert!(runtime.shut_down().unawaited_panics >= 1);
    });
}
