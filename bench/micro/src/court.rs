//! A ball between a task and a plain thread: each turn wakes the runtime from outside, and the thread by the runtime.
//!
//! Both share one CPU. On two, each wake interrupts the other one, which in a virtual machine costs ten times as much
//! as all the rest, and whether there are two depends on who else is busy.

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
    /// Starts the thread on the other side, on this thread's CPU.
    pub fn open() -> Self {
        stay();
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

/// Keeps this thread, and those that it starts, on the CPU that it runs on now.
fn stay() {
    // SAFETY: passes no pointers.
    let cpu = unsafe { libc::sched_getcpu() };
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: writes inside `set`, which has a bit for the CPUs of any machine that this is run on.
    unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    // SAFETY: pointer and size are those of `set`.
    let res = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(res, 0, "a thread may always stay where it is");
}
