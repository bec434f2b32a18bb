//! Time: sleeping, deadlines for futures, and ticking.
//!
//! The timers of a runtime live in its timing wheel. A timer takes a place there when its future is first polled,
//! and gives it back when it fires or when the future is dropped; neither costs an allocation once the wheel has
//! grown to the number of timers that are pending at the same time. Timers never fire early, and fire up to 66 µs
//! late (132 while sixteen and more are due at once), plus the time until the runtime's next turn. A deadline that
//! has passed is no shortcut: it fires in the next turn, so that `loop { sleep(Duration::ZERO).await }` lets other
//! tasks run.
//!
//! A future of this module that moves from one runtime to another takes its deadline along and is registered anew where
//! it is polled.
//!
//! Tests may [pause] the clock; then everything here goes by one that stands.

pub mod error;
mod instant;
mod interval;
mod pause;
mod sleep;
#[cfg(test)]
mod tests;
mod timeout;

pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use sleep::{Sleep, sleep, sleep_until};
pub use std::time::Duration;
pub use timeout::{Timeout, timeout, timeout_at};
