//! A place where tasks wait for each other.

use super::wait::{Crowd, Place};
use crate::rt::coop;
use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Lets a fixed number of tasks of a shard wait until all of them have come, again and again.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::Barrier;
/// use std::rc::Rc;
///
/// let barrier = Rc::new(Barrier::new(3));
/// let tasks = [(); 3].map(|()| {
///     let barrier = barrier.clone();
///     annulus::spawn(async move { barrier.wait().await.is_leader() })
/// });
/// let mut leaders = 0;
/// for task in tasks {
///     leaders += u32::from(task.await.unwrap());
/// }
/// assert_eq!(leaders, 1);
/// # });
/// ```
#[derive(Debug)]
pub struct Barrier {
    size: usize,
    /// How many of this round wait.
    waiting: Cell<usize>,
    round: Cell<u64>,
    crowd: Crowd,
}

impl Barrier {
    /// A barrier for `n` tasks. With 0 or 1 nobody waits.
    #[must_use]
    pub const fn new(n: usize) -> Barrier {
        Barrier { size: n, waiting: Cell::new(0), round: Cell::new(0), crowd: Crowd::new() }
    }

    /// Waits until as many tasks do so as the barrier is for. The one that comes last is the leader.
    ///
    /// # Cancellation
    /// **Clean**: who leaves before all have come did not come.
    pub async fn wait(&self) -> BarrierWaitResult {
        Wait { barrier: self, round: None, place: Place::default() }.await
    }

    /// Somebody comes: the round that he waits for the end of, or none if he completes it.
    fn come(&self) -> Option<u64> {
        let round = self.round.get();
        self.waiting.set(self.waiting.get() + 1);
        if self.waiting.get() < self.size {
            return Some(round);
        }
        self.waiting.set(0);
        self.round.set(round + 1);
        self.crowd.answer_all(());
        None
    }
}

struct Wait<'a> {
    barrier: &'a Barrier,
    /// The round that it is counted in.
    round: Option<u64>,
    place: Place,
}

impl Future for Wait<'_> {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let proceed = ready!(coop::poll_proceed(cx));
        let Wait { barrier, round, place } = self.get_mut();
        let leads = match round {
            Some(_) => false,
            None => {
                *round = barrier.come();
                round.is_none()
            }
        };
        if let Some(round) = *round {
            ready!(barrier.crowd.poll_until(place, cx, || (barrier.round.get() != round).then_some(())));
        }
        *round = None;
        proceed.made_progress();
        Poll::Ready(BarrierWaitResult { leads })
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.barrier.crowd.leave(&mut self.place);
        if self.round == Some(self.barrier.round.get()) {
            self.barrier.waiting.set(self.barrier.waiting.get() - 1);
        }
    }
}

/// What [`Barrier::wait`] gives.
#[derive(Clone, Debug)]
pub struct BarrierWaitResult {
    leads: bool,
}

impl BarrierWaitResult {
    /// Whether this is the task that came last: one for each round.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, now, poll, unhurt};
    use std::{cell::RefCell, rc::Rc, task::Waker};

    #[test]
    fn all_go_when_the_last_has_come() {
        let (barrier, (wakes, waker)) = (Barrier::new(3), Wakes::new());
        for round in 0..3 {
            let mut two = [Box::pin(barrier.wait()), Box::pin(barrier.wait())];
            two.iter_mut().for_each(|future| assert!(poll(future, &waker).is_pending()));
            assert!(poll(&mut two[0], &waker).is_pending(), "polled again, it has not come again");
            assert!(now(barrier.wait()).is_leader());
            assert_eq!(wakes.take(), 2, "round {round}");
            for future in &mut two {
                let Poll::Ready(result) = poll(future, &waker) else { panic!("all have come") };
                assert!(!result.is_leader());
            }
        }
        assert!(now(Barrier::new(0).wait()).is_leader() && now(Barrier::new(1).wait()).is_leader());
    }

    /// Red when who was dropped is still counted, and when one of the next round is taken for one of this.
    #[test]
    fn who_leaves_has_not_come() {
        let (barrier, (_, waker)) = (Barrier::new(2), Wakes::new());
        let mut gone = Box::pin(barrier.wait());
        assert!(poll(&mut gone, &waker).is_pending());
        drop(gone);
        let mut late = Box::pin(barrier.wait());
        assert!(poll(&mut late, &waker).is_pending());
        assert!(now(barrier.wait()).is_leader());
        let mut next = Box::pin(barrier.wait());
        assert!(poll(&mut next, &waker).is_pending());
        drop(late);
        assert!(now(barrier.wait()).is_leader(), "one who was let go and did not look is of the last round");
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let barrier = Rc::new(Barrier::new(3));
        let inside = barrier.clone();
        let waker = hostile(move || {
            let _ = poll(&mut Box::pin(inside.wait()), Waker::noop());
        });
        for _ in 0..3 {
            let (mut a, mut b) = (Box::pin(barrier.wait()), Box::pin(barrier.wait()));
            let _ = (poll(&mut a, &waker), poll(&mut b, &waker));
            let _ = poll(&mut Box::pin(barrier.wait()), &waker);
        }
        assert_eq!(barrier.waiting.get(), 0);
        unhurt();
    }

    /// Red when those who wait are woken before the round has ended.
    #[test]
    fn who_comes_when_the_others_go_is_of_the_next_round() {
        let (barrier, next) = (Rc::new(Barrier::new(2)), Rc::new(RefCell::new(None)));
        let (inside, kept) = (barrier.clone(), next.clone());
        let waker = hostile(move || {
            let inside = inside.clone();
            let mut waits = Box::pin(async move { inside.wait().await });
            if poll(&mut waits, Waker::noop()).is_pending() {
                kept.borrow_mut().replace(waits);
            }
        });
        let mut first = barrier.crowd.until(|| None::<()>);
        assert!(poll(&mut first, &waker).is_pending());
        drop(next.take());
        let mut second = Box::pin(barrier.wait());
        assert!(poll(&mut second, Waker::noop()).is_pending());
        assert!(now(barrier.wait()).is_leader());
        let mut waits = next.take().expect("it came when the others went");
        assert!(poll(&mut waits, Waker::noop()).is_pending());
        unhurt();
    }
}
