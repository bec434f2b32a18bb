//! Time: [`annulus::time`], whose timers are always enabled.

pub use crate::driver::TimeDriver;
pub use annulus::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};

/// What goes wrong.
pub mod error {
    pub use annulus::time::error::Elapsed;
    use std::{convert::Infallible, fmt};

    /// Why there is no timer. There always is one, so nobody has such an error.
    #[derive(Clone, Copy, Debug)]
    pub struct Error(Infallible);

    impl fmt::Display for Error {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {}
        }
    }

    impl std::error::Error for Error {}
}
