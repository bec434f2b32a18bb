//! annulus: a completion-based IO kernel for Rust.
//!
//! io_uring by hand ([`ring`]), a ring in user space that behaves the same where io_uring is missing, buffers that are
//! lent and given back ([`buf`]) or shared by many connections ([`pool`]), operations ([`op`]), and a thread-per-core
//! runtime ([`rt`], [`task`], [`sync`], [`shard`]) with monoio's traits and names ([`io`], [`net`], [`fs`], [`time`],
//! [`process`], [`signal`]).
//!
//! ```
//! use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
//! use annulus::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! annulus::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!
//!     client.write_all("ping").await.0?;
//!     let (n, buf) = server.read(Vec::with_capacity(64)).await;
//!     assert_eq!((n?, &buf[..]), (4, &b"ping"[..]));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! A program is a future that [`run`] or [`main`](macro@main) runs; [`spawn`] starts tasks beside it. Operations take
//! their buffer by value and give it back with the result ([`BufResult`]); what a dropped future means is said in each
//! method's section *Cancellation*.
//!
#![doc = include_str!("design.md")]
extern crate self as annulus;

#[cfg(not(any(target_os = "linux", annulus_kqueue)))]
compile_error!("annulus runs on Linux, macOS, FreeBSD, NetBSD and OpenBSD");

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod buf;
mod driver;
pub mod entry;
pub mod fs;
mod future;
pub mod io;
pub mod net;
pub mod op;
pub mod pool;
pub mod process;
pub mod report;
#[cfg(not(annulus_kqueue))]
pub mod ring;
// Elsewhere there is no ring to enter, and of its room only the flags are left, for reports to be read alike.
#[cfg(annulus_kqueue)]
#[path = "ring/flags.rs"]
pub mod ring;
pub mod rt;
pub mod shard;
pub mod signal;
pub mod sync;
pub mod sys;
pub mod task;
#[cfg(test)]
mod testing;
pub mod time;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
#[path = "untraced.rs"]
mod trace;

#[cfg(feature = "macros")]
pub use annulus_macros::{main, test};
pub use buf::BufResult;
pub use driver::{Counters, DriverInfo, DriverKind, Fd, Histogram, PoolCounts};
pub use report::{Report, probe};
pub use rt::{
    Builder, JoinError, JoinHandle, Metrics, Runtime, driver, metrics, run, scope, spawn, spawn_blocking, yield_now,
};
pub use shard::Shards;

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
