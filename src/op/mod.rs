//! Operations: one file each.
mod nop;
