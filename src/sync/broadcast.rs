//! Every value for every receiver, between tasks of one shard.
//!
//! The channel keeps the last `capacity` values. Sending never waits: a receiver that is slower than that misses the
//! oldest, and is told how many.
//!
//! A value is dropped as soon as nobody needs it any more; the last who receives it gets the value itself, the others a
//! clone. A message costs one allocation.
//!
//! ```
//! # annulus::run(async {
//! use annulus::sync::broadcast::{self, error::RecvError};
//!
//! let (tx, mut rx) = broadcast::channel(2);
//! for n in 0..5 {
//!     tx.send(n).unwrap();
//! }
//! assert_eq!(rx.recv().await, Err(RecvError::Lagged(3)));
//! assert_eq!(rx.recv().await, Ok(3));
//! # });
//! ```

use super::wait::Crowd;
use error::{RecvError, SendError, TryRecvError};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
};

/// Makes a channel that keeps the last `capacity` values.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    queue: RefCell<Queue<T>>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    receiving: Crowd,
    closing: Crowd,
}

/// The values that are kept. Their numbers go up by one from `first`.
///
/// Receivers get them in order: who waits for one waits for all behind it, too. So the first is waited for by the
/// fewest, and nobody needs any of the others while it is needed.
struct Queue<T> {
    slots: VecDeque<Slot<T>>,
    first: u64,
    capacity: usize,
}

struct Slot<T> {
    /// Shared with those who are cloning it.
    value: Rc<T>,
    /// How many receivers have not got it.
    due: usize,
}

impl<T> Queue<T> {
    /// The number of the next value.
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Adds a value for `due` receivers; gives the one that had to make room for it.
    fn push(&mut self, value: Rc<T>, due: usize) -> Option<Rc<T>> {
        let full = self.slots.len() == self.capacity;
        let oldest = if full { self.pop() } else { None };
        self.slots.push_back(Slot { value, due });
        oldest
    }

    fn pop(&mut self) -> Option<Rc<T>> {
        let slot = self.slots.pop_front()?;
        self.first += 1;
        Some(slot.value)
    }

    /// The value with number `at`, which is there, for one of those who are due.
    fn take(&mut self, at: u64) -> Option<Rc<T>> {
        let slot = &mut self.slots[(at - self.first) as usize];
        slot.due -= 1;
        if slot.due > 0 { Some(slot.value.clone()) } else { self.pop() }
    }
}

impl<T> Shared<T> {
    /// The next value for a receiver whose next it is; nothing if it is not there yet.
    fn next(&self, next: &mut u64) -> Option<Result<Rc<T>, RecvError>> {
        let mut queue = self.queue.borrow_mut();
        if *next < queue.first {
            let missed = queue.first - *next;
            *next = queue.first;
            return Some(Err(RecvError::Lagged(missed)));
        }
        if *next == queue.end() {
            return (self.senders.get() == 0).then_some(Err(RecvError::Closed));
        }
        let value = queue.take(*next)?;
        *next += 1;
        Some(Ok(value))
    }
}

/// Clones a value outside of every borrow, unless it is the last.
fn owned<T: Clone>(value: Rc<T>) -> T {
    Rc::try_unwrap(value).unwrap_or_else(|shared| T::clone(&shared))
}

/// The end that sends. Each clone is an end of its own, and the channel ends with the last.
pub struct Sender<T>(Rc<Shared<T>>);

impl<T> Sender<T> {
    /// A sender without receivers, of a channel that keeps the last `capacity` values.
    ///
    /// # Panics
    /// If `capacity` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(capacity: usize) -> Sender<T> {
        assert!(capacity > 0, "the capacity of a channel is zero; it must be at least one");
        Sender(Rc::new(Shared {
            queue: RefCell::new(Queue { slots: VecDeque::new(), first: 0, capacity }),
            senders: Cell::new(1),
            receivers: Cell::new(0),
            receiving: Crowd::new(),
            closing: Crowd::new(),
        }))
    }

    /// Sends a value to all receivers, and says how many there are.
    ///
    /// # Errors
    /// The value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let receivers = self.receiver_count();
        if receivers == 0 {
            return Err(SendError(value));
        }
        let oldest = self.0.queue.borrow_mut().push(Rc::new(value), receivers);
        self.0.receiving.answer_all(());
        drop(oldest);
        Ok(receivers)
    }

    /// A new receiver, of what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.0)
    }

    /// How many values are kept for receivers that have not got them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.queue.borrow().slots.len()
    }

    /// Whether all receivers have got everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.receivers.get()
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub async fn closed(&self) {
        self.0.closing.until(|| (self.receiver_count() == 0).then_some(())).await;
    }

    /// Whether `other` sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.senders.set(self.0.senders.get() + 1);
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0 {
            self.0.receiving.answer_all(());
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).field("receivers", &self.receiver_count()).finish()
    }
}

