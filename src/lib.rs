//! annulus: a completion-based IO kernel.
extern crate self as annulus;

#[cfg(not(target_os = "linux"))]
compile_error!("annulus runs on Linux so far; the poll driver for kqueue systems is not written yet");

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod buf;
mod driver;
pub mod entry;
pub mod fs;
pub mod io;
pub mod net;
pub mod op;
pub mod ring;
pub mod rt;
pub mod sys;
#[cfg(test)]
mod testing;
pub mod time;

#[cfg(feature = "macros")]
pub use annulus_macros::{main, test};
pub use buf::BufResult;
pub use driver::{Counters, DriverInfo, DriverKind, Fd, PoolCounts};
pub use rt::{
    Builder, JoinError, JoinHandle, Metrics, Runtime, driver, metrics, run, spawn, spawn_blocking, yield_now,
};
