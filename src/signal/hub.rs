//! What a runtime has for one signal: one bell, one operation that waits for it, and everybody who listens.

use super::handler::{self, Bell, Line};
use crate::{
    driver::{Driver, Fd, quietly},
    entry::Interest,
    op::{self, Submit, ending},
};
use slab::Slab;
use std::{
    cell::{Cell, RefCell},
    fmt, io, mem,
    pin::Pin,
    rc::{Rc, Weak},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

thread_local! {
    /// The hubs of this thread's runtimes.
    static HUBS: RefCell<Vec<Weak<Hub>>> = const { RefCell::new(Vec::new()) };
}

/// A runtime's ear for one signal.
///
/// Whoever is polled in vain leaves the wait armed and its waker here. When the bell rings, all of them are woken; the
/// first to be polled hushes it, and whoever finds the count as it was arms the wait again. The count is looked at
/// after the bell was hushed, and the handler counts before it rings, so nothing slips between.
pub(super) struct Hub {
    signal: i32,
    driver: Rc<Driver>,
    line: &'static Line,
    bell: &'static Bell,
    fd: Fd,
    /// Taken out while it is polled, as that may run code of others.
    waiting: Cell<Option<Submit<op::Poll>>>,
    listeners: Arc<Listeners>,
}

impl Hub {
    /// The hub for `signal` of the runtime that `driver` belongs to.
    pub(super) fn of(driver: Rc<Driver>, signal: i32) -> io::Result<Rc<Hub>> {
        let is_it = |hub: &Rc<Hub>| hub.signal == signal && Rc::ptr_eq(&hub.driver, &driver);
        let found = HUBS.try_with(|hubs| hubs.borrow().iter().filter_map(Weak::upgrade).find(is_it));
        if let Ok(Some(hub)) = found {
            return Ok(hub);
        }
        let (line, bell) = handler::listen(signal)?;
        let fd = Fd::lasting(bell.watched());
        let (waiting, listeners) = Default::default();
        let hub = Rc::new(Hub { signal, driver, line, bell, fd, waiting, listeners });
        // A thread that is ending has no list any more; there, each listener has a hub of its own.
        let _ = HUBS.try_with(|hubs| {
            let mut hubs = hubs.borrow_mut();
            hubs.retain(|hub| hub.strong_count() > 0);
            hubs.push(Rc::downgrade(&hub));
        });
        Ok(hub)
    }

    /// Takes in a listener. Gives its name, and what it has seen so far.
    pub(super) fn enter(&self) -> (usize, usize) {
        (self.listeners.lock().insert(None), self.line.count())
    }

    /// Lets a listener go.
    pub(super) fn leave(&self, key: usize) {
        let waker = self.listeners.lock().try_remove(key);
        drop(waker);
    }

    /// Whether the signal came since `seen`. `None` when the runtime has ended, and nobody waits any more.
    pub(super) fn poll(&self, key: usize, seen: &mut usize, cx: &mut Context<'_>) -> Poll<Option<()>> {
        loop {
            let count = self.line.count();
            if count != *seen {
                *seen = count;
                return Poll::Ready(Some(()));
            }
            match self.poll_bell() {
                Poll::Ready(Ok(())) => self.bell.hush(),
                Poll::Ready(Err(_)) if self.driver.is_closed() => return Poll::Ready(None),
                // `op::cancel_all` is not about this: it is waited for again.
                Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::ECANCELED) => continue,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => break,
            }
            // One ring was for all of them.
            self.listeners.wake_all();
        }
        let waker = cx.waker().clone();
        let former = self.listeners.lock().get_mut(key).and_then(|place| place.replace(waker));
        drop(former);
        Poll::Pending
    }

    fn poll_bell(&self) -> Poll<io::Result<()>> {
        let waker = Waker::from(self.listeners.clone());
        let mut waiting = self.waiting.take().unwrap_or_else(|| op::poll(&self.fd, Interest::Read));
        // One operation is for all listeners, and does not end with one of them.
        let polled = ending::go_on(|| Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)));
        if polled.is_pending() {
            self.waiting.set(Some(waiting));
        }
        polled
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.bell.leave();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = self.listeners.lock().len();
        f.debug_struct("Hub").field("signal", &self.signal).field("listeners", &listeners).finish_non_exhaustive()
    }
}

/// Who listens, each with the waker of whoever waits. As one waker it is that of all.
#[derive(Default)]
struct Listeners(Mutex<Slab<Option<Waker>>>);

impl Listeners {
    /// No code of others runs under the lock, so a poisoned one guards what is whole.
    fn lock(&self) -> MutexGuard<'_, Slab<Option<Waker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let wakers: Vec<Waker> = self.lock().iter_mut().filter_map(|(_, waker)| mem::take(waker)).collect();
        wakers.into_iter().for_each(|waker| quietly(|| waker.wake()));
    }
}

impl Wake for Listeners {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
