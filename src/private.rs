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
    panic::resume_unwind,
    process::{self, ExitCode, Termination},
    thread,
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
/// `wanted_panic` is what `#[should_panic]` wants to hear.
pub fn run_test<F, T>(
    name: &'static str,
    driver: &'static str,
    entries: Option<u32>,
    start_paused: Option<bool>,
    wanted_panic: Option<&'static str>,
    body: impl FnOnce() -> F,
) -> ExitCode
where
    F: Future<Output = T>,
    T: Termination,
{
    let builder = builder(Some(driver), entries, start_paused);
    test_on(name, builder, driver == "uring", wanted_panic, || checked(driver, body()))
}

/// The body of a test over `builder`, whose runtime may be one that cannot be had everywhere. Then the test is skipped.
pub fn test_on<F: Future<Output: Termination>>(
    name: &str,
    builder: Builder,
    may_be_missing: bool,
    wanted_panic: Option<&'static str>,
    body: impl FnOnce() -> F,
) -> ExitCode {
    match builder.build() {
        Ok(runtime) => finish(name, &runtime.block_on(async { body().await.report() }), runtime),
        Err(error) if may_be_missing => {
            // Written past the test harness, which hides what a passing test prints.
            let _ = writeln!(io::stderr(), "SKIP {name}: {error}");
            if let Some(panic) = wanted_panic {
                // The harness counts a test that returns as failed. Without the hook, so that nothing more is printed.
                resume_unwind(Box::new(panic));
            }
            ExitCode::SUCCESS
        }
        Err(error) => panic!("no runtime can be made here: {error}"),
    }
}

/// Has `count` threads run `body`, this one among them; 0 are as many as there are CPUs. A panic of one is a panic of
/// all, once all have ended.
pub fn on_threads<T: Send>(count: usize, body: impl Fn() -> T + Sync) -> T {
    let count = if count == 0 { thread::available_parallelism().map_or(1, usize::from) } else { count };
    thread::scope(|scope| {
        (1..count).for_each(|_| drop(scope.spawn(&body)));
        body()
    })
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
