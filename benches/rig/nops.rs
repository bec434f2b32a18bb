//! What a ring costs that does nothing: round trips of NOPs in batches, a push, a reap. CPU time; `cargo bench --bench
//! nop`. `bench/ring` has the `io-uring` crate beside it.

#[path = "../micro/cpu.rs"]
mod cpu;
#[allow(dead_code, reason = "each has its own use for a ring")]
#[path = "mod.rs"]
mod rig;

use cpu::CpuTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, measurement::Measurement};
use rig::{ENTRIES, Ours, Setup};
use std::time::Duration;

fn nop(c: &mut Criterion<CpuTime>) {
    for setup in [Setup::Plain, Setup::Best] {
        let mut ring = match Ours::new(setup) {
            Ok(ring) => ring,
            Err(error) => {
                eprintln!("SKIP {setup:?}: {error}");
                continue;
            }
        };
        let mut group = c.benchmark_group(format!("{setup:?}"));
        for batch in [1, 8, 32] {
            group.throughput(Throughput::Elements(batch.into()));
            group.bench_function(format!("round trip of {batch}"), |b| {
                b.iter(|| {
                    ring.push_nops(batch);
                    ring.enter(batch);
                    ring.reap()
                });
            });
        }
        group.throughput(Throughput::Elements(ENTRIES.into()));
        let name = |what| format!("{what} {ENTRIES}");
        part(
            &mut group,
            &name("push"),
            &mut ring,
            |ring| ring.push_nops(ENTRIES),
            |ring| {
                ring.enter(ENTRIES);
                ring.reap();
            },
        );
        ring.push_nops(ENTRIES);
        ring.enter(ENTRIES);
        part(
            &mut group,
            &name("reap"),
            &mut ring,
            |ring| _ = ring.reap(),
            |ring| {
                ring.push_nops(ENTRIES);
                ring.enter(ENTRIES);
            },
        );
        ring.reap();
    }
}

/// Measures `part` alone, which `rest` makes possible again.
fn part(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    ring: &mut Ours,
    part: impl Fn(&mut Ours),
    rest: impl Fn(&mut Ours),
) {
    group.bench_function(name, |b| {
        b.iter_custom(|times| {
            let one = |_| {
                let start = CpuTime.start();
                part(ring);
                let spent = CpuTime.end(start);
                rest(ring);
                spent
            };
            (0..times).map(one).sum::<Duration>()
        });
    });
}

criterion_group! {
    name = all;
    config = cpu::brief();
    targets = nop
}

pub(crate) fn main() {
    all();
    Criterion::default().configure_from_args().final_summary();
}
