//! The signal of who has seen enough.

use annulus::signal::{SignalKind, Signals, signals};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Why there is no [`CtrlC`].
pub type CtrlCError = ctrlc::Error;

/// Becomes ready when SIGINT comes (and with the feature `signal-termination` SIGTERM and SIGHUP), each time that it is
/// awaited. There may be several.
#[derive(Debug)]
pub struct CtrlC(Signals);

impl CtrlC {
    /// Listens from now on.
    ///
    /// # Errors
    /// If there are no descriptors left for it.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn new() -> Result<CtrlC, CtrlCError> {
        let mut kinds = vec![SignalKind::interrupt()];
        if cfg!(feature = "signal-termination") {
            kinds.extend([SignalKind::terminate(), SignalKind::hangup()]);
        }
        signals(kinds).map(CtrlC).map_err(CtrlCError::System)
    }

    /// Sends this process a SIGINT.
    pub fn ctrlc() {
        let _ = SignalKind::interrupt().raise();
    }
}

impl Future for CtrlC {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.0.poll_recv(cx)) {
            Some(_) => Poll::Ready(()),
            // The runtime has ended.
            None => Poll::Pending,
        }
    }
}
