//! Bytes in one direction, 64 KiB at a time: the server as the source, and as the sink.

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "tokio";
const CONTROL: &str = "tokio (again)";

pub const FAMILY: Family = Family {
    name: "bulk",
    title: "Bytes in one direction",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("ms_gb", "CPU ms/GB", 1),
    columns: &COLUMNS,
    judge: Judge::Clean,
};

const SERVE: &[&str] = &["--serve", "bulk"];
const POOL: &[&str] = &["--serve", "bulk", "--how", "pool"];

const CONTENDERS: [Contender; 11] = [
    Contender::new(REFERENCE, "net-tokio", SERVE),
    Contender::new("monoio", "net-monoio", SERVE),
    Contender::new("monoio-defer", "net-monoio", &["--serve", "bulk", "--defer"]),
    Contender::new("monoio-legacy", "net-monoio", &["--serve", "bulk", "--legacy"]),
    Contender::new("compio-defer", "net-compio", SERVE),
    Contender::new("annulus-uring", "net-annulus", SERVE).on("uring"),
    Contender::new("annulus-poll", "net-annulus", SERVE).on("poll"),
    Contender::new("annulus-uring-pool", "net-annulus", POOL).on("uring"),
    Contender::new("annulus-poll-pool", "net-annulus", POOL).on("poll").extra(),
    Contender::new("annulus-uring-zc", "net-annulus", &["--serve", "bulk", "--how", "zc"]).on("uring"),
    Contender::new(CONTROL, "net-tokio", SERVE),
];

const WORKLOADS: [Workload; 4] = [
    Workload::new("source", "the server sends, 4 connections", &["--kind", "source", "--conns", "4"]),
    Workload::new("sink", "the server receives, 4 connections", &["--kind", "sink", "--conns", "4"]),
    Workload::new("source-50", "the server sends, 50 connections", &["--kind", "source", "--conns", "50"]).extra(),
    Workload::new("sink-50", "the server receives, 50 connections", &["--kind", "sink", "--conns", "50"]).extra(),
];

const COLUMNS: [Column; 4] = [
    Column::new("gbps", "GB/s", 2),
    Column::new("util", "util", 2),
    Column::new("switches", "switches/64 KiB", 3),
    Column::new("rss_kib", "RSS KiB", 0),
];
