//! `#[monoio::main]`, `#[monoio::test]` and `#[monoio::test_all]`, with monoio's arguments.
//!
//! What they expand to names `::monoio` and asks the user's crate for nothing: no feature and no `cfg` of it decides
//! what runs. Which drivers there are is known where they are.

mod args;
mod expand;
#[path = "../../../macros/src/should_panic.rs"]
mod should_panic;

use proc_macro::TokenStream;

/// Has a runtime run the body of an `async fn`.
///
/// The arguments are `entries = 4096`, `driver = "legacy"`, `"uring"` or `"fusion"`, `threads = 4` (or `worker_threads`,
/// `workers`; 0 is one for each CPU), and `timer_enabled = true` (or `enable_timer`, `timer`), which changes nothing.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::or_error(expand::main(args.into(), item.into())).into()
}

/// Makes a test of an `async fn`. It takes the arguments of [`macro@main`]. A task that panicked, and that nobody
/// awaited, fails the test.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::or_error(expand::test(args.into(), item.into())).into()
}

/// Makes a test on each driver of an `async fn`: `uring_NAME` and `legacy_NAME`. It takes the arguments of
/// [`macro@main`], but not `driver`.
#[proc_macro_attribute]
pub fn test_all(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::or_error(expand::test_all(args.into(), item.into())).into()
}
