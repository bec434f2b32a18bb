//! A notification without a value.

use super::wait::{Line, Place};
use crate::rt::coop;
use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Wakes tasks of one shard, one or all of those that wait.
///
/// It remembers at most one notification: [`notify_one`](Notify::notify_one) without a waiter is for the next that
/// comes. So "look, and wait if there is nothing" misses nothing if whoever brings something notifies after it:
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::Notify;
/// use std::{cell::RefCell, collections::VecDeque, rc::Rc};
///
/// let shared = Rc::new((RefCell::new(VecDeque::new()), Notify::new()));
/// let other = shared.clone();
/// annulus::spawn(async move {
///     other.0.borrow_mut().push_back("job");
///     other.1.notify_one();
/// });
/// let job = loop {
///     let next = shared.0.borrow_mut().pop_front();
///     match next {
///         Some(job) => break job,
///         None => shared.1.notified().await,
///     }
/// };
/// # assert_eq!(job, "job"); });
/// ```
#[derive(Debug)]
pub struct Notify {
    /// A notification that found nobody.
    stored: Cell<bool>,
    /// How often all were notified.
    round: Cell<u64>,
    /// Each says which round it has seen. Those of an older one, at the front, are as good as answered: their wakes
    /// are on the way.
    line: Line<u64, Call>,
}

#[derive(Clone, Copy)]
enum Call {
    /// One notification, which is for somebody else if this one does not fetch it.
    First,
    /// The same, and it is for the last in the line.
    Last,
    All,
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl Notify {
    /// One that nobody has notified.
    #[must_use]
    pub const fn new() -> Notify {
        Notify { stored: Cell::new(false), round: Cell::new(0), line: Line::new() }
    }

    /// Waits for a notification: one that is stored, one by `notify_one` or `notify_last` when its turn has come, or
    /// one by `notify_waiters` after this call.
    ///
    /// It takes its place in the line when it is first polled, or by [`Notified::enable`].
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; a notification that it had got already goes to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.round.get(), place: Place::default(), done: false }
    }

    /// Notifies who has waited the longest; if nobody waits, the notification is stored for the next. There is at most
    /// one in store.
    pub fn notify_one(&self) {
        self.wake_late();
        if !self.line.answer_first(Call::First) {
            self.stored.set(true);
        }
    }

    /// Notifies who began to wait last; if nobody waits, the notification is stored as by
    /// [`notify_one`](Notify::notify_one).
    pub fn notify_last(&self) {
        self.wake_late();
        if !self.line.answer_last(Call::Last) {
            self.stored.set(true);
        }
    }

    /// Notifies all who wait, and all futures that [`notified`](Notify::notified) has given out. Nothing is stored.
    pub fn notify_waiters(&self) {
        self.round.set(self.round.get() + 1);
        self.wake_late();
    }

    /// Wakes those of an older round, who are in front. A wake may come back here and find some left: then it is done
    /// with them before it goes on.
    fn wake_late(&self) {
        while self.line.first().is_some_and(|seen| seen != self.round.get()) {
            self.line.answer_first(Call::All);
        }
    }

    /// Whether somebody who has seen `round` need not wait; takes what is stored.
    fn at_once(&self, round: u64) -> bool {
        round != self.round.get() || self.stored.take()
    }
}

/// Waits for a notification; made by [`Notify::notified`].
///
/// Once it is ready it stays ready.
#[must_use = "it does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    round: u64,
    place: Place,
    done: bool,
}

