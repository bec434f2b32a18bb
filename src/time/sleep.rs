//! Sleeping: one timer of the wheel as a future.
//!
//! The invariant **Home** in this room: a sleep holds the wheel that it is registered with, never a bare key to be
//! looked up in whatever runtime is current. Dropped anywhere, even after its runtime's end, it withdraws from that
//! wheel and from no other. The invariant **Quiet**: wakers are cloned before the wheel is borrowed and dropped after.

use super::Instant;
use crate::rt::{
    self,
    timer::{TimerKey, Timers},
};
use std::{
    cell::RefCell,
    fmt, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Waits until `duration` has passed. One that is too long for the clock waits for a century.
///
/// # Panics
/// When polled outside an annulus runtime.
///
/// # Cancellation
/// **Clean**: dropping it withdraws the timer, at once and in constant time.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now().after(duration))
}

/// Waits until `deadline`. One in the past is reached in the runtime's next turn.
///
/// # Panics
/// When polled outside an annulus runtime.
///
/// # Cancellation
/// **Clean**: dropping it withdraws the timer, at once and in constant time.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, state: State::New }
}

/// Waits for a deadline; made by [`sleep`] and [`sleep_until`].
///
/// It can be polled again after it is done and stays done until [`reset`](Sleep::reset).
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
}

enum State {
    New,
    Waiting { home: Rc<RefCell<Timers>>, key: TimerKey },
    Fired,
}

impl Sleep {
    /// When it is over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Sets a new deadline, whether or not the old one has passed.
    ///
    /// The task that waits for the old deadline is woken at the new one, even if it does not poll in between.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.deadline = deadline;
        if let State::Waiting { home, key } = &mut self.state {
            let mut timers = home.borrow_mut();
            if let Some(waker) = timers.cancel(*key) {
                *key = timers.insert(deadline.into_std(), waker);
                return;
            }
        }
        self.state = State::New;
    }

    /// Takes the timer back from the wheel. The waker is dropped by the caller, when the borrow has ended.
    fn withdraw(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.state, State::New) {
            State::Waiting { home, key } => home.borrow_mut().cancel(key),
            State::New | State::Fired => None,
        }
    }

    fn register(&mut self, timers: Rc<RefCell<Timers>>, waker: &Waker) {
        drop(self.withdraw());
        let waker = waker.clone();
        let key = timers.borrow_mut().insert(self.deadline.into_std(), waker);
        self.state = State::Waiting { home: timers, key };
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Fired = self.state {
            return Poll::Ready(());
        }
        let timers = rt::timers();
        match &self.state {
            State::Waiting { home, key } if Rc::ptr_eq(home, &timers) => {
                if !home.borrow().is_pending(*key) {
                    self.state = State::Fired;
                    return Poll::Ready(());
                }
                if !home.borrow().will_wake(*key, cx.waker()) {
                    let waker = cx.waker().clone();
                    let replaced = home.borrow_mut().update_waker(*key, waker);
                    drop(replaced);
                }
            }
            _ => self.register(timers, cx.waker()),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        drop(self.withdraw());
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
