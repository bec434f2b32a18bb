//! Traps that runtimes fall into, and what keeps this one out of them. Each is named where it is tested:
//!
//! | trap | tests |
//! |---|---|
//! | T17: a waker, a drop or a buffer calls back into what calls it | `reentry`; `tests/abandon.rs` |
//! | T18: counts overflow; a handle goes while its task ends | `rt/task/state.rs`; `tests/matrix.rs`, `tests/loom` |
//! | T19: things go in the wrong order | `order`; `tests/teardown.rs`, `tests/leaks.rs`, `rt/tests.rs` |
//! | T20: panics where nobody expects them | `panics`; `tests/matrix.rs`, `tests/abandon.rs`, `rt/tests.rs` |
//! | T21: fork, exec, SIGCHLD | `processes`; `tests/ring.rs`: a ring's children; `tests/faults/signals.rs`: EINTR |
//! | timers starve while something spins | `liveness::everything_goes_on_whatever_spins` |
//! | wakes from other threads starve while something spins | the same |
//! | completions starve while something spins | the same |
//! | a wake is lost on the way to sleep | `liveness::sleeps_and_wakes_at_random`; `tests/threads.rs`; `tests/loom` |
//! | a wake from a `Drop` is lost | `tests/matrix.rs` |
//! | an error of the wait is ignored | `failure` |
//! | many wakes make many polls | `liveness::a_batch_of_wakes_is_one_poll`; `tests/matrix.rs` |
//! | cancels are lost in a storm | `liveness::a_storm_of_cancels`; `tests/abandon.rs`, `op/multi.rs` |
//! | a task that wakes itself comes before others | `rt/tests.rs`: it goes to the back |
//! | a panic in a task ends the runtime | `rt/tests.rs`, `tests/matrix.rs` |

#[path = "outside/again.rs"]
mod again;
#[cfg(all(target_os = "linux", not(annulus_kqueue)))] // for processes; a kqueue is not inherited
#[path = "outside/child.rs"]
mod child;
#[cfg(all(target_os = "linux", not(annulus_kqueue)))] // which has seccomp; a kqueue is waited for by other calls
#[path = "traps/failure.rs"]
mod failure;
#[cfg(all(target_os = "linux", not(annulus_kqueue)))]
#[path = "outside/forbid.rs"]
mod forbid;
#[path = "traps/liveness.rs"]
mod liveness;
#[path = "traps/order.rs"]
mod order;
#[path = "traps/panics.rs"]
mod panics;
#[cfg(target_os = "linux")] // which lists descriptors in /proc
#[path = "traps/processes.rs"]
mod processes;
#[path = "traps/reentry.rs"]
mod reentry;

use annulus::{Builder, DriverKind, Fd};
use std::{
    future::Future,
    io::{self, Write},
    os::unix::net::UnixStream,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Runs a test on each driver; without io_uring, one of them is skipped.
fn on_both(name: &str, test: impl Fn(DriverKind)) {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        match Builder::new().driver(kind).entries(8).build() {
            Ok(_) => test(kind),
            Err(e) => drop(writeln!(io::stderr(), "SKIP {name}: {e}")),
        }
    }
}

/// Two connected sockets: ours, and one of std.
fn pair() -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Fd::new(a.into()), b)
}

/// Polls once, with a waker that does nothing.
fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
