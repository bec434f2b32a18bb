//! local-sync: channels across tasks.

use crate::exchange;
use local_sync::{OnceCell, mpsc, oneshot, semaphore::Semaphore};
use monoio::time::{Duration, sleep};
use std::{cell::Cell, rc::Rc};

/// Red when a task that waits for an item, or for room, is not woken.
#[monoio::test_all]
async fn items_pass_between_tasks() {
    exchange(async {
        let (sender, mut receiver) = mpsc::bounded::channel(2);
        let (done, all) = oneshot::channel();
        let sending = [0, 100].map(|first| {
            let sender = sender.clone();
            monoio::spawn(async move {
                for n in first..first + 20 {
                    sender.send(n).await.unwrap();
                }
            })
        });
        drop(sender);
        monoio::spawn(async move {
            let mut items = Vec::new();
            while let Some(n) = receiver.recv().await {
                if items.len() % 8 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                items.push(n);
            }
            done.send(items).unwrap();
        });
        let mut items = all.await.unwrap();
        items.sort_unstable();
        assert_eq!(items, (0..20).chain(100..120).collect::<Vec<_>>());
        for sent in sending {
            sent.await;
        }
    })
    .await;
}

/// Red when the receiver is not woken by an item, or by the end.
#[monoio::test_all]
async fn an_endless_channel_ends() {
    exchange(async {
        let (sender, mut receiver) = mpsc::unbounded::channel();
        let sending = monoio::spawn(async move {
            for n in 0..3 {
                sleep(Duration::from_millis(1)).await;
                sender.send(n).unwrap();
            }
        });
        for n in 0..3 {
            assert_eq!(receiver.recv().await, Some(n));
        }
        assert_eq!(receiver.recv().await, None);
        sending.await;
    })
    .await;
}

/// Red when more tasks than that are let in, or one is never.
#[monoio::test_all]
async fn a_semaphore_lets_two_in() {
    exchange(async {
        let (semaphore, cell) = (Rc::new(Semaphore::new(2)), Rc::new(OnceCell::new()));
        let (inside, made) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks = (0..6).map(|_| {
            let (semaphore, cell) = (semaphore.clone(), cell.clone());
            let (inside, made) = (inside.clone(), made.clone());
            monoio::spawn(async move {
                let _permit = semaphore.acquire().await.unwrap();
                inside.set(inside.get() + 1);
                let value = cell.get_or_init(|| async {
                    sleep(Duration::from_millis(1)).await;
                    made.set(made.get() + 1);
                    7
                });
                assert_eq!(*value.await, 7);
                sleep(Duration::from_millis(1)).await;
                assert!(inside.get() <= 2);
                inside.set(inside.get() - 1);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await;
        }
        assert_eq!(made.get(), 1);
    })
    .await;
}
