//! Time: [`annulus::time`], whose timers are always enabled.

pub use crate::driver::TimeDriver;
pub use annulus::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, error, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};
