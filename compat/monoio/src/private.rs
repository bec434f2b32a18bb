//! What the attribute macros expand to. Not part of the API.

pub use crate::driver::Named;
pub use scoped_tls::scoped_thread_local;

use crate::driver::chosen_by_environment;
use annulus::{Builder, Runtime};
use std::{
    future::Future,
    io::{self, Write},
    process::{ExitCode, Termination},
    thread,
};

fn builder(driver: Named, entries: u32) -> Builder {
    let builder = Builder::new().entries(entries.max(256));
    match driver {
        Named::Uring => builder.driver(annulus::DriverKind::Uring),
        Named::Legacy => builder.driver(annulus::DriverKind::Poll),
        Named::Fusion => chosen_by_environment(builder),
    }
}

fn runtime(driver: Named, entries: u32) -> Runtime {
    builder(driver, entries).build().unwrap_or_else(|error| panic!("no runtime can be made here: {error}"))
}

/// The body of a `main`.
#[track_caller]
pub fn main<F: Future>(driver: Named, entries: u32, future: F) -> F::Output {
    runtime(driver, entries).block_on(future)
}

/// Has `count` threads run `body`, this one among them; 0 are as many as there are CPUs. A panic of one
/// is a panic of all, once all have ended.
pub fn threads<T: Send>(count: usize, body: impl Fn() -> T + Sync) -> T {
    let count = if count == 0 { thread::available_parallelism().map_or(1, usize::from) } else { count };
    thread::scope(|scope| {
        (1..count).for_each(|_| drop(scope.spawn(&body)));
        body()
    })
}

/// The body of a test. It is skipped, and says so, where it is for the kernel's ring and that cannot be had.
pub fn test<F: Future<Output: Termination>>(driver: Named, entries: u32, name: &str, future: F) -> ExitCode {
    let runtime = match builder(driver, entries).build() {
        Ok(runtime) => runtime,
        Err(error) if driver == Named::Uring => {
            // Written past the test harness, which hides what a passing test prints.
            let _ = writeln!(io::stderr(), "SKIP {name}: {error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => panic!("no runtime can be made here: {error}"),
    };
    let code = runtime.block_on(future).report();
    let lost = runtime.shut_down().unawaited_panics;
    assert_eq!(lost, 0, "{name}: {lost} tasks panicked, and nobody awaited them");
    code
}
