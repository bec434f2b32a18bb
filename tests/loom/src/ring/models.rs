//! A ring's words against a kernel that does what Linux does: `io_sq_thread` before it sleeps, and a completion's way
//! to an eventfd.

use super::{
    sync::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
    word::Word,
};
use loom::{sync::Arc, thread};

pub(crate) const ALL: [(&str, fn()); 2] = [
    ("a thread of the kernel that sleeps is woken, or saw the entry", sq_thread),
    ("a completion raises the eventfd that is unmuted, or is seen", unmuted),
];

const BIT: u32 = 1;

#[derive(Default)]
struct Shared {
    tail: AtomicU32,
    flags: AtomicU32,
}

fn word(over: &AtomicU32) -> Word {
    // SAFETY: Mapped: each model keeps the word until it is over.
    unsafe { Word::over(over) }
}

/// Runs the kernel's part beside ours, and gives what each of them saw.
fn beside<K: 'static, U>(kernel: fn(&Shared) -> K, us: fn(&Shared) -> U) -> (K, U) {
    let shared = Arc::new(Shared::default());
    let theirs = shared.clone();
    let other = thread::spawn(move || kernel(&theirs));
    let ours = us(&shared);
    (other.join().unwrap(), ours)
}

fn sq_thread() {
    let kernel = |shared: &Shared| {
        shared.flags.fetch_or(BIT, Relaxed);
        fence(SeqCst);
        shared.tail.load(Acquire)
    };
    let us = |shared: &Shared| {
        word(&shared.tail).publish(1);
        word(&shared.flags).peek_after_publish()
    };
    assert_ne!(beside(kernel, us), (0, 0), "it sleeps, and nobody wakes it");
}

fn unmuted() {
    let kernel = |shared: &Shared| {
        shared.tail.store(1, Release);
        fence(SeqCst);
        shared.flags.load(Relaxed)
    };
    let us = |shared: &Shared| {
        word(&shared.flags).say(BIT);
        word(&shared.tail).moved()
    };
    assert_ne!(beside(kernel, us), (0, 0), "it is muted still, and nobody sees the completion");
}
