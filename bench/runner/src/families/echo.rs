//! One TCP echo: runtimes, and loops written by hand for nothing else.

use super::{Column, Contender, Family, Judge, Load, Rate, Workload};

const REFERENCE: &str = "floor-best";
const CONTROL: &str = "floor-best (again)";

pub const FAMILY: Family = Family {
    name: "echo",
    title: "Echo, side by side",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: Some("c50"),
    cost: Column::new("srv_us", "CPU µs/request", 2),
    columns: &COLUMNS,
    judge: Judge::Clean,
};

const CONTENDERS: [Contender; 13] = [
    Contender::new("floor-epoll", "echo-epoll", &[]),
    Contender::new("floor-uring", "echo-uring", &[]),
    Contender::new(REFERENCE, "echo-uring-best", &[]),
    Contender::new("tokio", "echo-tokio", &[]),
    Contender::new("monoio", "echo-monoio", &[]),
    Contender::new("monoio-defer", "echo-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "echo-monoio", &["--legacy"]),
    Contender::new("annulus-uring", "echo-annulus", &[]).on("uring"),
    Contender::new("annulus-poll", "echo-annulus", &[]).on("poll"),
    Contender::new("annulus-uring-pool", "echo-annulus", &["--how", "pool"]).on("uring"),
    Contender::new("annulus-poll-pool", "echo-annulus", &["--how", "pool"]).on("poll"),
    Contender::new("annulus-uring-direct", "echo-annulus", &["--how", "direct"]).on("uring").extra(),
    Contender::new(CONTROL, "echo-uring-best", &[]),
];

const WORKLOADS: [Workload; 7] = [
    Workload::new("c1", "closed loop, 1 connection, 64 B, the client spins", &["--conns", "1", "--spin"]),
    Workload::new("c50", "closed loop, 50 connections, 64 B", &["--conns", "50"]),
    Workload::new("c50-16k", "closed loop, 50 connections, 16 KiB", &["--conns", "50", "--size", "16384"]),
    Workload::new("r40k", "40 000 requests/s, 50 connections, 64 B", PACED).at(Rate::Fixed(40e3)),
    Workload::new("r80k", "80 000 requests/s, 50 connections, 64 B", PACED).at(Rate::Fixed(80e3)),
    Workload::new("third", "a third of saturation, 50 connections, 64 B", PACED).at(Rate::Share(1.0 / 3.0)).extra(),
    Workload::new("two-thirds", "two thirds of it", PACED).at(Rate::Share(2.0 / 3.0)).extra(),
];

const PACED: &[&str] = &["--conns", "50", "--spin"];

/// For servers that answer requests.
pub const COLUMNS: [Column; 6] = [
    Column::new("util", "util", 2),
    Column::new("rps", "requests/s", 0),
    Column::new("p50", "p50 µs", 0),
    Column::new("p99", "p99 µs", 0).plotted(),
    Column::new("switches", "switches/request", 3),
    Column::new("rss_kib", "RSS KiB", 0),
];
