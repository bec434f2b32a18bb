//! A ball between a task and a plain thread: each turn wakes the runtime from outside, and the thread by the runtime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle, Thread};

/// Odd counts mean that the ball is the thread's, even ones that it is the task's.
#[derive(Default)]
struct Ball {
    count: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// The task's count when the thread is to end.
const END: u64 = u64::MAX;

/// The task's side.
pub struct Court {
    ball: Arc<Ball>,
    other: Option<JoinHandle<()>>,
    thread: Thread,
}

impl Court {
    /// Starts the thread on the other side.
    pub fn open() -> Self {
        let ball = Arc::new(Ball::default());
        let theirs = ball.clone();
        let other = thread::spawn(move || play(&theirs));
        Self { ball, thread: other.thread().clone(), other: Some(other) }
    }

    /// There and back.
    pub async fn round(&self) {
        let back = self.ball.count.fetch_add(1, Ordering::AcqRel) + 2;
        self.thread.unpark();
        std::future::poll_fn(|cx| {
            *self.ball.waker.lock().unwrap() = Some(cx.waker().clone());
            if self.ball.count.load(Ordering::Acquire) == back { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Court {
    fn drop(&mut self) {
        self.ball.count.store(END, Ordering::Release);
        self.thread.unpark();
        self.other.take().map(JoinHandle::join);
    }
}

/// The thread's side: waits for odd counts.
fn play(ball: &Ball) {
    loop {
        match ball.count.load(Ordering::Acquire) {
            END => return,
            count if count % 2 == 1 => {
                ball.count.fetch_add(1, Ordering::AcqRel);
                let waker = ball.waker.lock().unwrap().take();
                waker.into_iter().for_each(Waker::wake);
            }
            _ => thread::park(),
        }
    }
}
