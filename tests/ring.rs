//! `annulus::ring` on the real kernel. One room for each topic; what they share is in `ring/common.rs`.
#![cfg(not(annulus_kqueue))] // there is no ring
#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[path = "outside/child.rs"]
mod child;

#[path = "ring/basics.rs"]
mod basics;
#[path = "ring/buf_ring.rs"]
mod buf_ring;
#[path = "ring/buffers.rs"]
mod buffers;
#[path = "ring/cancel.rs"]
mod cancel;
#[path = "ring/commands.rs"]
mod commands;
#[path = "ring/common.rs"]
mod common;
#[path = "ring/described.rs"]
mod described;
#[path = "ring/disk.rs"]
mod disk;
#[path = "ring/eventfds.rs"]
mod eventfds;
#[path = "ring/exits.rs"]
mod exits;
#[path = "ring/files.rs"]
mod files;
#[path = "ring/fixed_files.rs"]
mod fixed_files;
#[path = "ring/forks.rs"]
mod forks;
#[path = "ring/identity.rs"]
mod identity;
#[path = "ring/iopoll.rs"]
mod iopoll;
#[path = "ring/kernel.rs"]
mod kernel;
#[path = "ring/links.rs"]
mod links;
#[path = "ring/loops.rs"]
mod loops;
#[path = "ring/memory.rs"]
mod memory;
#[path = "ring/nops.rs"]
mod nops;
#[path = "ring/overflow.rs"]
mod overflow;
#[path = "ring/polls.rs"]
mod polls;
#[path = "ring/registered.rs"]
mod registered;
#[path = "ring/registrations.rs"]
mod registrations;
#[path = "ring/resize.rs"]
mod resize;
#[path = "ring/setup.rs"]
mod setup;
#[path = "ring/sockets.rs"]
mod sockets;
#[path = "ring/talk.rs"]
mod talk;
#[path = "ring/timers.rs"]
mod timers;
#[path = "ring/times.rs"]
mod times;
#[path = "ring/traffic.rs"]
mod traffic;
#[path = "ring/traps.rs"]
mod traps;
#[path = "ring/waits.rs"]
mod waits;
#[path = "ring/wide.rs"]
mod wide;