/// The end that receives.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the value that it gets next.
    next: u64,
}

impl<T> Receiver<T> {
    fn new(shared: &Rc<Shared<T>>) -> Receiver<T> {
        shared.receivers.set(shared.receivers.get() + 1);
        let next = shared.queue.borrow().end();
        Receiver { shared: shared.clone(), next }
    }

    /// How many values it has not got, those that it missed and was not told of included.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.shared.queue.borrow().end() - self.next) as usize
    }

    /// Whether it has got everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new receiver, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Receiver<T> {
        Receiver::new(&self.shared)
    }

    /// Whether all senders are gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.senders.get() == 0
    }

    /// Whether `other` receives from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, and waits for it.
    ///
    /// # Errors
    /// [`Lagged`](RecvError::Lagged) if values were missed; the next call gives the oldest that is kept.
    /// [`Closed`](RecvError::Closed) if all senders are gone and everything was received.
    ///
    /// # Cancellation
    /// **Clean**: a value that was not received is received by the next call.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let Receiver { shared, next } = self;
        shared.receiving.until(|| shared.next(next)).await.map(owned)
    }

    /// Receives the next value, if it is there.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty) if it is not, and as [`recv`](Receiver::recv) does.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.shared.next(&mut self.next) {
            Some(Ok(value)) => Ok(owned(value)),
            Some(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
            Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What comes from now on is not counted for it, even if a value's drop sends.
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        let end = self.shared.queue.borrow().end();
        while self.next < end {
            let value = self.shared.next(&mut self.next);
            drop(value);
        }
        if self.shared.receivers.get() == 0 {
            self.shared.closing.answer_all(());
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What can go wrong.
pub mod error {
    pub use crate::sync::mpsc::error::SendError;
    use std::fmt;

    /// Why no value was received.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum RecvError {
        /// All senders are gone, and everything was received.
        Closed,
        /// So many values were missed.
        Lagged(u64),
    }

    impl fmt::Display for RecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                RecvError::Closed => f.write_str("the channel is closed"),
                RecvError::Lagged(missed) => write!(f, "the receiver missed {missed} values"),
            }
        }
    }

    impl std::error::Error for RecvError {}

    /// Why no value could be received at once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// There is none now.
        Empty,
        /// All senders are gone, and everything was received.
        Closed,
        /// So many values were missed.
        Lagged(u64),
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                TryRecvError::Empty => f.write_str("the channel is empty"),
                TryRecvError::Closed => f.write_str("the channel is closed"),
                TryRecvError::Lagged(missed) => write!(f, "the receiver missed {missed} values"),
            }
        }
    }

    impl std::error::Error for TryRecvError {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Dice, Wakes, hostile, now, poll, unhurt};
    use std::task::{Poll, Waker};

    #[test]
    fn everybody_gets_everything() {
        let (tx, mut one) = channel(4);
        tx.send("a").unwrap();
        let mut two = tx.subscribe();
        assert_eq!((tx.send("b"), tx.len(), one.len(), two.len()), (Ok(2), 2, 2, 1));
        assert_eq!((now(one.recv()), now(one.recv()), one.try_recv()), (Ok("a"), Ok("b"), Err(TryRecvError::Empty)));
        assert_eq!((tx.len(), now(two.recv()), tx.is_empty(), two.is_empty()), (1, Ok("b"), true, true));
        let other = tx.clone();
        assert!(other.same_channel(&tx) && one.same_channel(&two) && !one.is_closed());
        drop(tx);
        other.send("c").unwrap();
        drop(other);
        assert_eq!((now(one.recv()), now(one.recv())), (Ok("c"), Err(RecvError::Closed)));
        assert_eq!((two.try_recv(), two.try_recv()), (Ok("c"), Err(TryRecvError::Closed)));
        assert!(one.is_closed() && now(one.resubscribe().recv()) == Err(RecvError::Closed));
    }

    #[test]
    fn who_is_slow_is_told_what_it_missed() {
        let (tx, mut slow) = channel(2);
        let mut fast = slow.resubscribe();
        for n in 0..5 {
            tx.send(n).unwrap();
            assert_eq!(fast.try_recv(), Ok(n));
        }
        assert_eq!((slow.len(), tx.len(), slow.try_recv()), (5, 2, Err(TryRecvError::Lagged(3))));
        assert_eq!((now(slow.recv()), now(slow.recv()), slow.try_recv()), (Ok(3), Ok(4), Err(TryRecvError::Empty)));
        (5..9).for_each(|n| assert!(tx.send(n).is_ok()));
        drop(tx);
        assert_eq!((now(slow.recv()), now(slow.recv())), (Err(RecvError::Lagged(2)), Ok(7)));
    }

    #[test]
    fn all_who_wait_are_woken() {
        let (tx, mut one) = channel(1);
        let (mut two, (wakes, waker)) = (tx.subscribe(), Wakes::new());
        {
            let (mut a, mut b) = (Box::pin(one.recv()), Box::pin(two.recv()));
            assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
            tx.send(1).unwrap();
            assert_eq!((wakes.take(), poll(&mut a, &waker)), (2, Poll::Ready(Ok(1))));
            tx.send(2).unwrap();
            assert_eq!(poll(&mut b, &waker), Poll::Ready(Err(RecvError::Lagged(1))));
        }
        let mut closed = Box::pin(tx.closed());
        assert!(poll(&mut closed, &waker).is_pending());
        drop((one, two));
        assert!(wakes.take() == 1 && poll(&mut closed, &waker).is_ready());
        assert_eq!((tx.send(3), tx.len(), tx.receiver_count()), (Err(SendError(3)), 0, 0));
    }

    #[test]
    #[should_panic(expected = "capacity of a channel is zero")]
    fn a_capacity_of_zero_is_refused() {
        drop(channel::<u8>(0));
    }

    /// A value that uses its channel when it is cloned or dropped.
    struct Returns(Sender<Returns>, Rc<Cell<u32>>);

    impl Clone for Returns {
        fn clone(&self) -> Returns {
            drop((self.0.subscribe(), self.0.len()));
            Returns(self.0.clone(), self.1.clone())
        }
    }

    impl Drop for Returns {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            drop((self.0.subscribe().try_recv(), self.0.len()));
        }
    }

    /// Red when a value is cloned or dropped inside of a borrow, and when one that nobody needs stays.
    #[test]
    fn values_may_come_back_when_they_are_cloned_or_dropped() {
        let (tx, mut one) = channel(2);
        let (mut two, drops) = (tx.subscribe(), Rc::new(Cell::new(0)));
        for _ in 0..3 {
            assert!(tx.send(Returns(tx.clone(), drops.clone())).is_ok());
        }
        assert_eq!(drops.get(), 1, "the first had to make room");
        assert!(one.try_recv().is_err() && one.try_recv().is_ok());
        assert_eq!(drops.get(), 2, "a clone");
        assert!(two.try_recv().is_err() && two.try_recv().is_ok());
        assert_eq!((drops.get(), tx.len()), (3, 1), "the value itself");
        drop(one);
        assert_eq!(drops.get(), 3);
        drop(two);
        assert_eq!((drops.get(), tx.len()), (4, 0));
    }

    /// Red when a receiver that is being dropped counts as one.
    #[test]
    fn what_is_sent_while_the_last_receiver_goes_is_for_nobody() {
        #[derive(Clone)]
        struct Sends(Option<Sender<Sends>>);
        impl Drop for Sends {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(|tx| assert!(tx.send(Sends(None)).is_err()));
            }
        }
        let (tx, rx) = channel(4);
        assert!(tx.send(Sends(Some(tx.clone()))).is_ok());
        drop(rx);
        assert!(tx.is_empty());
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let (tx, mut rx) = channel(2);
        let inside = tx.clone();
        let waker = hostile(move || {
            let mut rx = inside.subscribe();
            let _ = (inside.send(0), rx.try_recv());
            let _ = poll(&mut Box::pin(rx.recv()), Waker::noop());
        });
        for n in 0..20 {
            let _ = poll(&mut Box::pin(rx.recv()), &waker);
            assert!(tx.send(n).is_ok());
        }
        unhurt();
    }

    /// Against a list of everything that was sent.
    #[test]
    fn it_does_what_the_model_does() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let capacity = 1 + dice.roll(4);
            let (tx, rx) = channel(capacity);
            let (mut sent, mut receivers) = (0, vec![(rx, 0)]);
            for _ in 0..300 {
                let at = dice.roll(receivers.len());
                match dice.roll(8) {
                    0..3 => {
                        assert_eq!(tx.send(sent), Ok(receivers.len()));
                        sent += 1;
                    }
                    3 => receivers.push((tx.subscribe(), sent)),
                    4 if receivers.len() > 1 => drop(receivers.swap_remove(at)),
                    _ => {
                        let (rx, next) = &mut receivers[at];
                        let oldest = (sent as usize).saturating_sub(capacity) as u64;
                        let expected = match *next {
                            next if next < oldest => Err(TryRecvError::Lagged(oldest - next)),
                            next if next == sent => Err(TryRecvError::Empty),
                            next => Ok(next),
                        };
                        *next = if *next < oldest { oldest } else { sent.min(*next + 1) };
                        assert_eq!(rx.try_recv(), expected, "seed {seed}");
                    }
                }
                let slowest = receivers.iter().map(|(_, next)| sent - next).max().unwrap_or(0);
                assert_eq!(tx.len() as u64, slowest.min(capacity as u64), "seed {seed}: what nobody needs is gone");
            }
        }
    }
}
