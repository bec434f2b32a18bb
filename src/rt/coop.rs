//! The cooperative budget: what keeps a task from holding its thread while everything it awaits is ready at once.
//!
//! Each poll of a task begins with 128 units. What can be ready again and again (a channel that is never empty, a lock
//! that nobody else wants) takes one each time it is, and when none is left it wakes its task and says that it is
//! pending. So the task goes to the back of the queue, and the others, the driver and the timers have their turn.
//! Operations have a limit of their own: how many may complete at their first poll is bounded for each turn.
//!
//! Outside of a runtime there is nobody else to let through, and no budget.

use super::current;
use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

/// How often a task may find ready what it awaits before it has to let others through.
const UNITS: u32 = 128;
/// More than any poll can spend.
const UNLIMITED: u32 = u32::MAX;

/// What is left to the task that is being polled. One for each runtime.
#[derive(Debug)]
pub(super) struct Budget(Cell<u32>);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(Cell::new(UNITS))
    }

    /// A poll begins.
    pub(super) fn renew(&self) {
        self.0.set(UNITS);
    }

    fn take(&self) -> bool {
        let left = self.0.get();
        if left != UNLIMITED {
            self.0.set(left.saturating_sub(1));
        }
        left > 0
    }

    fn give_back(&self) {
        let left = self.0.get();
        if left < UNITS {
            self.0.set(left + 1);
        }
    }
}

/// Takes a unit of the task's budget, for something that may be ready again and again.
///
/// `Pending` if there is none: the task has been woken then, and what was asked for has not been looked at. A unit that
/// led to nothing is given back when the [`Proceed`] is dropped.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<Proceed> {
    match current::with(|core| core.budget().take()) {
        None => Poll::Ready(Proceed { gives_back: false }),
        Some(true) => Poll::Ready(Proceed { gives_back: true }),
        Some(false) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}

/// A unit of the budget.
#[must_use = "dropping it gives the unit back"]
#[derive(Debug)]
pub(crate) struct Proceed {
    gives_back: bool,
}

impl Proceed {
    /// The poll is ready: the unit is spent.
    pub(crate) fn made_progress(mut self) {
        self.gives_back = false;
    }
}

impl Drop for Proceed {
    fn drop(&mut self) {
        if self.gives_back {
            current::with(|core| core.budget().give_back());
        }
    }
}

/// Spends a unit of the task's budget, and lets the others through if none is left: for loops that compute, or that
/// await what this runtime knows nothing of.
///
/// # Cancellation
/// **Clean**: there is nothing to lose.
pub async fn consume_budget() {
    poll_fn(|cx| poll_proceed(cx).map(Proceed::made_progress)).await;
}

/// Whether the task may go on for now; true outside of a runtime.
#[must_use]
pub fn has_budget_remaining() -> bool {
    current::with(|core| core.budget().0.get() > 0).unwrap_or(true)
}

/// Frees `future` from the budget: it is never told to wait for the others' sake, so it must see to that itself.
pub fn unconstrained<F>(future: F) -> Unconstrained<F> {
    Unconstrained(future)
}

/// A future without a budget; made by [`unconstrained`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Unconstrained<F>(F);

impl<F> fmt::Debug for Unconstrained<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unconstrained").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _lifted = Lifted(current::with(|core| core.budget().0.replace(UNLIMITED)));
        // SAFETY: Pinned: a projection to the only field; there is no `Drop` and no other way to it.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

/// Puts the budget back that was there before, in unwinding too.
struct Lifted(Option<u32>);

impl Drop for Lifted {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            current::with(|core| core.budget().0.set(before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Runtime, spawn, yield_now};
    use std::{rc::Rc, task::Waker};

    /// Ready as often as it is asked, but for the budget.
    async fn ready() {
        consume_budget().await;
    }

    /// Red when the budget is not taken from, or not renewed.
    #[crate::test]
    async fn who_always_finds_something_lets_others_through() {
        let turns = Rc::new(Cell::new(0));
        let others = turns.clone();
        let greedy = spawn(async move {
            for n in 0..10 * UNITS {
                ready().await;
                assert_eq!(turns.get(), n / UNITS, "after {n} units");
            }
        });
        spawn(async move {
            loop {
                others.set(others.get() + 1);
                yield_now().await;
            }
        });
        greedy.await.unwrap();
    }

    #[crate::test]
    async fn who_is_unconstrained_goes_on() {
        let turns = Rc::new(Cell::new(0));
        let others = turns.clone();
        let free = spawn(async move {
            let body = async {
                for _ in 0..10 * UNITS {
                    ready().await;
                    assert!(has_budget_remaining());
                }
            };
            unconstrained(body).await;
            assert_eq!(turns.get(), 0);
            ready().await;
        });
        spawn(async move {
            yield_now().await;
            others.set(1);
        });
        free.await.unwrap();
    }

    /// Red when a unit is spent in vain.
    #[crate::test]
    async fn what_leads_to_nothing_is_given_back() {
        poll_fn(|cx| {
            for _ in 0..3 * UNITS {
                assert!(poll_proceed(cx).is_ready());
            }
            for _ in 0..UNITS {
                let Poll::Ready(proceed) = poll_proceed(cx) else { panic!("a unit was lost") };
                proceed.made_progress();
            }
            assert!(!has_budget_remaining());
            assert!(poll_proceed(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[test]
    fn outside_of_a_runtime_there_is_no_budget() {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 * UNITS {
            let Poll::Ready(proceed) = poll_proceed(&mut cx) else { panic!("nobody waits") };
            proceed.made_progress();
        }
        assert!(has_budget_remaining());
        // A unit that was taken outside is nobody's to have back.
        let outside = poll_proceed(&mut cx);
        Runtime::new().unwrap().block_on(async { drop(outside) });
    }
}
