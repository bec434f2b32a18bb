//! monoio's names over [annulus]: a program that was written for monoio 0.2 compiles and runs unchanged.
//!
//! Almost all of it is re-exported, so a `TcpStream` of this crate is annulus's and has its methods, too. What is
//! written here is what annulus has in another form: the types that name drivers, a [`JoinHandle`](task::JoinHandle)
//! that gives the plain output, and the marker [`io::Split`]. The README beside this package says what changes, and
//! what to adopt next.
//!
//! ```
//! use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
//! use monoio::net::{TcpListener, TcpStream};
//!
//! let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer().build()?;
//! runtime.block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     let client = monoio::spawn(async move {
//!         let mut stream = TcpStream::connect(addr).await.unwrap();
//!         stream.write_all("ping").await.0.unwrap()
//!     });
//!     let (mut stream, _) = listener.accept().await?;
//!     let (read, buf) = stream.read(Vec::with_capacity(64)).await;
//!     assert_eq!((read?, &buf[..], client.await), (4, &b"ping"[..], 4));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod blocking;
pub mod buf;
mod builder;
mod driver;
pub mod fs;
pub mod io;
pub mod macros;
pub mod net;
mod runtime;
pub mod task;
pub mod time;
pub mod utils;

pub use annulus::{BufResult, join, pin, select, try_join};
pub use blocking::spawn_blocking;
pub use builder::{Buildable, RuntimeBuilder};
pub use driver::Driver;
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
pub use driver::FusionDriver;
#[cfg(all(target_os = "linux", feature = "iouring"))]
pub use driver::IoUringDriver;
#[cfg(feature = "legacy")]
pub use driver::LegacyDriver;
#[cfg(all(target_os = "linux", feature = "iouring", feature = "io-uring"))]
pub use io_uring::IoUring;
#[cfg(feature = "macros")]
pub use monoio_macros::{main, test, test_all};
#[cfg(any(feature = "legacy", all(target_os = "linux", feature = "iouring")))]
pub use runtime::FusionRuntime;
pub use runtime::Runtime;
pub use task::spawn;

use std::future::Future;

/// Makes a runtime on the driver `D` and has it run `future`.
///
/// ```
/// assert_eq!(monoio::start::<monoio::LegacyDriver, _>(async { 6 * 7 }), 42);
/// ```
///
/// # Panics
/// If there is no such runtime here, and as [`Runtime::block_on`] does.
#[track_caller]
pub fn start<D, F>(future: F) -> F::Output
where
    F: Future,
    F::Output: 'static,
    D: Buildable + Driver,
{
    match builder::Buildable::build(RuntimeBuilder::<D>::new()) {
        Ok(mut runtime) => runtime.block_on(future),
        Err(error) => panic!("no runtime can be made here: {error}"),
    }
}
