//! Channels of other crates, across threads: each wakes a shard that sleeps, from a thread and from another shard.
//!
//! annulus has no channels of its own for that. A lost wake is a hang, and so a failure of the deadline.

use annulus::{Builder, time::timeout};
use futures_util::{SinkExt, StreamExt};
use std::{thread, time::Duration};

const MESSAGES: u64 = 20_000;
const ROUNDS: u64 = 3_000;
/// How many questions are asked before the answers are waited for, at most; the channels' capacity.
const BURST: u64 = 16;

/// A thread sends, and stops now and then, so that the shard falls asleep.
async fn from_a_thread(mut send: impl FnMut(u64) + Send + 'static, mut receive: impl AsyncFnMut() -> Option<u64>) {
    let thread = thread::spawn(move || {
        for n in 0..MESSAGES {
            send(n);
            if n % 500 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let all = async {
        for n in 0..MESSAGES {
            assert_eq!(receive().await, Some(n));
        }
        assert_eq!(receive().await, None, "the thread is done");
    };
    timeout(Duration::from_secs(60), all).await.expect("a wake was lost");
    thread.join().unwrap();
    assert!(annulus::metrics().remote_wakes_sent > 0, "the shard never slept");
}

/// Another shard, on a thread of its own and with the driver of this one, answers each number with the next.
fn shard(
    mut receive: impl AsyncFnMut() -> Option<u64> + Send + 'static,
    mut send: impl AsyncFnMut(u64) + Send + 'static,
) -> thread::JoinHandle<()> {
    let kind = annulus::driver().kind();
    thread::spawn(move || {
        let runtime = Builder::new().driver(kind).build().unwrap();
        runtime.block_on(async {
            while let Some(n) = receive().await {
                send(n + 1).await;
            }
        });
        assert!(runtime.metrics().remote_wakes_sent > 0, "the other shard never slept");
    })
}

/// Asks the other shard, one question or several at a time, and lets it end.
async fn talk(
    shard: thread::JoinHandle<()>,
    mut ask: impl AsyncFnMut(u64),
    mut answer: impl AsyncFnMut() -> Option<u64>,
) {
    let all = async {
        for round in 0..ROUNDS {
            let burst = 1 + round % BURST;
            for n in 0..burst {
                ask(round + n).await;
            }
            for n in 0..burst {
                assert_eq!(answer().await, Some(round + n + 1));
            }
        }
        drop(ask);
        assert_eq!(answer().await, None, "the other shard is done");
    };
    timeout(Duration::from_secs(60), all).await.expect("a wake was lost");
    shard.join().unwrap();
    assert!(annulus::metrics().remote_wakes_sent > 0, "the shard never slept");
}

#[annulus::test]
async fn tokio_mpsc_from_a_thread() {
    let (tx, mut rx) = tokio::sync::mpsc::channel(BURST as usize);
    from_a_thread(move |n| tx.blocking_send(n).unwrap(), async || rx.recv().await).await;
}

#[annulus::test]
async fn tokio_unbounded_from_a_thread() {
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    from_a_thread(move |n| tx.send(n).unwrap(), async || rx.recv().await).await;
}

#[annulus::test]
async fn flume_from_a_thread() {
    let (tx, rx) = flume::bounded(BURST as usize);
    from_a_thread(move |n| tx.send(n).unwrap(), async || rx.recv_async().await.ok()).await;
}

#[annulus::test]
async fn flume_unbounded_from_a_thread() {
    let (tx, rx) = flume::unbounded();
    from_a_thread(move |n| tx.send(n).unwrap(), async || rx.recv_async().await.ok()).await;
}

#[annulus::test]
async fn futures_mpsc_from_a_thread() {
    let (tx, mut rx) = futures_channel::mpsc::unbounded();
    from_a_thread(move |n| tx.unbounded_send(n).unwrap(), async || rx.next().await).await;
}

#[annulus::test]
async fn tokio_mpsc_between_shards() {
    let ((ask, mut questions), (reply, mut replies)) =
        (tokio::sync::mpsc::channel(BURST as usize), tokio::sync::mpsc::channel(BURST as usize));
    let shard = shard(async move || questions.recv().await, async move |n| reply.send(n).await.unwrap());
    talk(shard, async move |n| ask.send(n).await.unwrap(), async || replies.recv().await).await;
}

#[annulus::test]
async fn flume_between_shards() {
    let ((ask, questions), (reply, replies)) = (flume::bounded(BURST as usize), flume::bounded(BURST as usize));
    let shard =
        shard(async move || questions.recv_async().await.ok(), async move |n| reply.send_async(n).await.unwrap());
    talk(shard, async move |n| ask.send_async(n).await.unwrap(), async || replies.recv_async().await.ok()).await;
}

#[annulus::test]
async fn futures_mpsc_between_shards() {
    let ((mut ask, mut questions), (mut reply, mut replies)) =
        (futures_channel::mpsc::channel(BURST as usize), futures_channel::mpsc::channel(BURST as usize));
    let shard = shard(async move || questions.next().await, async move |n| reply.send(n).await.unwrap());
    talk(shard, async move |n| ask.send(n).await.unwrap(), async || replies.next().await).await;
}

/// Each question brings the channel for its answer.
#[annulus::test]
async fn oneshots_between_shards() {
    type Question = (u64, tokio::sync::oneshot::Sender<u64>, futures_channel::oneshot::Sender<u64>);
    let (ask, mut questions) = tokio::sync::mpsc::unbounded_channel::<Question>();
    let kind = annulus::driver().kind();
    let other = thread::spawn(move || {
        Builder::new().driver(kind).build().unwrap().block_on(async {
            while let Some((n, one, two)) = questions.recv().await {
                one.send(n + 1).unwrap();
                annulus::yield_now().await;
                two.send(n + 2).unwrap();
            }
        });
    });
    let all = async {
        for n in 0..ROUNDS {
            let ((one, first), (two, second)) = (tokio::sync::oneshot::channel(), futures_channel::oneshot::channel());
            ask.send((n, one, two)).unwrap();
            assert_eq!((first.await, second.await), (Ok(n + 1), Ok(n + 2)));
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("a wake was lost");
    drop(ask);
    other.join().unwrap();
}

/// State that is looked at, and a call without a value: what is missed in between does not matter, the last does.
#[annulus::test]
async fn tokio_watch_and_notify_between_shards() {
    let (tell, mut told) = tokio::sync::watch::channel(0);
    let seen = std::sync::Arc::new(tokio::sync::Notify::new());
    let (kind, sees) = (annulus::driver().kind(), seen.clone());
    let other = thread::spawn(move || {
        Builder::new().driver(kind).build().unwrap().block_on(async {
            let mut last = 0;
            while told.changed().await.is_ok() {
                let now = *told.borrow_and_update();
                assert!(now > last, "{now} after {last}");
                last = now;
                sees.notify_one();
            }
            last
        })
    });
    let all = async {
        for n in 1..=ROUNDS {
            tell.send(n).unwrap();
            seen.notified().await;
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("a wake was lost");
    drop(tell);
    assert_eq!(other.join().unwrap(), ROUNDS);
}
