//! Operations: one file each.

mod nop;
mod read;
