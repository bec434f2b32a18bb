//! The language that operations and drivers share: the entry ([`Sqe`]), its answer ([`Cqe`]), its twin ([`Twin`]) and,
//! for a request that is answered many times, its [`Multishot`].
//!
//! All of them are plain data, so they exist on every target.

mod cqe;
mod multishot;
mod names;
mod opcode;
mod options;
mod rw;
mod sqe;
mod twin;

pub use cqe::{BigCqe, Cqe, CqeFlags};
pub use multishot::{After, Flag, Multishot};
pub use names::{BufGroup, BufIndex, FixedFile, Personality, Target};
pub use opcode::{OPCODES, Opcode};
pub use options::{AcceptFlags, RecvSendFlags, TimeoutFlags};
pub(crate) use options::{poll_word, two_words};
pub use sqe::{Sqe, Sqe128, SqeFlags};
pub use twin::{Interest, Place, Twin};
