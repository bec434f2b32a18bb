//! A log: records that are written and synced to the device (see the package `files`).

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "calls";
const CONTROL: &str = "calls (again)";

pub const FAMILY: Family = Family {
    name: "wal",
    title: "Appending to a log, side by side",
    load: Load::Itself,
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("low", "CPU ns/record, lower quartile of the slices", 0),
    columns: &super::SLICES,
    judge: Judge::Least,
};

const CONTENDERS: [Contender; 14] = [
    Contender::new(REFERENCE, "files-raw", &["--how", "calls"]),
    Contender::new("raw-linked", "files-raw", &["--how", "plain"]),
    Contender::new("raw-linked-best", "files-raw", &["--how", "best"]),
    Contender::new("annulus-uring", "files-annulus", &[]).on("uring"),
    Contender::new("annulus-uring-direct", "files-annulus", &["--how", "direct"]).on("uring").extra(),
    Contender::new("annulus-poll", "files-annulus", &[]).on("poll"),
    Contender::new("monoio", "files-monoio", &[]),
    Contender::new("monoio-defer", "files-monoio", &["--defer"]),
    Contender::new("compio", "files-compio", &[]),
    Contender::new("compio-defer", "files-compio", &["--tuned"]),
    Contender::new("tokio-uring", "files-tokio-uring", &[]).extra(),
    Contender::new("glommio", "files-glommio", &[]).extra(),
    Contender::new("tokio", "files-tokio", &[]),
    Contender::new(CONTROL, "files-raw", &["--how", "calls"]),
];

const WORKLOADS: [Workload; 3] = [
    Workload::new("wal-4k", "a record of 4 KiB and fdatasync, one after the other", &["wal-4k"]),
    Workload::new("wal-256", "a record of 256 B and fdatasync", &["wal-256"]),
    Workload::new("wal-group", "32 tasks append 256 B; what has come together is synced at once", &["wal-group"]),
];
