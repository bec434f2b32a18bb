//! The ground: the kernel's ABI as bindgen wrote it, the three io_uring system calls, and what differs between Unixes.
//!
//! The constants and structures re-exported here are the only definition of the ABI in annulus. They exist on every
//! target, because an entry is integers; only what enters the kernel is Linux alone.

mod abi;
pub(crate) mod sockaddr;
pub(crate) mod unix;
pub(crate) mod uring;

pub use abi::*;

/// Opcode names by number, without their `IORING_OP_`: derived from the bindings when annulus is built.
pub mod names {
    include!(concat!(env!("OUT_DIR"), "/opcodes.rs"));
}
