//! One operation through a runtime, beside the same on a ring by hand: what the runtime adds. The runtimes' NOPs are a
//! workload of `micro`, and those by hand its contenders.

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "raw-best";
const CONTROL: &str = "raw-best (again)";

pub const FAMILY: Family = Family {
    name: "op",
    title: "One operation, side by side",
    load: Load::Itself,
    contenders: &CONTENDERS,
    workloads: &[Workload::new("null", "a read of /dev/null, one at a time", &["null"])],
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("low", "CPU ns/operation, lower quartile of the slices", 1),
    columns: &super::SLICES,
    judge: Judge::Least,
};

const CONTENDERS: [Contender; 16] = [
    Contender::new("read(2)", "files-raw", &["--how", "calls"]),
    Contender::new("raw", "files-raw", &["--how", "plain"]),
    Contender::new(REFERENCE, "files-raw", &["--how", "best"]),
    Contender::new("annulus-uring", "files-annulus", &[]).on("uring"),
    Contender::new("annulus-uring-direct", "files-annulus", &["--how", "direct"]).on("uring"),
    Contender::new("annulus-uring-both", "files-annulus", &["--how", "both"]).on("uring"),
    Contender::new("annulus-poll", "files-annulus", &[]).on("poll"),
    Contender::new("monoio", "files-monoio", &[]),
    Contender::new("monoio-defer", "files-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "files-monoio", &["--legacy"]),
    Contender::new("compio", "files-compio", &[]),
    Contender::new("compio-defer", "files-compio", &["--tuned"]),
    Contender::new("tokio-uring", "files-tokio-uring", &[]),
    Contender::new("tokio-uring-coop", "files-tokio-uring", &["--coop"]),
    Contender::new("tokio", "files-tokio", &[]),
    Contender::new(CONTROL, "files-raw", &["--how", "best"]),
];
