//! Reads of 4 KiB from the page cache by a ring: one at a time and many, with memory and file by address and number or
//! by index. CPU time of a read; `cargo bench --bench ring`. `bench/ring` has the `io-uring` crate beside it.

#[path = "../micro/cpu.rs"]
mod cpu;
#[allow(dead_code, reason = "each has its own use for a ring")]
#[path = "mod.rs"]
mod rig;

use cpu::CpuTime;
use criterion::{Criterion, Throughput, criterion_group};
use rig::{DEEPEST, Ours, Place, Setup, WAYS};
use std::io;

fn made(setup: Setup, place: &mut Place) -> io::Result<Ours> {
    let mut ring = Ours::new(setup)?;
    // SAFETY: Lent: the place goes after the ring.
    unsafe { ring.register(place) }?;
    Ok(ring)
}

fn reads(c: &mut Criterion<CpuTime>) {
    let mut place = Place::new().expect("a file");
    for setup in [Setup::Plain, Setup::Best] {
        let mut ring = match made(setup, &mut place) {
            Ok(ring) => ring,
            Err(error) => {
                eprintln!("SKIP {setup:?}: {error}");
                continue;
            }
        };
        let mut group = c.benchmark_group(format!("{setup:?}/read 4 KiB"));
        for (way, by) in WAYS {
            for depth in [1, 32, DEEPEST] {
                group.throughput(Throughput::Elements(depth.into()));
                group.bench_function(format!("{way}, {depth} at a time"), |b| {
                    b.iter(|| {
                        // SAFETY: Lent: the place lives, and the next line awaits them.
                        unsafe { ring.push_reads(depth, by) };
                        ring.enter(depth);
                        ring.reap()
                    });
                });
            }
        }
    }
}

criterion_group! {
    name = all;
    config = cpu::brief();
    targets = reads
}

pub(crate) fn main() {
    all();
    Criterion::default().configure_from_args().final_summary();
}
