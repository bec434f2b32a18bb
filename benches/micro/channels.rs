//! Channels between the tasks of a runtime, and those of other crates between a task and a thread.

use crate::Bench;
use annulus::{
    spawn,
    sync::{Notify, mpsc, oneshot},
};
use std::{hint::black_box, rc::Rc, thread};

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.each("channel/oneshot, made and used", async || {
        let (sender, receiver) = oneshot::channel();
        sender.send(black_box(1)).unwrap();
        black_box(receiver.await.unwrap());
    });
    bench.many("channel/mpsc, there and back", there_and_back);
    bench.many("channel/mpsc of 100, one way", one_way);
    bench.many("channel/notify, there and back", notify);
    bench.many("channel/flume, to a thread and back", flume_to_a_thread);
    bench.many("channel/tokio's mpsc, to a thread and back", tokio_to_a_thread);
}

/// Each value is awaited before the next is sent.
async fn there_and_back(times: u64) {
    let (there, mut arrivals) = mpsc::channel(1);
    let (back, mut returns) = mpsc::channel(1);
    let other = spawn(async move {
        while let Some(n) = arrivals.recv().await {
            back.send(n).await.unwrap();
        }
    });
    for n in 0..times {
        there.send(n).await.unwrap();
        black_box(returns.recv().await);
    }
    drop(there);
    other.await.unwrap();
}

/// The sender runs ahead until the channel is full.
async fn one_way(times: u64) {
    let (sender, mut receiver) = mpsc::channel(100);
    let other = spawn(async move {
        for n in 0..times {
            sender.send(n).await.unwrap();
        }
    });
    while let Some(n) = receiver.recv().await {
        black_box(n);
    }
    other.await.unwrap();
}

async fn notify(times: u64) {
    let sides = Rc::new([Notify::new(), Notify::new()]);
    let other = spawn({
        let sides = sides.clone();
        async move {
            for _ in 0..times {
                sides[1].notified().await;
                sides[0].notify_one();
            }
        }
    });
    for _ in 0..times {
        sides[1].notify_one();
        sides[0].notified().await;
    }
    other.await.unwrap();
}

async fn flume_to_a_thread(times: u64) {
    let ((there, arrivals), (back, returns)) = (flume::bounded(1), flume::bounded(1));
    let other = thread::spawn(move || arrivals.iter().for_each(|n: u64| back.send(n).unwrap()));
    for n in 0..times {
        there.send_async(n).await.unwrap();
        black_box(returns.recv_async().await.unwrap());
    }
    drop(there);
    other.join().unwrap();
}

async fn tokio_to_a_thread(times: u64) {
    use tokio::sync::mpsc::channel;
    let ((there, mut arrivals), (back, mut returns)) = (channel::<u64>(1), channel(1));
    let other = thread::spawn(move || {
        while let Some(n) = arrivals.blocking_recv() {
            back.blocking_send(n).unwrap();
        }
    });
    for n in 0..times {
        there.send(n).await.unwrap();
        black_box(returns.recv().await.unwrap());
    }
    drop(there);
    other.join().unwrap();
}
