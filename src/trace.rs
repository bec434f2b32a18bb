//! What is told to `tracing`: a span for each task, and what the drivers and the runtime meet.
//!
//! A subscriber is code of others, so nothing is told while the driver is borrowed (*Quiet*): what happens inside is
//! counted there, and told from the counters when the turn has ended.
//!
//! Without the feature `tracing`, the same names stand in `untraced`, and do nothing.

use std::{
    cell::Cell,
    fmt::{Debug, Display},
    mem,
    panic::{AssertUnwindSafe, Location, catch_unwind},
};
use tracing::{debug, error, info, span::Entered, trace_span, warn};

/// A task's span, in which it is polled and dropped. It has no parent, or a task that starts the next would keep it for
/// ever; it follows from the span in which it was spawned.
#[derive(Debug)]
pub(crate) struct Span(tracing::Span);

impl Span {
    pub(crate) fn new(id: u64, name: Option<&str>, class: impl Debug, spawned: &Location<'_>) -> Span {
        let (class, spawned) = (tracing::field::debug(class), tracing::field::display(spawned));
        let mut made = Span(tracing::Span::none());
        aside(|| {
            made.0 = trace_span!(target: "annulus::task", parent: None, "task", id, name, class, spawned);
            made.0.follows_from(tracing::Span::current());
        });
        made
    }

    /// Runs `code` inside of it, whatever the subscriber does.
    pub(crate) fn enter<R>(&self, code: impl FnOnce() -> R) -> R {
        let mut inside = Inside(None);
        aside(|| inside.0 = Some(self.0.enter()));
        code()
    }
}

/// A span that was entered, and is left even if the code inside panics: two panics at once would end the process.
struct Inside<'a>(Option<Entered<'a>>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        aside(|| drop(self.0.take()));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let span = mem::replace(&mut self.0, tracing::Span::none());
        aside(|| drop(span));
    }
}

/// Runs a subscriber's code where its panic has nobody to go to: it ends here, and the panic hook has reported it.
fn aside(code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        mem::forget(payload);
    }
}

/// A driver was made. Whoever has no ring should be told why.
pub(crate) fn driver(kind: impl Display, reason: Option<&str>) {
    aside(|| match reason {
        None => debug!(target: "annulus::driver", %kind, "a driver was made"),
        Some(reason) => info!(target: "annulus::driver", %kind, reason, "a driver was made, and it is not the ring's"),
    });
}

/// A ring was set up.
#[allow(dead_code, reason = "where there is no ring, none is set up")]
pub(crate) fn ring(flags: impl Debug, entries: u32, completions: u32) {
    aside(|| debug!(target: "annulus::driver", ?flags, entries, completions, "a ring was set up"));
}

/// Tells what a driver has met since it was told last: overruns of the completion queue, entries that found the
/// submission queue full, streams that paused.
#[derive(Debug)]
pub(crate) struct Teller(Cell<[u64; 3]>);

impl Teller {
    pub(crate) fn new() -> Teller {
        Teller(Cell::new([0; 3]))
    }

    pub(crate) fn tell(&self, met: [u64; 3]) {
        let before = self.0.replace(met);
        if met == before {
            return;
        }
        let [overflows, backlogged, pauses] = met;
        aside(|| {
            if overflows != before[0] {
                warn!(target: "annulus::driver", overflows, "the completion queue was overrun; more entries help");
            }
            if backlogged != before[1] {
                debug!(target: "annulus::driver", backlogged, "entries found the submission queue full, and waited");
            }
            if pauses != before[2] {
                warn!(target: "annulus::driver", pauses, "a stream pauses, for lack of descriptors or memory");
            }
        });
    }
}

/// Something goes wrong that is told on the standard error as well.
pub(crate) fn warning(text: impl Display) {
    aside(|| warn!(target: "annulus::rt", "{text}"));
}

/// Something has gone wrong that is told on the standard error as well.
pub(crate) fn error(text: impl Display) {
    aside(|| error!(target: "annulus::rt", "{text}"));
}