impl Notified<'_> {
    /// Takes a place in the line now, as a poll would; true if there is a notification, and the future is ready.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        let done = this.look();
        if !done {
            this.notify.line.join(&mut this.place, this.round);
        }
        done
    }

    /// Fetches a notification if there is one.
    fn look(&mut self) -> bool {
        if !self.done {
            let line = &self.notify.line;
            self.done = line.fetch(&mut self.place).is_some() || self.notify.at_once(self.round);
            if self.done {
                line.leave(&mut self.place);
            }
        }
        self.done
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let proceed = ready!(coop::poll_proceed(cx));
        let this = self.get_mut();
        if !this.look() {
            let (notify, round) = (this.notify, this.round);
            let at_once = || notify.at_once(round).then_some(Call::All);
            ready!(notify.line.poll(&mut this.place, cx, round, at_once));
            this.done = true;
        }
        proceed.made_progress();
        Poll::Ready(())
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        match self.notify.line.leave(&mut self.place) {
            Some(Call::First) => self.notify.notify_one(),
            Some(Call::Last) => self.notify.notify_last(),
            Some(Call::All) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, now, poll};
    use std::{pin::pin, rc::Rc, task::Waker};

    #[test]
    fn one_notification_is_stored() {
        let notify = Notify::new();
        notify.notify_one();
        notify.notify_last();
        now(notify.notified());
        assert!(poll(&mut notify.notified(), Waker::noop()).is_pending());
        notify.notify_waiters();
        assert!(poll(&mut notify.notified(), Waker::noop()).is_pending(), "nothing is stored for all");
    }

    #[test]
    fn each_is_called_in_turn_and_once() {
        let (notify, (wakes, waker)) = (Notify::new(), Wakes::new());
        let [mut a, mut b, mut c] = [1, 2, 3].map(|_| notify.notified());
        for future in [&mut a, &mut b, &mut c] {
            assert!(poll(future, &waker).is_pending());
        }
        notify.notify_one();
        notify.notify_last();
        assert_eq!(wakes.take(), 2);
        assert!(poll(&mut b, &waker).is_pending());
        assert!(poll(&mut a, &waker).is_ready() && poll(&mut c, &waker).is_ready());
        assert!(poll(&mut a, &waker).is_ready(), "what is ready stays ready");
        drop((a, c));
        assert!(poll(&mut b, &waker).is_pending(), "what was fetched is not passed on");
    }

    /// Red when `drop` passes nothing on.
    #[test]
    fn who_is_dropped_passes_the_call_on() {
        let (notify, (wakes, waker)) = (Notify::new(), Wakes::new());
        let mut futures: Vec<_> = (0..4).map(|_| notify.notified()).collect();
        futures.iter_mut().for_each(|future| assert!(poll(future, &waker).is_pending()));
        notify.notify_one();
        drop(futures.remove(0));
        assert_eq!(wakes.take(), 2);
        notify.notify_last();
        drop(futures.pop());
        assert_eq!(wakes.take(), 2);
        assert!(poll(&mut futures[0], &waker).is_ready() && poll(&mut futures[1], &waker).is_ready());
        let mut futures: Vec<_> = (0..3).map(|_| notify.notified()).collect();
        futures.iter_mut().for_each(|future| assert!(poll(future, &waker).is_pending()));
        notify.notify_last();
        drop(futures.pop());
        assert!(poll(&mut futures[0], &waker).is_pending() && poll(&mut futures[1], &waker).is_ready(), "the last");
        notify.notify_one();
        assert_eq!(wakes.take(), 3);
        drop(futures);
        now(notify.notified());
        let mut future = notify.notified();
        assert!(poll(&mut future, &waker).is_pending(), "at most one is stored");
        notify.notify_waiters();
        drop(future);
        assert!(poll(&mut notify.notified(), &waker).is_pending(), "a call to all is nobody else's");
    }

    #[test]
    fn all_means_futures_that_were_not_polled_yet() {
        let notify = Notify::new();
        let (mut before, mut polled) = (notify.notified(), notify.notified());
        assert!(poll(&mut polled, Waker::noop()).is_pending());
        notify.notify_waiters();
        let mut after = notify.notified();
        assert!(poll(&mut before, Waker::noop()).is_ready() && poll(&mut polled, Waker::noop()).is_ready());
        assert!(poll(&mut after, Waker::noop()).is_pending());
    }

    #[test]
    fn enabling_takes_a_place() {
        let (notify, (wakes, waker)) = (Notify::new(), Wakes::new());
        let (mut a, mut b) = (pin!(notify.notified()), pin!(notify.notified()));
        assert!(!a.as_mut().enable() && !a.as_mut().enable());
        assert!(b.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        notify.notify_one();
        assert_eq!(wakes.take(), 0, "the one that was enabled came first");
        assert!(a.as_mut().enable() && a.as_mut().enable());
        notify.notify_one();
        assert_eq!(wakes.take(), 1);
    }

    /// Red when those of an older round are answered by `notify_one` or `notify_last`: the call would be lost.
    #[test]
    fn a_call_from_within_a_wake_is_for_those_who_came_after() {
        for call in [Notify::notify_one, Notify::notify_last] {
            let notify = Rc::new(Notify::new());
            let (inside, calls) = (notify.clone(), Cell::new(0));
            // Cloned by the poll, dropped by the wake.
            let waker = hostile(move || {
                calls.set(calls.get() + 1);
                if calls.get() == 2 {
                    call(&inside);
                }
            });
            let (mut a, mut b) = (notify.notified(), notify.notified());
            assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, Waker::noop()).is_pending());
            notify.notify_waiters();
            assert!(poll(&mut b, Waker::noop()).is_ready());
            now(notify.notified());
        }
    }

    #[crate::test]
    async fn a_task_wakes_another() {
        let notify = Rc::new(Notify::new());
        let waits = notify.clone();
        let task = crate::spawn(async move {
            for _ in 0..1000 {
                waits.notified().await;
            }
        });
        while !task.is_finished() {
            notify.notify_one();
            crate::yield_now().await;
        }
        task.await.unwrap();
    }
}
