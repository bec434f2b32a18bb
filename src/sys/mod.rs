//! The ground: the kernel's ABI as bindgen wrote it, the system calls of io_uring and of kqueue, and what differs
//! between Unixes.
//!
//! The constants and structures re-exported here are the only definition of the ABI in annulus. They exist on every
//! target, because an entry is integers; only what enters the kernel is Linux alone.

mod abi;
#[cfg(annulus_kqueue)]
pub(crate) mod bsd;
pub(crate) mod buf_ring;
mod by_stat;
pub(crate) mod control;
#[cfg(not(annulus_kqueue))]
pub(crate) mod datagrams;
#[cfg(annulus_kqueue)]
#[path = "no_datagrams.rs"]
pub(crate) mod datagrams;
#[doc(hidden)]
pub mod fake;
#[cfg(annulus_kqueue)]
pub(crate) mod kqueue;
#[cfg(not(annulus_kqueue))]
pub(crate) mod linux;
pub(crate) mod per_process;
pub(crate) mod recvmsg_out;
#[cfg(not(annulus_kqueue))]
pub(crate) mod registrations;
pub(crate) mod sockaddr;
pub(crate) mod stat;
pub(crate) mod unix;
#[cfg(not(annulus_kqueue))]
pub(crate) mod uring;

// Whose `kqueue(2)` and `kevent(2)`: the system's, or on Linux for tests, an emulation's or libkqueue's.
#[cfg(all(annulus_kqueue, not(any(annulus_kqueue = "emulated", annulus_kqueue = "external"))))]
use libc as native;
#[cfg(annulus_kqueue = "external")]
#[path = "libkqueue.rs"]
mod native;
#[cfg(annulus_kqueue = "emulated")]
#[path = "../../tests/support/kqueue/mod.rs"]
mod native;

pub use abi::*;
pub use stat::{AtomicWrites, Statx, StatxTime};

/// Opcode names by number, without their `IORING_OP_`: derived from the bindings when annulus is built.
pub mod names {
    include!(concat!(env!("OUT_DIR"), "/opcodes.rs"));
}
