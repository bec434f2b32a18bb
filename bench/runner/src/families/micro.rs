//! The runtime's own steps. Each sample is a process that cuts its work into short slices of CPU time (see the package
//! `micro`).

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "annulus-uring";
const CONTROL: &str = "annulus-uring (again)";

pub const FAMILY: Family = Family {
    name: "micro",
    title: "The runtime's own steps, side by side",
    load: Load::Itself,
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("low", "CPU ns/operation, lower quartile of the slices", 1),
    columns: &[Column::new("min", "least slice", 1), Column::new("median", "median slice", 1)],
    judge: Judge::Least,
};

const CONTENDERS: [Contender; 14] = [
    Contender::new(REFERENCE, "micro-annulus", &[]).on("uring"),
    Contender::new("annulus-poll", "micro-annulus", &[]).on("poll"),
    Contender::new("tokio", "micro-tokio", &[]),
    Contender::new("monoio", "micro-monoio", &[]),
    Contender::new("monoio-defer", "micro-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "micro-monoio", &["--legacy"]),
    Contender::new("compio", "micro-compio", &[]),
    Contender::new("compio-tuned", "micro-compio", &["--tuned"]),
    Contender::new("glommio", "micro-glommio", &[]),
    Contender::new("tokio-uring", "micro-tokio-uring", &[]),
    Contender::new("tokio-uring-coop", "micro-tokio-uring", &["--coop"]),
    // NOPs by hand; what else there is, is a runtime's.
    Contender::new("raw", "files-raw", &["--how", "plain"]),
    Contender::new("raw-best", "files-raw", &["--how", "best"]),
    Contender::new(CONTROL, "micro-annulus", &[]).on("uring"),
];

const WORKLOADS: [Workload; 9] = [
    Workload::new("spawn", "spawn a task and await it", &["spawn"]),
    Workload::new("spawn-1000", "the same, a thousand at a time", &["spawn-1000"]),
    Workload::new("yield-1", "one task lets the others go first", &["yield-1"]),
    Workload::new("yield-100", "each of a hundred tasks does", &["yield-100"]),
    Workload::new("sleep-100k", "spawn a task that sleeps 1 to 200 ms, 100 000 at the same time", &["sleep-100k"]),
    Workload::new("start", "make a runtime, run `async {}`, end it", &["start"]),
    Workload::new("wake", "from the runtime to a thread on the same CPU and back, both threads' time", &["wake"]),
    Workload::new("nop", "one NOP through the driver", &["nop"]),
    Workload::new("idle", "sleep 50 ms with nothing else to do", &["idle"]),
];
