//! Entries for what the ring alone can do, or can do without a thread of ours: one opcode a file.
//!
//! What [`annulus::op`](crate::op) performs has its constructor beside the operation, and a *twin*: an ordinary system
//! call that means the same, for kernels and systems without a ring. What has its constructor here has none: on a
//! kernel that lacks the opcode, the completion says `EINVAL`.
//!
//! All of them are functions of [`Sqe`](crate::entry::Sqe). They are safe, since an entry is numbers;
//! [`Ring::push`](crate::ring::Ring::push) says what is owed for the memory and the descriptors that they name. What an
//! entry acts on is a [`Target`](crate::entry::Target): a descriptor, or a place in the ring's table of files. A
//! directory that a path starts at is a descriptor or `AT_FDCWD`, never a place (`EBADF`).
//!
//! # How to read them
//!
//! The documentation of each ends with four facts. *Result* is what the completion has when all goes well; an error is
//! that of the system call, unless more is said. *Since* is the first Linux that has it, *twin* the system call that
//! stands in for it. *Cancel* is what comes of a cancellation:
//!
//! - *nothing to cancel*: it is done when it is submitted, or when its turn in a chain comes.
//! - *while it waits*: it ends with `ECANCELED`, and nothing was done.
//! - *before a worker has it*: a thread of the kernel's carries it out. Until that has begun it ends with `ECANCELED`,
//!   and nothing was done; from then on a cancellation is answered with `EALREADY`, and it ends by itself.
//!
//! Unless they are said to, they are answered once, take no buffer from a group (`EOPNOTSUPP`), and name no registered
//! buffer.
//!
//! # All of them
//!
//! Where there is a version, the opcode can do that since then. `cargo run --example doctor -- --opcodes` prints the
//! same and what the kernel says of each; in a program it is [`OPCODES`].
//!
#![doc = include_str!("opcodes.md")]

pub use crate::entry::{OPCODES, Opcode};

mod async_cancel;
mod epoll_ctl;
mod epoll_wait;
mod fadvise;
mod fallocate;
mod fgetxattr;
mod files_update;
mod fsetxattr;
mod futex_wait;
mod futex_waitv;
mod futex_wake;
mod getxattr;
mod link_timeout;
mod madvise;
mod msg_ring;
mod nop128;
mod openat2;
mod pipe;
mod poll_remove;
mod provide_buffers;
mod read_multishot;
mod readv_fixed;
mod recv_zc;
mod remove_buffers;
mod setxattr;
mod socket_cmd;
mod sync_file_range;
mod tee;
mod timeout_remove;
mod uring_cmd;
mod uring_cmd128;
mod writev_fixed;

pub use async_cancel::Cancel;
pub use futex_wait::FutexFlags;
pub use futex_waitv::FutexWait;

/// A length as two fields have it: 32 bits, as every kernel takes it, or 64 where they do not suffice.
fn length(len: u64) -> (u32, u64) {
    u32::try_from(len).map_or((0, len), |short| (short, 0))
}
