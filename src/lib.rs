//! annulus: a completion-based IO kernel.
extern crate self as annulus;

pub mod entry;
pub mod op;
pub mod sys;
