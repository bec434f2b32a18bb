//! Streams: [`annulus::io`], and what monoio has in another form.

mod cancel_ext;
#[cfg(feature = "poll-io")]
pub(crate) mod poll;
#[cfg(target_os = "linux")]
pub mod splice;
mod split;

pub use annulus::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadRent, AsyncReadRentAt, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentAt,
    AsyncWriteRentExt, BufReader, BufWriter, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent,
    Canceller, PrefixedReadIo, copy, sink, stream, zero_copy,
};
pub use cancel_ext::{CancelableAsyncReadRentExt, CancelableAsyncWriteRentExt};
#[cfg(feature = "poll-io")]
pub use poll::{IntoCompIo, IntoPollIo};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError, Split, Splitable};
/// tokio's traits.
#[cfg(feature = "poll-io")]
pub use tokio::io as poll_io;

/// Streams that are a descriptor and nothing else.
pub mod as_fd {
    pub use annulus::Fd as SharedFdWrapper;
    pub use annulus::io::{AsReadFd, AsWriteFd};
}
