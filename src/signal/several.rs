//! Whichever of several signals comes.

use super::{Signal, SignalKind, signal};
use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

/// Hears of several signals. It belongs to the runtime that it was made in.
#[derive(Debug)]
pub struct Signals(Vec<(SignalKind, Signal)>);

/// Listens for several signals from now on.
///
/// ```no_run
/// use annulus::signal::{SignalKind, signals};
///
/// # annulus::run(async {
/// let mut ends = signals([SignalKind::interrupt(), SignalKind::terminate()])?;
/// if let Some(kind) = ends.recv().await {
///     println!("asked to end by signal {}", kind.as_raw_value());
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
///
/// # Errors
/// Those of [`signal`], for any of them. Those that come before it in the list are heard of by the process all the
/// same, and do no more what they did by default.
///
/// # Panics
/// Outside a runtime, if there is one to listen for.
#[track_caller]
pub fn signals(kinds: impl IntoIterator<Item = SignalKind>) -> io::Result<Signals> {
    let mut all = Vec::new();
    for kind in kinds {
        all.push((kind, signal(kind)?));
    }
    Ok(Signals(all))
}

impl Signals {
    /// Waits until one of the signals has come since the last time, and tells which. Of those that have come each is
    /// told in its turn. `None` when the runtime has ended, and if there is no signal to wait for.
    ///
    /// # Cancellation
    /// **Clean**: a signal that comes meanwhile is told next time.
    pub async fn recv(&mut self) -> Option<SignalKind> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Signals::recv) for futures that are written by hand: `Pending` wakes `cx` when it is worth to ask
    /// again.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<SignalKind>> {
        let mut heard = self.0.iter_mut().map(|(kind, signal)| (*kind, signal.poll_recv(cx))).enumerate();
        let Some((at, (kind, answer))) = heard.find(|(_, (_, answer))| answer.is_ready()) else {
            return if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending };
        };
        // The others come before it next time, so that one which comes again and again does not hide them.
        self.0.rotate_left(at + 1);
        answer.map(|heard| heard.map(|()| kind))
    }
}
