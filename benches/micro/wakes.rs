//! Wakes: a ball between two sides, which are tasks of one runtime, a task and a thread, or tasks of two runtimes. A
//! step is there and back.

use crate::Bench;
use annulus::{Builder, spawn};
use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.many("wake/task and task", async |times| {
        let court = Arc::new(Court::default());
        let other = spawn(court.clone().play(1, times));
        spawn(court.play(0, times)).await.unwrap();
        other.await.unwrap();
    });
    bench.many("wake/task and thread", async |times| {
        let court = Arc::new(Court::default());
        let other = thread::spawn({
            let court = court.clone();
            move || parked(court.play(1, times))
        });
        court.play(0, times).await;
        other.join().unwrap();
    });
    let kind = bench.kind;
    bench.many("wake/runtime and runtime", async |times| {
        let court = Arc::new(Court::default());
        let other = thread::spawn({
            let court = court.clone();
            move || Builder::new().driver(kind).build().unwrap().block_on(court.play(1, times))
        });
        court.play(0, times).await;
        other.join().unwrap();
    });
}

/// Who has the ball, and who waits for it. The lock is never fought for: whoever waits sleeps.
#[derive(Default)]
struct Court(Mutex<(usize, Option<Waker>)>);

impl Court {
    async fn play(self: Arc<Self>, side: usize, times: u64) {
        for _ in 0..times {
            poll_fn(|cx| {
                let mut court = self.0.lock().unwrap();
                if court.0 == side {
                    return Poll::Ready(());
                }
                court.1 = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            let waiting = {
                let mut court = self.0.lock().unwrap();
                court.0 = 1 - side;
                court.1.take()
            };
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on a thread that has no runtime.
fn parked<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
