//! A queue of values from many senders to one receiver, between tasks of one shard.
//!
//! [`channel`] is bounded: who sends to a full one waits in a fair line, so a slow receiver slows its senders down.
//! [`unbounded_channel`] is not: sending never waits, and the memory is as much as the receiver lags.
//!
//! The channel ends from both sides. When all senders are gone, the receiver gets what is left and then `None`. When
//! the receiver is dropped, sending fails and gives the value back; when it is [closed](Receiver::close), what was
//! promised room before is still received. Once the queue has grown, a message costs no allocation.
//!
//! ```
//! # annulus::run(async {
//! use annulus::sync::mpsc;
//!
//! let (tx, mut rx) = mpsc::channel(8);
//! for name in ["a", "b"] {
//!     let tx = tx.clone();
//!     annulus::spawn(async move { tx.send(name).await.unwrap() });
//! }
//! drop(tx);
//! let mut names = Vec::new();
//! while let Some(name) = rx.recv().await {
//!     names.push(name);
//! }
//! assert_eq!(names, ["a", "b"]);
//! # });
//! ```

mod bounded;
mod channel;
pub mod error;
#[cfg(test)]
mod tests;
mod unbounded;

pub use bounded::{OwnedPermit, Permit, PermitIterator, Receiver, Sender, WeakSender, channel};
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
