//! What the primitives cost in allocations: a channel for one value is one, and nothing else is any once it has grown.

#[path = "outside/counting.rs"]
mod counting;

use annulus::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot, watch};
use counting::ALLOCATIONS;
use std::{cell::Cell, rc::Rc};

/// The allocations of the second of two rounds: the first is for what grows once.
async fn steady(mut round: impl AsyncFnMut()) -> usize {
    round().await;
    let before = ALLOCATIONS.get();
    round().await;
    ALLOCATIONS.get() - before
}

/// Red when a channel has a second part, or when waiting costs one.
#[annulus::test]
async fn a_channel_for_one_value_is_one_allocation() {
    let (questions, mut asked) = mpsc::channel::<oneshot::Sender<u32>>(1);
    let answers = annulus::spawn(async move {
        while let Some(tx) = asked.recv().await {
            annulus::yield_now().await;
            tx.send(1).unwrap();
        }
    });
    let round = async || {
        for _ in 0..100 {
            let (tx, rx) = oneshot::channel();
            questions.send(tx).await.unwrap();
            assert_eq!(rx.await, Ok(1));
        }
    };
    assert_eq!(steady(round).await, 100);
    drop(questions);
    answers.await.unwrap();
}

/// Red when a message or a sender that waits costs one.
#[annulus::test]
async fn a_message_is_no_allocation() {
    let (tx, mut rx) = mpsc::channel(3);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let tx = tx.clone();
            annulus::spawn(async move { while tx.send([0u64; 4]).await.is_ok() {} })
        })
        .collect();
    let round = async || {
        for _ in 0..10_000 {
            rx.recv().await.unwrap();
        }
    };
    assert_eq!(steady(round).await, 0);
    drop(rx);
    for sender in senders {
        sender.await.unwrap();
    }
}

#[annulus::test]
async fn what_nobody_else_wants_is_no_allocation_from_the_first_time_on() {
    let before = ALLOCATIONS.get();
    let (mutex, lock, semaphore, notify) = (Mutex::new(1), RwLock::new(1), Semaphore::new(3), Notify::new());
    for _ in 0..100 {
        *mutex.lock().await += 1;
        *lock.write().await += 1;
        drop(lock.read().await);
        drop(semaphore.acquire_many(2).await);
        notify.notify_one();
        notify.notified().await;
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// Red when a place in a line is not used again.
#[annulus::test]
async fn waiting_is_no_allocation_once_the_line_has_grown() {
    let shared = Rc::new((Mutex::new(0u32), Notify::new(), Cell::new(false)));
    let (state, mut seen) = watch::channel(0);
    let others: Vec<_> = (0..4)
        .map(|_| {
            let (shared, mut seen) = (shared.clone(), seen.clone());
            annulus::spawn(async move {
                while !shared.2.get() {
                    *shared.0.lock().await += 1;
                    shared.1.notify_waiters();
                    let _ = seen.changed().await;
                }
            })
        })
        .collect();
    let round = async || {
        for n in 0..1000 {
            let mut count = shared.0.lock().await;
            annulus::yield_now().await;
            *count += 1;
            drop(count);
            state.send(n).unwrap();
            shared.1.notified().await;
            seen.changed().await.unwrap();
        }
    };
    assert_eq!(steady(round).await, 0);
    shared.2.set(true);
    drop(state);
    for other in others {
        other.await.unwrap();
    }
}
