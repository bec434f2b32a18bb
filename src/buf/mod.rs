//! Buffers that a caller lends and gets back: the traits, what implements them, and owned slices of them.
//!
//! A completion names memory long before it is used, and goes on using it when the future that asked is dropped. So an
//! operation takes its buffer **by value** and returns it with the result, as a [`BufResult`].
//!
//! ```
//! use annulus::buf::{IoBuf, IoBufMut};
//!
//! let hello = b"hello world".to_vec().slice(6..); // what a write would send
//! assert_eq!(hello.as_slice(), b"world");
//!
//! let mut room = Vec::with_capacity(64).slice_mut(..16); // where a read would put at most 16 bytes
//! assert_eq!(room.bytes_total(), 16);
//! ```
//!
//! # The contract
//!
//! A buffer is *lent* from the first time somebody asks for its pointer until it is given back (**Lent**). The traits
//! are unsafe because the other side, a kernel or a driver, believes them. Four invariants carry every `SAFETY:`
//! comment about buffers:
//!
//! - **Steady** (promised by the buffer): while it is lent, the pointer and the length are the same at every call, even
//!   when the buffer itself was moved in between, and the memory behind them stays. So the bytes lie outside of the
//!   value: `Vec<u8>` is a buffer, `[u8; 16]` cannot be one. [`IoBufMut::set_init`] changes neither the pointer nor
//!   the total length.
//! - **Filled** (promised by the buffer): the bytes that it offers for reading are initialised, and nobody writes them
//!   while it is lent. The bytes that it offers for writing are the buffer's alone.
//! - **Told** (promised by whoever used the buffer): what was written is said once, by `set_init`, after a success and
//!   never after an error, and never more than was offered. Nothing else makes bytes count as initialised; above all
//!   not the number that a reader returns, because a reader is safe code and may be wrong.
//! - **Unmoved** (promised by whoever lends): from before the pointer is taken until the buffer is given back, the
//!   buffer lies in a [`MaybeUninit`](std::mem::MaybeUninit). Moving a plain `Box<[u8]>` or `&'static mut [u8; N]`
//!   asserts again that it is the only way to its bytes, and under Rust's aliasing models that ends the life of every
//!   pointer derived before; moving a `MaybeUninit` asserts nothing. For the same reason the lengths are asked for
//!   first and the pointer last.
//!
//! Lengths are `usize` here; an operation clamps them to what its system call can take. A length of zero is fine
//! everywhere, and then the pointer may be dangling or null.

mod envelope;
mod group;
mod io_buf;
mod io_buf_mut;
mod msg;
mod raw;
mod rest;
mod slice;
mod vectored;

#[cfg(feature = "bytes")]
mod bytes;

use std::io;

pub use crate::sys::control::ControlMessage;
pub use envelope::Envelope;
pub(crate) use group::{Given, Group};
#[doc(hidden)]
pub use io_buf::Fixed;
pub use io_buf::IoBuf;
pub use io_buf_mut::IoBufMut;
pub use msg::{MsgBuf, MsgBufMut, MsgMeta};
pub use raw::{RawBuf, RawBufVectored};
pub(crate) use rest::{Rest, VecRest, overclaim};
pub use slice::{Slice, SliceMut};
pub use vectored::{IoVecBuf, IoVecBufMut, IoVecWrapper, IoVecWrapperMut, VecBuf};
pub(crate) use vectored::{iovecs_mut, parts};

/// What an operation on a lent buffer answers: its result, and the buffer again, after an error too.
///
/// ```
/// use annulus::BufResult;
///
/// fn first_line((res, buf): BufResult<usize, Vec<u8>>) -> std::io::Result<Vec<u8>> {
///     let n = res?;
///     Ok(buf[..n].split(|b| *b == b'\n').next().unwrap_or_default().to_vec())
/// }
/// assert_eq!(first_line((Ok(5), b"ab\nc\n".to_vec())).unwrap(), b"ab");
/// ```
pub type BufResult<T, B> = (io::Result<T>, B);
