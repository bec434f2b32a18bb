//! The attribute macros of annulus. Use them as `annulus::main` and `annulus::test`.
//!
//! The macros only rewrite the signature: what it means to run a future is written once, in annulus itself, and the
//! expansion is a call of it.

mod args;
mod expand;
mod should_panic;

use proc_macro::TokenStream;

/// Runs an `async fn` on a new runtime: `async fn main()` becomes an ordinary `fn main()`.
///
/// ```text
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
///
/// The function takes no arguments; what it returns is returned. When no runtime can be built, the reason is printed
/// to stderr and the process exits with status 1.
///
/// Arguments, all optional:
///
/// - `driver = "uring"`, `"poll"` or `"auto"` (the default: the environment decides, then the machine)
/// - `entries = 256`: the size of the submission queue, not 0
/// - `start_paused = true`: the clock stands from the beginning, as `annulus::time::pause` makes it
/// - `shards = 4` or `shards = "cores"`, also called `worker_threads`: the function runs on so many threads, or on one
///   for each CPU, each pinned and with a runtime of its own (`annulus::Shards`). It may take one argument then, the
///   `annulus::shard::Shard` that it is. What each returns is reported as a `main`'s is, so an error is printed; the
///   process ends when all have returned, with the first code in the order of the shards that is no success. When one
///   panics, the others are asked to end, and are dropped if they have not done so after ten seconds.
/// - `crate = path` or `crate = "path"`: where annulus is, if not at `::annulus`
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::main(args.into(), item.into()).into()
}

/// Runs an `async fn` as a test, once on each driver: `async fn echo()` becomes the tests `echo::uring` and
/// `echo::poll`.
///
/// ```text
/// #[annulus::test]
/// async fn echo() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
///
/// It takes the arguments of `annulus::main`, but not `shards`; `driver = "uring"` or `driver = "poll"` leaves that one
/// test alone. `#[should_panic]` and `#[ignore]` go to each test, `#[cfg]` rules all of them, and every other attribute
/// stays with the function. A function that returns something must return what `main` may (`Result<(), E>`, `ExitCode`,
/// …).
///
/// As with `#[test]`, none of it is compiled outside of tests.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(args.into(), item.into()).into()
}
