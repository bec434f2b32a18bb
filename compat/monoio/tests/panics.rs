//! What a panic of a task does: it ends that task, goes on in whoever awaits it, and is never lost.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// Red when the panic of a task ends the others, or when awaiting it gives anything else than the panic.
#[monoio::test_all(enable_timer = true)]
async fn awaiting_goes_on_with_the_panic() {
    let panicking = monoio::spawn(async { panic!("of a task") });
    let other = monoio::spawn(async {
        monoio::time::sleep(Duration::from_millis(2)).await;
        6 * 7
    });
    let mut panicking = std::pin::pin!(panicking);
    let payload = std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| panicking.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|never: ()| panic!("it has an output: {never:?}")),
        Err(payload) => std::task::Poll::Ready(payload),
    })
    .await;
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"of a task"));
    assert_eq!(other.await, 42);
}

/// Red when a test passes although a task of it panicked and nobody looked.
#[monoio::test_all(enable_timer = true)]
#[should_panic(expected = "1 tasks panicked, and nobody awaited them")]
async fn nobody_awaits() {
    drop(monoio::spawn(async { panic!("unheard") }));
    monoio::time::sleep(Duration::from_millis(2)).await;
}
