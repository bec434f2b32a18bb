//! The slot between a closure on the pool and the task that waits for it. The closure, its output and its panic are
//! each dropped, given or reported once, whoever is first.

use super::{
    blocking::{Answer, pair},
    remote::Remote,
    sync::{Arc, AtomicUsize, Ordering::Relaxed},
    task::{About, Outcome},
};
use loom::{cell::UnsafeCell, thread};
use std::{
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
};

pub(crate) const ALL: [(&str, fn()); 5] = [
    ("a closure's answer wakes who waits, and is seen", || answered(Job::Gives)),
    ("a closure's panic wakes who waits, and is seen", || answered(Job::Panics)),
    ("a closure that is dropped wakes who waits", || answered(Job::IsDropped)),
    ("an output that comes late is dropped once", || given_up(Job::Gives)),
    ("a panic that comes late is counted once", || given_up(Job::Panics)),
];

#[derive(Clone, Copy, PartialEq)]
enum Job {
    Gives,
    Panics,
    /// By the pool's end.
    IsDropped,
}

/// What there is one of. It notices when two threads have it at once.
struct Thing {
    dropped: Arc<AtomicUsize>,
    value: UnsafeCell<u8>,
}

// SAFETY: the models are about who has it when; loom checks it.
unsafe impl Send for Thing {}

impl Drop for Thing {
    fn drop(&mut self) {
        self.value.with_mut(|value| unsafe { *value += 1 });
        self.dropped.fetch_add(1, Relaxed);
    }
}

/// Counts its wakes. Not by loom's numbers: they would be one more thing for it to order.
#[derive(Default)]
struct Count(std::sync::atomic::AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

struct Scene {
    remote: Arc<Remote>,
    dropped: Arc<AtomicUsize>,
    /// Whether the closure was called.
    ran: std::sync::Arc<std::sync::atomic::AtomicBool>,
    pool: thread::JoinHandle<()>,
}

/// A thread of the pool at its job, and who waits for it.
fn scene(job: Job) -> (Scene, Answer<Thing>) {
    let (remote, dropped) = (Arc::new(Remote(AtomicUsize::new(0))), Arc::new(AtomicUsize::new(0)));
    let thing = Thing { dropped: dropped.clone(), value: UnsafeCell::new(0) };
    let ran = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let runs = ran.clone();
    let closure = move || {
        runs.store(true, Relaxed);
        if job == Job::Panics {
            drop(thing);
            // Quieter than `panic!`: the hook does not hear of it.
            resume_unwind(Box::new(()));
        }
        thing.value.with_mut(|value| unsafe { *value += 1 });
        thing
    };
    let (task, answer) = pair(closure, About, remote.clone());
    let pool = thread::spawn(move || if job == Job::IsDropped { drop(task) } else { task() });
    (Scene { remote, dropped, ran, pool }, answer)
}

fn poll(answer: &mut Answer<Thing>, waker: &Waker) -> Option<Outcome<Thing>> {
    match Pin::new(answer).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn answered(job: Job) {
    let (Scene { remote, dropped, pool, .. }, mut answer) = scene(job);
    let count = std::sync::Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    // Twice: the second waker replaces the first one.
    let early = poll(&mut answer, Waker::noop()).or_else(|| poll(&mut answer, &waker));
    pool.join().unwrap();
    let outcome = early.unwrap_or_else(|| {
        assert_eq!(count.0.load(Relaxed), 1, "it waits and was not woken");
        poll(&mut answer, &waker).expect("woken for nothing")
    });
    drop(answer);
    match outcome {
        Ok(thing) => {
            assert!(job == Job::Gives && dropped.load(Relaxed) == 0);
            assert_eq!(thing.value.with(|value| unsafe { *value }), 1);
        }
        Err(error) => assert_eq!(error.is_panic(), job == Job::Panics),
    }
    assert_eq!((dropped.load(Relaxed), remote.0.load(Relaxed)), (1, 0));
}

/// The task is aborted, before its first poll or after it.
fn given_up(job: Job) {
    for polls in 0..2 {
        let (Scene { remote, dropped, ran, pool }, mut answer) = scene(job);
        let early = (0..polls).find_map(|_| poll(&mut answer, Waker::noop()));
        drop(answer);
        let taken = early.is_some();
        drop(early);
        pool.join().unwrap();
        assert_eq!(dropped.load(Relaxed), 1);
        let unseen = job == Job::Panics && ran.load(Relaxed) && !taken;
        assert_eq!(remote.0.load(Relaxed), usize::from(unseen));
    }
}
