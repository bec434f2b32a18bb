//! The request to end, seen by every shard.

use crate::driver::quietly;
use slab::Slab;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
};

/// The request of [`Shards`](super::Shards) to end, for whoever may make it or has to see it; on any thread.
///
/// It is a request: a shard ends when its future returns.
#[derive(Clone, Default)]
pub struct ShutdownToken(Arc<Stop>);

#[derive(Default)]
struct Stop {
    /// Set once and never cleared; a look at it takes no lock.
    requested: OnceLock<()>,
    waiting: Mutex<Slab<Waker>>,
}

impl Stop {
    /// No stranger's code runs under the lock, so a poisoned one is whole.
    fn waiting(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShutdownToken {
    /// Asks all shards to end. The first time counts.
    pub fn request(&self) {
        if self.0.requested.set(()).is_ok() {
            let waiting = std::mem::take(&mut *self.0.waiting());
            waiting.into_iter().for_each(|(_, waker)| quietly(|| waker.wake()));
        }
    }

    /// Whether the shards were asked to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.requested.get().is_some()
    }

    /// Waits until the shards are asked to end, in whatever runtime.
    ///
    /// # Cancellation
    /// **Clean**: waiting changes nothing.
    pub async fn requested(&self) {
        self.wait().await;
    }

    pub(super) fn wait(&self) -> Requested {
        Requested { token: self.clone(), place: None }
    }
}

impl fmt::Debug for ShutdownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownToken").field("is_requested", &self.is_requested()).finish()
    }
}

/// Waits for the request. It may be polled again after it was ready.
pub(super) struct Requested {
    token: ShutdownToken,
    /// Where the waker lies, and a copy of it: a future that is polled often asks for no lock.
    place: Option<(usize, Waker)>,
}

impl Requested {
    fn leave(&mut self) {
        let Some((key, _)) = self.place.take() else { return };
        let gone = self.token.0.waiting().try_remove(key);
        drop(gone);
    }
}

impl Future for Requested {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let known = self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker()));
        if !known && !self.token.is_requested() {
            self.leave();
            let (waker, copy) = (cx.waker().clone(), cx.waker().clone());
            let key = self.token.0.waiting().insert(waker);
            self.place = Some((key, copy));
        }
        // After the waker is in its place: a request that this does not see finds it there.
        if self.token.is_requested() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        // Once requested, the wakers are gone, and a key means nothing.
        if !self.token.is_requested() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    /// Red when the request is looked for before the waker is in its place only.
    #[crate::test]
    async fn nobody_misses_it() {
        for round in 0..200u64 {
            let token = ShutdownToken::default();
            let far = token.clone();
            let asking = thread::spawn(move || {
                thread::sleep(Duration::from_micros(round));
                far.request();
            });
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let token = token.clone();
                    crate::spawn(async move { token.requested().await })
                })
                .collect();
            for waiting in waiting {
                waiting.await.unwrap();
            }
            asking.join().unwrap();
            assert!(token.is_requested());
            token.requested().await;
        }
    }

    #[crate::test]
    async fn who_gives_up_leaves_nothing() {
        let token = ShutdownToken::default();
        for _ in 0..10 {
            let mut waiting = token.wait();
            crate::testing::poll_once(&mut waiting).await;
            crate::testing::poll_once(&mut waiting).await;
            assert_eq!(token.0.waiting().len(), 1);
        }
        assert_eq!(token.0.waiting().len(), 0);
    }
}
