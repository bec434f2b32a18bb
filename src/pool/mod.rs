//! Buffers that are not one's own: pools that several connections or files share.
//!
//! A [`RecvPool`] is for receiving without a buffer in hand: one is chosen when there is something to put into it, so a
//! connection that waits holds none. A [`FixedPool`] is for reading and writing: its buffers are taken before they are
//! used, and the kernel has looked up their memory already.

mod fixed;
mod recv;

pub use fixed::{ClassStats, FixedBuf, FixedPool, FixedPoolBuilder, Pages};
pub use recv::{PoolBuf, RecvPool};
