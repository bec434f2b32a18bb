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

const CONTENDERS: [Contender; 31] = [
    Contender::new("floor-epoll", "echo-epoll", &[]),
    Contender::new("floor-uring", "echo-uring", &[]),
    Contender::new("floor-uring-first", "echo-uring", &["--poll-first"]).extra(),
    Contender::new("floor-uring-first-send", "echo-uring", &["--poll-first", "--send"]).extra(),
    Contender::new("floor-defer", "echo-uring", &["--defer"]).extra(),
    Contender::new("floor-defer-first", "echo-uring", &["--defer", "--poll-first"]).extra(),
    Contender::new("floor-defer-first-send", "echo-uring", &["--defer", "--poll-first", "--send"]).extra(),
    Contender::new("floor-poll", "echo-uring-poll", &[]),
    Contender::new(REFERENCE, "echo-uring-best", &[]),
    Contender::new("floor-best-fixed", "echo-uring-best", &["--fixed"]).extra(),
    Contender::new("tokio", "echo-tokio", &[]),
    Contender::new("monoio", "echo-monoio", &[]).extra(),
    Contender::new("monoio-defer", "echo-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "echo-monoio", &["--legacy"]),
    Contender::new("compio", "echo-compio", &[]).extra(),
    Contender::new("compio-defer", "echo-compio", &["--defer"]),
    Contender::new("compio-coop", "echo-compio", &["--coop"]).extra(),
    Contender::new("compio-poll", "echo-compio-poll", &["--poll"]).extra(),
    Contender::new("tokio-uring", "echo-tokio-uring", &[]).extra(),
    Contender::new("tokio-uring-coop", "echo-tokio-uring", &["--coop"]),
    Contender::new("glommio", "echo-glommio", &[]),
    Contender::new("ntex", "echo-ntex", &[]),
    Contender::new("a10", "echo-a10", &[]).extra(),
    Contender::new("a10-defer", "echo-a10", &["--defer"]),
    Contender::new("annulus-uring", "echo-annulus", &[]).on("uring"),
    Contender::new("annulus-poll", "echo-annulus", &[]).on("poll"),
    Contender::new("annulus-uring-pool", "echo-annulus", &["--how", "pool"]).on("uring").extra(),
    Contender::new("annulus-poll-pool", "echo-annulus", &["--how", "pool"]).on("poll").extra(),
    Contender::new("annulus-uring-direct", "echo-annulus", &["--how", "direct"]).on("uring").extra(),
    Contender::new("annulus-uring-entries", "echo-annulus", &[]).on("uring").without("INLINE").extra(),
    Contender::new(CONTROL, "echo-uring-best", &[]),
];

const WORKLOADS: [Workload; 17] = [
    Workload::new("c1", "closed loop, 1 connection, 64 B, the client spins", &["--conns", "1", "--spin"]),
    Workload::new(
        "c1-1k",
        "closed loop, 1 connection, 1 KiB, the client spins",
        &["--conns", "1", "--spin", "--size", "1024"],
    )
    .extra(),
    Workload::new(
        "c1-16k",
        "closed loop, 1 connection, 16 KiB, the client spins",
        &["--conns", "1", "--spin", "--size", "16384"],
    )
    .extra(),
    Workload::new("c50", "closed loop, 50 connections, 64 B", &["--conns", "50"]),
    Workload::new("c50-1k", "closed loop, 50 connections, 1 KiB", &["--conns", "50", "--size", "1024"]).extra(),
    Workload::new("c50-16k", "closed loop, 50 connections, 16 KiB", &["--conns", "50", "--size", "16384"]),
    Workload::new("c500", "closed loop, 500 connections, 64 B", &["--conns", "500"]).extra(),
    Workload::new("c500-1k", "closed loop, 500 connections, 1 KiB", &["--conns", "500", "--size", "1024"]).extra(),
    Workload::new("c500-16k", "closed loop, 500 connections, 16 KiB", &["--conns", "500", "--size", "16384"]).extra(),
    Workload::new("c2000", "closed loop, 2000 connections, 64 B", &["--conns", "2000"]).extra(),
    Workload::new("c2000-1k", "closed loop, 2000 connections, 1 KiB", &["--conns", "2000", "--size", "1024"]).extra(),
    Workload::new("c2000-16k", "closed loop, 2000 connections, 16 KiB", &["--conns", "2000", "--size", "16384"])
        .extra(),
    paced("r40k", "40 000 requests/s, 50 connections, 64 B", Rate::Fixed(40e3)),
    paced("r60k", "60 000 requests/s, 50 connections, 64 B", Rate::Fixed(60e3)).extra(),
    paced("r80k", "80 000 requests/s, 50 connections, 64 B", Rate::Fixed(80e3)),
    paced("third", "a third of saturation, 50 connections, 64 B", Rate::Share(1.0 / 3.0)).extra(),
    paced("two-thirds", "two thirds of saturation, 50 connections, 64 B", Rate::Share(2.0 / 3.0)).extra(),
];

const fn paced(name: &'static str, title: &'static str, rate: Rate) -> Workload {
    Workload::new(name, title, &["--conns", "50", "--spin"]).at(rate)
}

/// For servers that answer requests.
pub const COLUMNS: [Column; 11] = [
    Column::new("user_us", "user", 2),
    Column::new("sys_us", "system", 2),
    Column::new("util", "util", 2),
    Column::new("rps", "requests/s", 0),
    Column::new("p50", "p50 µs", 0),
    Column::new("p99", "p99 µs", 0).plotted(),
    Column::new("p999", "p99.9 µs", 0),
    Column::new("calls", "calls/request", 3),
    Column::new("switches", "switches/request", 3),
    Column::new("rss_kib", "RSS KiB", 0),
    Column::new("load_util", "load's util", 2),
];
