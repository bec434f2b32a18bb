//! Streams that take a buffer and give it back: [`AsyncReadRent`], [`AsyncWriteRent`] and what every such stream can
//! do.
//!
//! They are the counterparts of `std::io::Read` and `Write` for operations that own their buffer while they run. The
//! futures are not `Send`: they belong to the shard that made them. An implementor may write plain `async fn`s.
//!
//! What a dropped future means is said in the section *Cancellation* of each method, with one word:
//! - **Clean**: nothing has happened, or nothing is lost by forgetting it.
//! - **Lossy**: bytes may already have been transferred, and how many is lost with the buffer.
//! - **Detached**: the operation goes on or is cancelled behind the future's back; it keeps its buffer until it ends,
//!   and its outcome is dropped.
//!
//! Slices, cursors and vectors are streams in memory, useful for tests:
//!
//! ```
//! use annulus::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt};
//! # fn block_on<F: Future>(f: F) -> F::Output {
//! #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! #     match std::pin::pin!(f).poll(&mut cx) {
//! #         std::task::Poll::Ready(out) => out,
//! #         std::task::Poll::Pending => unreachable!("memory is always ready"),
//! #     }
//! # }
//! # fn main() -> std::io::Result<()> { block_on(async {
//!
//! let mut stream: &[u8] = b"\0\x05hello, and more";
//! let len = stream.read_u16().await?;
//! let (res, word) = stream.read_exact(Vec::with_capacity(len.into())).await;
//! assert_eq!((res?, &word[..]), (5, &b"hello"[..]));
//!
//! let mut copy = Vec::new();
//! let (res, _word) = copy.write_all(word).await;
//! assert_eq!((res?, &copy[..]), (5, &b"hello"[..]));
//! # Ok(()) }) }
//! ```

mod as_fd;
mod async_fd;
mod buf_read;
mod buf_reader;
mod buf_writer;
mod cancel;
pub mod cancel_ext;
mod copy;
mod deadline;
pub mod exclusive;
mod ext;
pub(crate) mod flow;
mod memory;
#[cfg(feature = "tokio")]
pub mod poll;
mod prefixed;
pub mod sink;
mod split;
mod stdio;
pub mod stream;
mod traits;
mod zero_copy;

pub use crate::entry::Interest;
pub use as_fd::{AsReadFd, AsWriteFd};
pub use async_fd::{AsyncFd, Changes, Ready, WouldBlock};
pub use buf_read::{AsyncBufRead, AsyncBufReadExt};
pub use buf_reader::BufReader;
pub use buf_writer::BufWriter;
pub use cancel::{CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller, EarlyEnd};
pub use copy::copy;
pub use deadline::WithDeadline;
pub use ext::{AsyncReadRentExt, AsyncWriteRentExt};
pub use prefixed::PrefixedReadIo;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, Split, Splitable, WriteHalf};
pub(crate) use split::{shared_reader, shared_writer};
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use traits::{AsyncReadRent, AsyncReadRentAt, AsyncWriteRent, AsyncWriteRentAt};
pub use zero_copy::{send_file, zero_copy};
