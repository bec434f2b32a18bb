//! Buffers that are not one's own: pools that several connections share.
//!
//! A [`RecvPool`] is for receiving without a buffer in hand: one is chosen when there is something to put into it, so a
//! connection that waits holds none.

mod recv;

pub use recv::{PoolBuf, RecvPool};
