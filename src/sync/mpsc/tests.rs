//! Channels by themselves, against a model, and with values and wakers that come back.

use super::{
    error::{SendError, TryRecvError, TrySendError},
    *,
};
use crate::sync::tests::{Dice, Wakes, hostile, now, poll, unhurt};
use std::{
    cell::{Cell, RefCell, RefMut},
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

#[test]
fn values_come_in_their_order() {
    let (tx, mut rx) = channel(2);
    assert_eq!((tx.capacity(), tx.max_capacity(), rx.try_recv()), (2, 2, Err(TryRecvError::Empty)));
    now(tx.send(1)).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((rx.len(), rx.capacity(), tx.capacity()), (2, 0, 0));
    assert_eq!((now(rx.recv()), rx.try_recv(), rx.is_empty()), (Some(1), Ok(2), true));
    drop(tx);
    assert_eq!((now(rx.recv()), rx.try_recv()), (None, Err(TryRecvError::Disconnected)));
    assert!(rx.is_closed());
}

#[test]
fn many_are_received_at_once() {
    let (tx, mut rx) = channel(4);
    (0..4).for_each(|n| tx.try_send(n).unwrap());
    let mut values = vec![9];
    assert_eq!((now(rx.recv_many(&mut values, 3)), &values[..]), (3, &[9, 0, 1, 2][..]));
    assert_eq!(tx.capacity(), 3);
    assert_eq!((now(rx.recv_many(&mut values, 0)), now(rx.recv_many(&mut values, 9))), (0, 1));
    let (wakes, waker) = Wakes::new();
    assert!(rx.poll_recv_many(&mut Context::from_waker(&waker), &mut values, 9).is_pending());
    drop(tx);
    assert_eq!((wakes.take(), now(rx.recv_many(&mut values, 9)), values.len()), (1, 0, 5));
}

#[test]
fn places_are_reserved_used_and_given_back() {
    let (tx, mut rx) = channel(3);
    let one = now(tx.reserve()).unwrap();
    let mut two = tx.try_reserve_many(2).unwrap();
    assert_eq!((two.len(), tx.capacity(), tx.try_reserve().err()), (2, 0, Some(TrySendError::Full(()))));
    two.next().unwrap().send(1);
    drop(two);
    one.send(2);
    assert_eq!((tx.capacity(), now(rx.recv()), now(rx.recv())), (1, Some(1), Some(2)));
    assert_eq!(now(tx.reserve_many(4)).unwrap_err(), SendError(()));
    let owned = now(tx.clone().reserve_owned()).unwrap();
    assert!(owned.send(3).same_channel(&tx));
    assert!(tx.clone().try_reserve_owned().unwrap().release().same_channel(&tx));
    drop(tx.clone().try_reserve_owned().unwrap());
    assert_eq!((tx.capacity(), tx.strong_count(), rx.sender_strong_count()), (2, 1, 1));
}

/// Red when the end does not wait for places that are taken, or when their return is not told.
#[test]
fn after_close_what_was_reserved_is_still_received() {
    let (tx, mut rx) = channel(2);
    let (wakes, waker) = Wakes::new();
    let cx = &mut Context::from_waker(&waker);
    tx.try_send(1).unwrap();
    let permit = tx.try_reserve().unwrap();
    let mut waits = Box::pin(tx.reserve());
    let mut sends = Box::pin(tx.send(7));
    assert!(poll(&mut waits, &waker).is_pending() && poll(&mut sends, &waker).is_pending());
    assert_eq!(now(rx.recv()), Some(1));
    rx.close();
    assert_eq!((wakes.take(), poll(&mut sends, &waker)), (2, Poll::Ready(Err(SendError(7)))));
    assert!(tx.is_closed() && now(tx.send(3)) == Err(SendError(3)));
    now(tx.closed());
    assert_eq!(tx.try_send(4), Err(TrySendError::Closed(4)));
    permit.send(2);
    assert_eq!(rx.poll_recv(cx), Poll::Ready(Some(2)));
    assert!(rx.poll_recv(cx).is_pending(), "a place was granted before the end");
    drop(waits);
    assert_eq!((wakes.take(), rx.poll_recv(cx)), (1, Poll::Ready(None)));
    let (tx, mut rx) = channel::<u8>(1);
    let permit = tx.try_reserve().unwrap();
    rx.close();
    assert!(rx.poll_recv(cx).is_pending());
    drop(permit);
    assert_eq!((wakes.take(), rx.poll_recv(cx)), (1, Poll::Ready(None)));
}

#[test]
fn without_a_receiver_nothing_is_sent() {
    let (tx, rx) = channel(1);
    let (wakes, waker) = Wakes::new();
    let permit = tx.try_reserve().unwrap();
    let mut closed = Box::pin(tx.closed());
    assert!(poll(&mut closed, &waker).is_pending());
    drop(rx);
    assert_eq!((wakes.take(), now(tx.send(Rc::new(1))).is_err()), (1, true));
    let value = Rc::new(2);
    permit.send(value.clone());
    assert_eq!(Rc::strong_count(&value), 1, "nobody would ever drop it");
}

#[test]
fn a_weak_sender_does_not_keep_a_channel_open() {
    let (tx, mut rx) = channel::<u8>(1);
    let weak = tx.downgrade();
    assert!(weak.clone().upgrade().unwrap().same_channel(&tx));
    drop(tx);
    assert!(weak.upgrade().is_none() && now(rx.recv()).is_none());
    let (tx, mut rx) = unbounded_channel::<u8>();
    let weak = tx.downgrade();
    weak.upgrade().unwrap().send(1).unwrap();
    drop(tx);
    assert!(weak.clone().upgrade().is_none());
    assert_eq!((now(rx.recv()), now(rx.recv())), (Some(1), None));
}

#[test]
fn without_a_bound_sending_never_waits() {
    let (tx, mut rx) = unbounded_channel();
    let (wakes, waker) = Wakes::new();
    assert!(rx.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    (0..1000).for_each(|n| tx.clone().send(n).unwrap());
    assert_eq!((wakes.take(), rx.len(), now(rx.recv()), rx.try_recv()), (1, 1000, Some(0), Ok(1)));
    let mut rest = Vec::new();
    assert_eq!(now(rx.recv_many(&mut rest, usize::MAX)), 998);
    tx.send(5).unwrap();
    rx.close();
    assert_eq!((tx.send(6), now(rx.recv()), now(rx.recv())), (Err(SendError(6)), Some(5), None));
    now(tx.closed());
    assert!(tx.is_closed() && rx.is_closed() && rx.is_empty());
}

#[test]
#[should_panic(expected = "capacity of a channel is zero")]
fn a_capacity_of_zero_is_refused() {
    drop(channel::<u8>(0));
}

/// A value that uses its channel when it is dropped.
struct Returns(Option<Sender<Returns>>, Rc<Cell<u32>>);

impl Drop for Returns {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        let Some(tx) = self.0.take() else { return };
        let _ = tx.try_send(Returns(None, self.1.clone()));
        let _ = (tx.capacity(), format!("{tx:?}"), tx.try_reserve());
    }
}

/// Red when the queue is dropped inside of its borrow, or when values outlive their receiver.
#[test]
fn values_may_come_back_when_they_are_dropped() {
    let (drops, (tx, rx)) = (Rc::new(Cell::new(0)), channel(8));
    for _ in 0..4 {
        assert!(tx.try_send(Returns(Some(tx.clone()), drops.clone())).is_ok());
    }
    let permit = tx.clone().try_reserve_owned().unwrap();
    drop(rx);
    // Four, and what each of them tried to send.
    assert_eq!((drops.get(), tx.strong_count()), (8, 2));
    drop(permit.send(Returns(Some(tx.clone()), drops.clone())));
    assert_eq!((drops.get(), tx.strong_count()), (10, 1));
}

#[test]
fn wakers_may_do_what_they_like() {
    let (tx, rx) = channel(1);
    let rx = Rc::new(RefCell::new(Some(rx)));
    let (inside, outside) = (rx.clone(), tx.downgrade());
    let waker = hostile(move || {
        let Some(tx) = outside.upgrade() else { return };
        let _ = tx.try_send(0);
        // While the receiver itself is being polled it is nobody else's.
        let rx = inside.try_borrow_mut().ok().and_then(|mut rx: RefMut<'_, Option<Receiver<i32>>>| rx.take());
        if let Some(mut rx) = rx {
            let _ = (rx.len(), rx.try_recv());
            *inside.borrow_mut() = Some(rx);
        }
        drop(tx.clone());
    });
    for n in 0..100 {
        let _ = rx.borrow_mut().as_mut().unwrap().poll_recv(&mut Context::from_waker(&waker));
        let mut sends = Box::pin(tx.send(n));
        let waits = poll(&mut sends, &waker).is_pending();
        let _ = tx.try_send(n);
        let _ = rx.borrow_mut().as_mut().unwrap().try_recv();
        if waits && n % 3 == 0 {
            let _ = poll(&mut sends, &waker);
        }
    }
    let rx = rx.borrow_mut().take();
    drop(rx);
    unhurt();
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError<usize>>> + 'a>>;

/// A bounded channel, said in the plainest way.
struct Model {
    room: usize,
    queue: VecDeque<usize>,
    waiting: VecDeque<usize>,
    granted: BTreeSet<usize>,
}

impl Model {
    fn give(&mut self, places: usize) {
        self.room += places;
        while self.room > 0 && !self.waiting.is_empty() {
            self.room -= 1;
            self.granted.extend(self.waiting.pop_front());
        }
    }
}

/// A send that waits, with the waker of its last poll.
struct Waits<'a> {
    value: usize,
    future: Sending<'a>,
    wakes: Arc<Wakes>,
    woken: bool,
}

impl Waits<'_> {
    fn poll(&mut self) -> bool {
        let (wakes, waker) = Wakes::new();
        (self.wakes, self.woken) = (wakes, false);
        poll(&mut self.future, &waker).is_ready()
    }
}

fn receive(rx: &mut Receiver<usize>, model: &mut Model) {
    let value = model.queue.pop_front();
    model.give(value.is_some().into());
    match rx.poll_recv(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(received) => assert_eq!((received, received.is_some()), (value, true)),
        Poll::Pending => assert_eq!(value, None),
    }
}

fn agrees_with_the_model(seed: u64) {
    let mut dice = Dice::new(seed);
    let capacity = 1 + dice.roll(3);
    let (tx, mut rx) = channel(capacity);
    let mut model =
        Model { room: capacity, queue: VecDeque::new(), waiting: VecDeque::new(), granted: BTreeSet::new() };
    let mut waiting: Vec<Waits<'_>> = Vec::new();
    for value in 0..400 {
        let at = dice.roll(waiting.len().max(1));
        match dice.roll(6) {
            0 | 1 => {
                let mut one = Waits { value, future: Box::pin(tx.send(value)), wakes: Arc::default(), woken: false };
                if one.poll() {
                    assert!(model.room > 0 && model.waiting.is_empty());
                    model.room -= 1;
                    model.queue.push_back(value);
                } else {
                    assert!(model.room == 0);
                    model.waiting.push_back(value);
                    waiting.push(one);
                }
            }
            2 if !waiting.is_empty() => {
                let granted = model.granted.remove(&waiting[at].value);
                assert_eq!(waiting[at].poll(), granted);
                if granted {
                    model.queue.push_back(waiting.remove(at).value);
                }
            }
            3 if !waiting.is_empty() => {
                let value = waiting.remove(at).value;
                model.waiting.retain(|waits| *waits != value);
                let granted = model.granted.remove(&value);
                model.give(granted.into());
            }
            _ => receive(&mut rx, &mut model),
        }
        for one in &mut waiting {
            let due = model.granted.contains(&one.value) && !one.woken;
            assert_eq!(one.wakes.take(), usize::from(due), "seed {seed}, step {value}: the wakes of {}", one.value);
            one.woken |= due;
        }
        assert_eq!((rx.len(), tx.capacity()), (model.queue.len(), model.room), "seed {seed}, step {value}");
    }
}

/// Red when a dropped send keeps its place, and when a wake is missing.
#[test]
fn it_does_what_the_model_does() {
    (0..500).for_each(agrees_with_the_model);
}

#[crate::test]
async fn many_senders_lose_nothing() {
    let (tx, mut rx) = channel(3);
    for sender in 0..10u64 {
        let tx = tx.clone();
        crate::spawn(async move {
            for n in 0..500 {
                tx.send((sender, n)).await.unwrap();
            }
        });
    }
    drop(tx);
    let mut next = [0; 10];
    while let Some((sender, n)) = rx.recv().await {
        let expected = &mut next[sender as usize];
        assert_eq!(n, *expected);
        *expected += 1;
    }
    assert_eq!(next, [500; 10]);
}
