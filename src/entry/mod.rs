//! The language that operations and drivers share: the entry ([`Sqe`]), its answer ([`Cqe`]) and its twin ([`Twin`]).
//!
//! All three are plain data, so they exist on every target.

mod cqe;
mod sqe;
mod twin;

pub use cqe::{Cqe, CqeFlags};
pub use sqe::{Sqe, SqeFlags};
pub use twin::{Interest, Place, Twin};
