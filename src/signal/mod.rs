//! Signals, as something to await.
//!
//! ```no_run
//! use annulus::signal::{SignalKind, signal};
//!
//! # annulus::run(async {
//! let mut hangup = signal(SignalKind::hangup())?;
//! while hangup.recv().await.is_some() {
//!     // Read the configuration again.
//! }
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! The first listener for a signal installs a handler, and the handler stays until the process ends: from then on the
//! signal does not do what it did by default, even when nobody listens any more. A handler that was there before is
//! called, too, each time; its mask and its flags are not kept.
//!
//! Every listener of every runtime hears every signal, but several that come before it looks are one: what it learns is
//! that the signal came, and not how often. Signals that were there before the listener are not told.
//!
//! No thread has to block anything, so threads that were there before are none the worse, and a child inherits neither
//! a mask nor a signal that is ignored: its signals do what they do by default. A signal that every thread of the
//! process blocks is not heard, as it is not delivered.
//!
//! A process that was forked without `exec` shares the bells of its parent: a signal of the child makes the parent's
//! listeners look, and they find nothing.

mod handler;
mod hub;
mod kind;
mod several;

use crate::driver::Driver;
use hub::Hub;
pub use kind::SignalKind;
pub use several::{Signals, signals};
use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

/// Hears of one signal. It belongs to the runtime that it was made in.
#[derive(Debug)]
pub struct Signal {
    hub: Rc<Hub>,
    key: usize,
    seen: usize,
}

/// Listens for a signal from now on. See the [module's documentation](self) for what that does to the process.
///
/// # Errors
/// `InvalidInput` for what cannot be listened for: SIGKILL and SIGSTOP, the signals of faults (SIGILL, SIGFPE, SIGSEGV,
/// SIGBUS), and numbers that are no signal. `EMFILE` when there are no descriptors left: a runtime needs two for each
/// kind of signal, however many listeners there are.
///
/// # Panics
/// Outside a runtime.
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let Some(driver) = Driver::current() else {
        panic!("annulus::signal was called outside a runtime; call it from a future that block_on or run runs")
    };
    kind.check()?;
    let hub = Hub::of(driver, kind.as_raw_value())?;
    let (key, seen) = hub.enter();
    Ok(Signal { hub, key, seen })
}

impl Signal {
    /// Waits until the signal has come since the last time. `None` when the runtime has ended: it will not be heard any
    /// more.
    ///
    /// # Cancellation
    /// **Clean**: a signal that comes meanwhile is told next time.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Signal::recv) for futures that are written by hand: `Pending` wakes `cx` when it is worth to ask again.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.hub.poll(self.key, &mut self.seen, cx)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.hub.leave(self.key);
    }
}

/// Waits for a Ctrl-C (SIGINT). From its first poll on, the process is not ended by one any more.
///
/// To hear every Ctrl-C, and those that come between two calls, keep a [`signal`] instead.
///
/// # Errors
/// Those of [`signal`], and `BrokenPipe` when the runtime has ended.
///
/// # Cancellation
/// **Clean**, but for this: the handler stays, so that a Ctrl-C afterwards is for the next who listens.
pub async fn ctrl_c() -> io::Result<()> {
    let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "the runtime that listened for Ctrl-C has ended");
    signal(SignalKind::interrupt())?.recv().await.ok_or_else(ended)
}
