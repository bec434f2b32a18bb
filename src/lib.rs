//! annulus: a completion-based IO kernel.
extern crate self as annulus;

pub mod buf;
pub mod entry;
pub mod io;
pub mod op;
#[cfg(target_os = "linux")]
pub mod ring;
pub mod sys;

pub use buf::BufResult;
