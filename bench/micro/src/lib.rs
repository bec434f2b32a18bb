//! What every contender of the micro comparison shares: the steps that are measured, the clock, and the words in which
//! a program is told what to measure and says what it found.
//!
//! A contender is a program with an implementation of [`Contender`], written as its users would write it. Called as
//! `PROGRAM WORKLOAD [OPTION..]`, it measures one workload in many short slices and prints
//! `min=NS low=NS median=NS wall=NS rate=N slices=N ops=N wait=SHARE`: CPU nanoseconds per operation over the slices, the
//! least wall time, operations per second in the median slice, how many slices of how many operations, and how long the
//! process waited for a CPU.

mod clock;
mod court;
mod workloads;

pub use clock::Slices;
use std::future::Ready;
use std::time::Duration;

/// A runtime under measurement.
pub trait Contender: 'static {
    /// Makes a runtime, runs `main` in it, and ends it.
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T;

    /// A task, and what awaits its end.
    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static;

    /// A task that sleeps, and what awaits its end.
    fn spawn_sleep(time: Duration) -> impl Future + 'static;

    /// The shortest way through the ring, where the runtime's users have one.
    fn nop() -> Option<impl Future> {
        None::<Ready<()>>
    }
}

/// The program's `main`: measures what the first argument names.
pub fn main<C: Contender>() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match workloads::measure::<C>(&name) {
        Some(slices) => println!("{slices}"),
        None => {
            eprintln!("{name}: not a workload, or none of this contender");
            std::process::exit(2);
        }
    }
}

/// Is this option among the arguments?
#[must_use]
pub fn option(name: &str) -> bool {
    std::env::args().skip(2).any(|arg| arg == name)
}
