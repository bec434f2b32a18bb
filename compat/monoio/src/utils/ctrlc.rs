//! The signal of who has seen enough.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Why there is no [`CtrlC`].
pub type CtrlCError = ctrlc::Error;

/// Becomes ready when SIGINT comes (and with the feature `signal-termination` SIGTERM and SIGHUP).
#[derive(Debug)]
pub struct CtrlC(());

/// What is between the handler, which runs on a thread of its own, and who waits. Nobody's code runs under the lock but
/// what a waker's clone is.
static STATE: Mutex<State> = Mutex::new(State { is_heard: false, rung: 0, waker: None });

struct State {
    is_heard: bool,
    rung: usize,
    waker: Option<Waker>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ring() {
    let mut state = state();
    state.rung += 1;
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl CtrlC {
    /// Listens from now on. There is one listener at a time.
    ///
    /// # Errors
    /// `MultipleHandlers` while there is another one; and if the signal cannot be listened for.
    pub fn new() -> Result<CtrlC, CtrlCError> {
        static HANDLER: Mutex<bool> = Mutex::new(false);
        let mut installed = HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
        if state().is_heard {
            return Err(CtrlCError::MultipleHandlers);
        }
        if !*installed {
            ctrlc::set_handler(ring)?;
            *installed = true;
        }
        *state() = State { is_heard: true, rung: 0, waker: None };
        Ok(CtrlC(()))
    }

    /// Does what a Ctrl-C does, without one.
    pub fn ctrlc(&self) {
        ring();
    }
}

impl Future for CtrlC {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = state();
        if state.rung > 0 {
            state.rung -= 1;
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for CtrlC {
    fn drop(&mut self) {
        *state() = State { is_heard: false, rung: 0, waker: None };
    }
}
