//! What the runtime's own steps cost, in CPU time, on each driver that this machine has. `cargo bench`, or for one
//! subject `cargo bench -- spawn`. How annulus compares with its peers is measured in `bench/`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

mod blocking;
mod channels;
mod cpu;
#[cfg(target_os = "linux")] // nobody else has a ring, and `O_DIRECT` under that name
mod files;
mod ops;
mod start;
mod tasks;
mod timers;
mod wakes;

use annulus::{Builder, DriverKind, Runtime};
use cpu::CpuTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};

/// The benches of one driver.
struct Bench<'a> {
    kind: DriverKind,
    runtime: Runtime,
    group: BenchmarkGroup<'a, CpuTime>,
}

impl Bench<'_> {
    /// Measures `step` inside one `block_on`, as often as criterion asks.
    fn each(&mut self, name: &str, step: impl AsyncFn()) {
        self.many(name, async |times| {
            for _ in 0..times {
                step().await;
            }
        });
    }

    /// Measures `steps`, which makes so many steps, inside one `block_on`.
    fn many(&mut self, name: &str, steps: impl AsyncFn(u64)) {
        let runtime = &self.runtime;
        self.group.bench_function(name, |b| b.iter_custom(|times| runtime.block_on(cpu::time(steps(times)))));
    }

    /// Measures `step` outside of the runtime.
    fn outside(&mut self, name: &str, mut step: impl FnMut(&Runtime)) {
        let runtime = &self.runtime;
        self.group.bench_function(name, |b| b.iter(|| step(runtime)));
    }
}

fn micro(c: &mut Criterion<CpuTime>) {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let runtime = match Builder::new().driver(kind).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("SKIP {kind}: {error}");
                continue;
            }
        };
        let bench = &mut Bench { kind, runtime, group: c.benchmark_group(kind.to_string()) };
        tasks::all(bench);
        wakes::all(bench);
        channels::all(bench);
        timers::all(bench);
        ops::all(bench);
        #[cfg(target_os = "linux")]
        files::all(bench);
        blocking::all(bench);
        start::all(bench);
    }
}

criterion_group! {
    name = all;
    config = cpu::brief();
    targets = micro
}
criterion_main!(all);
