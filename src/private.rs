//! What the macros expand to, and what the package `monoio` in compat/ needs besides. Not part of the API.

pub use crate::future::{Branch, below, join, never_fails, select};

use crate::{
    driver::DriverKind,
    rt::{self, Builder, Runtime},
    shard::{Shard, ShardError, Shards},
};
use std::{
    future::Future,
    io::{self, Write},
    process::{self, ExitCode, Termination},
};

fn builder(driver: Option<&str>, entries: Option<u32>, start_paused: Option<bool>) -> Builder {
    let mut builder = Builder::new().start_paused(start_paused.unwrap_or(false));
    if let Some(name) = driver {
        builder = builder.driver(if name == "poll" { DriverKind::Poll } else { DriverKind::Uring });
    }
    if let Some(entries) = entries {
        builder = builder.entries(entries);
    }
    builder
}

/// The body of a `main`. A runtime that cannot be had is told on the standard error, and ends the process with 1.
pub fn run_main<F: Future>(
    driver: Option<&str>,
    entries: Option<u32>,
    start_paused: Option<bool>,
    future: F,
) -> F::Output {
    match builder(driver, entries, start_paused).build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => {
            // A standard error that is closed is no reason to panic instead.
            let _ = writeln!(io::stderr(), "annulus: no runtime can be made here: {error}");
            process::exit(1)
        }
    }
}

/// The body of a `main` with shards. What each returns is reported on its thread; the first failure in their order is
/// the process's.
pub fn run_shards<M, T, F>(
    driver: Option<&str>,
    entries: Option<u32>,
    start_paused: Option<bool>,
    count: Option<usize>,
    main: F,
) -> ExitCode
where
    M: Send + 'static,
    T: Termination + 'static,
    F: AsyncFnOnce(Shard<M>) -> T + Clone + Send + 'static,
{
    let builder = builder(driver, entries, start_paused);
    let shards = Shards::builder().runtime(move |_| builder.clone());
    let shards = if let Some(count) = count { shards.count(count) } else { shards };
    let results = match shards.run(async move |shard: Shard<M>| main(shard).await.report()) {
        Ok(results) => results,
        Err(error) => {
            let _ = writeln!(io::stderr(), "annulus: no shards can be started here: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = |result: Result<ExitCode, ShardError>| {
        result.unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "annulus: {error}");
            // As a panic of a plain `main`.
            ExitCode::from(if error.is_panic() { 101 } else { 1 })
        })
    };
    results
        .into_iter()
        .map(code)
        .fold(ExitCode::SUCCESS, |first, code| if first == ExitCode::SUCCESS { code } else { first })
}

/// The body of a test on one driver. It is skipped, and says so, where the kernel's ring cannot be had.
pub fn run_test<F, T>(
    name: &'static str,
    driver: &'static str,
    entries: Option<u32>,
    start_paused: Option<bool>,
    body: impl FnOnce() -> F,
) -> ExitCode
where
    F: Future<Output = T>,
    T: Termination,
{
    match builder(Some(driver), entries, start_paused).build() {
        Ok(runtime) => finish(name, &runtime.block_on(async { checked(driver, body()).await }), runtime),
        Err(error) if driver == "uring" => {
            // Written past the test harness, which hides what a passing test prints.
            let _ = writeln!(io::stderr(), "SKIP {name}: {error}");
            ExitCode::SUCCESS
        }
        Err(error) => panic!("no runtime can be made here: {error}"),
    }
}

async fn checked<T: Termination>(driver: &str, body: impl Future<Output = T>) -> ExitCode {
    assert_eq!(rt::driver().kind().to_string(), driver, "the test runs on another driver than it names");
    body.await.report()
}

/// A panic that nobody awaited fails the test it happened in.
fn finish(name: &str, code: &ExitCode, runtime: Runtime) -> ExitCode {
    let lost = runtime.shut_down().unawaited_panics;
    assert_eq!(lost, 0, "{name}: {lost} tasks panicked, and nobody awaited them");
    *code
}
