//! What the attribute macros expand to. Not part of the API.

pub use crate::driver::Named;
pub use annulus::__private::on_threads;
pub use scoped_tls::scoped_thread_local;

use crate::driver::chosen_by_environment;
use annulus::{Builder, DriverKind};
use std::{
    future::Future,
    process::{ExitCode, Termination},
};

fn builder(driver: Named, entries: u32) -> Builder {
    let builder = Builder::new().entries(entries.max(256)).cached_reads(false);
    match driver {
        Named::Uring => builder.driver(DriverKind::Uring),
        Named::Legacy => builder.driver(DriverKind::Poll),
        Named::Fusion => chosen_by_environment(builder),
    }
}

/// The body of a `main`.
#[track_caller]
pub fn main<F: Future>(driver: Named, entries: u32, future: F) -> F::Output {
    let runtime = builder(driver, entries).build();
    runtime.unwrap_or_else(|error| panic!("no runtime can be made here: {error}")).block_on(future)
}

/// The body of a test. It is skipped, and says so, where it is for the kernel's ring and that cannot be had.
pub fn test<F: Future<Output: Termination>>(
    driver: Named,
    entries: u32,
    name: &str,
    wanted_panic: Option<&'static str>,
    future: F,
) -> ExitCode {
    let may_be_missing = driver == Named::Uring;
    annulus::__private::test_on(name, builder(driver, entries), may_be_missing, wanted_panic, || future)
}
