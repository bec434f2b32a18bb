//! The ring alone, beside the `io-uring` crate: what it costs to push, to enter the kernel and to reap.
//!
//! Both live in this one process and take turns in short slices, first the one and then the other, in an order that
//! changes; so what disturbs the machine disturbs both. Printed is the median of the CPU nanoseconds that a thread needs
//! for an operation, and the median of the ratios of neighbouring slices with its middle half.
//!
//! `ring [ROUNDS] [WORDS]`: 200 rounds, and all rows whose names contain the words.

mod ours;
#[path = "../../../benches/rig/mod.rs"]
mod rig;
mod theirs;

use rig::{BLOCK, By, ENTRIES, Ours, Place, Setup, WAYS};
use std::io::Write;
use theirs::Theirs;

/// A ring under measurement. Batches are no larger than [`ENTRIES`].
trait Contender {
    fn new(setup: Setup) -> Self;
    /// Pushes NOPs.
    fn push_nops(&mut self, count: u32);
    /// Submits what was pushed and waits for as many completions.
    fn enter(&mut self, count: u32);
    /// Reads the completions; gives the sum of their results.
    fn reap(&mut self) -> u64;
    /// Registers the file and the memory that reads name.
    ///
    /// # Safety
    /// Both live as long as the ring.
    unsafe fn register(&mut self, place: &mut Place);
    /// Pushes a read of a block, the same one each time, for each block of the memory.
    ///
    /// # Safety
    /// The file and the memory are those that were registered; the completions are awaited by [`Contender::enter`].
    unsafe fn push_reads(&mut self, count: u32, by: By);
}

/// Operations in a slice: some hundreds of microseconds.
const SLICE: u32 = 4096;

/// CPU nanoseconds of this thread.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which cannot fail: every thread has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a row measures.
#[derive(Clone, Copy)]
enum What {
    Nops(u32),
    Push,
    Reap,
    Reads(u32, By),
}

/// Nanoseconds of an operation, over a slice.
fn slice<C: Contender>(ring: &mut C, what: What) -> f64 {
    let mut spent = 0;
    let mut sum = 0;
    let (batch, part) = match what {
        What::Nops(batch) | What::Reads(batch, _) => (batch, false),
        What::Push | What::Reap => (ENTRIES, true),
    };
    let whole = cpu_ns();
    for _ in 0..SLICE / batch {
        let before = if part { cpu_ns() } else { 0 };
        match what {
            // SAFETY: `row` has registered both, and they outlive the ring.
            What::Reads(_, by) => unsafe { ring.push_reads(batch, by) },
            _ => ring.push_nops(batch),
        }
        if matches!(what, What::Push) {
            spent += cpu_ns() - before;
        }
        ring.enter(batch);
        let before = if part { cpu_ns() } else { 0 };
        sum += ring.reap();
        if matches!(what, What::Reap) {
            spent += cpu_ns() - before;
        }
    }
    if !part {
        spent = cpu_ns() - whole;
    }
    let done = u64::from(SLICE / batch * batch);
    assert_eq!(sum, if matches!(what, What::Reads(..)) { done * BLOCK as u64 } else { 0 }, "not all was done");
    spent as f64 / done as f64
}

fn rank(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64).round() as usize]
}

/// One row. In a thread of its own, because the `io-uring` crate does not give its index back, and a thread has 16.
fn row(name: &str, setup: Setup, what: What, rounds: usize, place: &mut Place) {
    let (mut ours, mut theirs) = (<Ours as Contender>::new(setup), Theirs::new(setup));
    // SAFETY: the place outlives this function, and with it both rings.
    unsafe { Contender::register(&mut ours, place) };
    // SAFETY: as the line before.
    unsafe { theirs.register(place) };
    let (mut of_ours, mut of_theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds + 10 {
        let (a, b) = if round % 2 == 0 {
            let a = slice(&mut ours, what);
            (a, slice(&mut theirs, what))
        } else {
            let b = slice(&mut theirs, what);
            (slice(&mut ours, what), b)
        };
        if round >= 10 {
            of_ours.push(a);
            of_theirs.push(b);
            ratios.push(a / b);
        }
    }
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|share| rank(&mut ratios, share));
    let (a, b) = (rank(&mut of_ours, 0.5), rank(&mut of_theirs, 0.5));
    let setup = if setup == Setup::Plain { "defaults" } else { "best" };
    println!("| {name} | {setup} | {a:.1} | {b:.1} | {middle:.3} | {low:.3} to {high:.3} |");
    std::io::stdout().flush().expect("a standard output");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rounds = args.next().map_or(200, |text| text.parse().expect("a number of rounds"));
    let words: Vec<String> = args.collect();
    let mut place = Place::new().expect("a file");
    println!("| what | setup | annulus, ns | io-uring, ns | ratio | its middle half |\n|---|---|---|---|---|---|");
    for setup in [Setup::Plain, Setup::Best] {
        let mut measure = |name: String, what| {
            if words.iter().all(|word| name.contains(word)) {
                let place = &mut place;
                std::thread::scope(|scope| scope.spawn(|| row(&name, setup, what, rounds, place)).join())
                    .expect("a row");
            }
        };
        for batch in [1, 8, 32] {
            measure(format!("nop, batches of {batch}"), What::Nops(batch));
        }
        measure("push".into(), What::Push);
        measure("reap".into(), What::Reap);
        for (way, by) in WAYS {
            for depth in [1, 32, 128] {
                measure(format!("read 4 KiB, {way}, depth {depth}"), What::Reads(depth, by));
            }
        }
    }
}
