//! Streams: [`annulus::io`].

#[cfg(feature = "poll-io")]
pub use annulus::io::poll::{IntoCompIo, IntoPollIo};
pub use annulus::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadRent, AsyncReadRentAt, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentAt,
    AsyncWriteRentExt, BufReader, BufWriter, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent,
    Canceller, PrefixedReadIo,
    cancel_ext::{CancelableAsyncReadRentExt, CancelableAsyncWriteRentExt},
    copy,
    exclusive::{OwnedReadHalf, OwnedWriteHalf, ReuniteError, Split, Splitable},
    sink, stream, zero_copy,
};
#[cfg(target_os = "linux")]
pub use annulus::net::splice;
/// tokio's traits.
#[cfg(feature = "poll-io")]
pub use tokio::io as poll_io;

/// Streams that are a descriptor and nothing else.
pub mod as_fd {
    pub use annulus::Fd as SharedFdWrapper;
    pub use annulus::io::{AsReadFd, AsWriteFd};
}
