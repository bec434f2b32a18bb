//! Random blocks of 4 KiB from a file of 1 GiB, through the page cache and past it (see the package `files`).

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "raw-best";
const CONTROL: &str = "raw-best (again)";

pub const FAMILY: Family = Family {
    name: "read",
    title: "Random reads of 4 KiB, side by side",
    load: Load::Itself,
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("low", "CPU ns/read, lower quartile of the slices", 0),
    columns: &super::SLICES,
    judge: Judge::Least,
};

const CONTENDERS: [Contender; 21] = [
    Contender::new("pread", "files-raw", &["--how", "calls"]),
    Contender::new("raw", "files-raw", &["--how", "plain"]),
    Contender::new(REFERENCE, "files-raw", &["--how", "best"]),
    Contender::new("annulus-uring", "files-annulus", &[]).on("uring"),
    Contender::new("annulus-uring-fixed", "files-annulus", &["--how", "fixed"]).on("uring"),
    Contender::new("annulus-uring-direct", "files-annulus", &["--how", "direct"]).on("uring"),
    Contender::new("annulus-uring-both", "files-annulus", &["--how", "both"]).on("uring"),
    Contender::new("annulus-poll", "files-annulus", &[]).on("poll"),
    Contender::new("annulus-poll-fixed", "files-annulus", &["--how", "fixed"]).on("poll").extra(),
    Contender::new("monoio", "files-monoio", &[]),
    Contender::new("monoio-defer", "files-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "files-monoio", &["--legacy"]),
    Contender::new("compio", "files-compio", &[]),
    Contender::new("compio-defer", "files-compio", &["--tuned"]),
    Contender::new("tokio-uring", "files-tokio-uring", &[]),
    Contender::new("tokio-uring-coop", "files-tokio-uring", &["--coop"]),
    Contender::new("glommio", "files-glommio", &[]),
    Contender::new("tokio", "files-tokio", &[]),
    Contender::new("fio", "files-fio", &[]),
    Contender::new("fio-fixed", "files-fio", &["--fixed"]),
    Contender::new(CONTROL, "files-raw", &["--how", "best"]),
];

const WORKLOADS: [Workload; 6] = [
    Workload::new("hot-1", "from the page cache, one at a time", &["hot-1"]),
    Workload::new("hot-32", "from the page cache, 32 at a time", &["hot-32"]),
    Workload::new("hot-128", "from the page cache, 128 at a time", &["hot-128"]),
    Workload::new("direct-1", "past the page cache (O_DIRECT), one at a time", &["direct-1"]),
    Workload::new("direct-32", "past it, 32 at a time", &["direct-32"]),
    Workload::new("direct-128", "past it, 128 at a time", &["direct-128"]),
];
