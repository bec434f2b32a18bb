//! What a connection that waits costs in memory, on the servers of `echo` (see the package `idle`).

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "floor-uring";
const CONTROL: &str = "floor-uring (again)";

pub const FAMILY: Family = Family {
    name: "idle",
    title: "Connections that wait, side by side",
    load: Load::Program("idle"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("bytes", "user memory per connection, B", 0),
    columns: &[
        Column::new("base_kib", "RSS before, the pool in it, KiB", 0),
        Column::new("full_kib", "RSS with all connections, KiB", 0),
    ],
    judge: Judge::Clean,
};

const CONTENDERS: [Contender; 18] = [
    Contender::new("floor-epoll", "echo-epoll", &[]),
    Contender::new(REFERENCE, "echo-uring", &[]),
    Contender::new("floor-best", "echo-uring-best", &[]),
    Contender::new("tokio", "echo-tokio", &[]),
    Contender::new("monoio-defer", "echo-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "echo-monoio", &["--legacy"]),
    Contender::new("compio-defer", "echo-compio", &["--defer"]),
    Contender::new("tokio-uring-coop", "echo-tokio-uring", &["--coop"]),
    Contender::new("glommio", "echo-glommio", &[]),
    Contender::new("ntex", "echo-ntex", &[]),
    Contender::new("a10-defer", "echo-a10", &["--defer"]),
    Contender::new("annulus-uring", "echo-annulus", &[]).on("uring"),
    Contender::new("annulus-poll", "echo-annulus", &[]).on("poll"),
    Contender::new("annulus-uring-pool", "echo-annulus", &["--how", "pool"]).on("uring"),
    Contender::new("annulus-poll-pool", "echo-annulus", &["--how", "pool"]).on("poll"),
    Contender::new("annulus-uring-once", "echo-annulus", &["--how", "once"]).on("uring"),
    Contender::new("annulus-poll-once", "echo-annulus", &["--how", "once"]).on("poll"),
    Contender::new(CONTROL, "echo-uring", &[]),
];

const WORKLOADS: [Workload; 2] = [
    Workload::new("2k", "2,000 connections, each echoed once", &["--conns", "2000"]),
    Workload::new("10k", "10,000 connections, each echoed once", &["--conns", "10000"]),
];
