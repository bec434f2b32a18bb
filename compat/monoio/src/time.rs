//! Time: [`annulus::time`], whose timers are always enabled.

pub use crate::driver::TimeDriver;
pub use annulus::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};

/// What goes wrong.
pub mod error {
    pub use annulus::time::error::Elapsed;
    use std::fmt;

    /// Why there is no timer. There always is one, so nobody is given such an error; it can be made.
    #[derive(Clone, Copy, Debug)]
    pub struct Error(Kind);

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Shutdown,
        AtCapacity,
        Invalid,
    }

    impl Error {
        /// The runtime has ended.
        #[must_use]
        pub fn shutdown() -> Error {
            Error(Kind::Shutdown)
        }

        /// Whether it says that the runtime has ended.
        #[must_use]
        pub fn is_shutdown(&self) -> bool {
            matches!(self.0, Kind::Shutdown)
        }

        /// There are as many timers as there can be.
        #[must_use]
        pub fn at_capacity() -> Error {
            Error(Kind::AtCapacity)
        }

        /// Whether it says that there are as many timers as there can be.
        #[must_use]
        pub fn is_at_capacity(&self) -> bool {
            matches!(self.0, Kind::AtCapacity)
        }

        /// No timer can be so late.
        #[must_use]
        pub fn invalid() -> Error {
            Error(Kind::Invalid)
        }

        /// Whether it says that no timer can be so late.
        #[must_use]
        pub fn is_invalid(&self) -> bool {
            matches!(self.0, Kind::Invalid)
        }
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self.0 {
                Kind::Shutdown => "the runtime of the timer has ended",
                Kind::AtCapacity => "there are as many timers as there can be",
                Kind::Invalid => "no timer can be so late",
            })
        }
    }

    impl std::error::Error for Error {}
}
