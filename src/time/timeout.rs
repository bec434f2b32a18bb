//! A deadline for a future.
//!
//! The invariant **Pinned** in this file: the inner future is pinned as soon as its [`Timeout`] is. It is moved only by
//! `into_inner`, which takes the `Timeout` by value, and `get_mut` asks for `&mut Timeout`: neither can be had of a
//! pinned one, unless the future is `Unpin`. `Timeout` has no `Drop` and is not packed.

use super::{Instant, Sleep, error::Elapsed, sleep_until};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Gives `future` the time `duration` to be done. One that is too long for the clock means a century.
///
/// The future is polled first, so one that is ready at once is never late.
///
/// # Errors
/// [`Elapsed`] if the time is up first.
///
/// # Panics
/// When polled outside an annulus runtime.
///
/// # Cancellation
/// **Clean** as far as the timer goes. That the time is up does not drop the future: that happens when the [`Timeout`]
/// is dropped, which after `.await` is at once; what is then lost is said by the future's own section. To keep it,
/// await
/// `&mut timeout` and take the future back with [`Timeout::into_inner`].
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    timeout_at(Instant::now().after(duration), future)
}

/// Gives `future` until `deadline` to be done.
///
/// # Errors
/// [`Elapsed`] if the deadline comes first.
///
/// # Panics
/// When polled outside an annulus runtime.
///
/// # Cancellation
/// **Clean** as far as the timer goes; see [`timeout`] for the future.
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep_until(deadline) }
}

/// A future with a deadline; made by [`timeout`] and [`timeout_at`].
#[must_use = "a timeout does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
}

impl<F> Timeout<F> {
    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside, to be changed.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// The future without its deadline, also after that has passed.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: Pinned. Of the two fields borrowed here only `sleep` is used as unpinned, and that is `Unpin`.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: Pinned. `self` was pinned until the line above and nothing has moved `future` since.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}
