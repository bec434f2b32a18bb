//! Datagrams that are sent back.

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "floor-mmsg";
const CONTROL: &str = "floor-mmsg (again)";

pub const FAMILY: Family = Family {
    name: "udp",
    title: "Datagrams, side by side",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("srv_us", "CPU µs/datagram", 2),
    columns: &COLUMNS,
    judge: Judge::Clean,
};

const SERVE: &[&str] = &["--serve", "udp"];
const POOL: &[&str] = &["--serve", "udp", "--how", "pool"];
const GRO: &[&str] = &["--serve", "udp", "--how", "gro"];

const CONTENDERS: [Contender; 13] = [
    Contender::new(REFERENCE, "udp-mmsg", &[]),
    Contender::new("tokio", "net-tokio", SERVE),
    Contender::new("monoio", "net-monoio", SERVE),
    Contender::new("monoio-defer", "net-monoio", &["--serve", "udp", "--defer"]),
    Contender::new("monoio-legacy", "net-monoio", &["--serve", "udp", "--legacy"]),
    Contender::new("compio-defer", "net-compio", SERVE),
    Contender::new("annulus-uring", "net-annulus", SERVE).on("uring"),
    Contender::new("annulus-poll", "net-annulus", SERVE).on("poll"),
    Contender::new("annulus-uring-pool", "net-annulus", POOL).on("uring"),
    Contender::new("annulus-poll-pool", "net-annulus", POOL).on("poll").extra(),
    Contender::new("annulus-uring-gro", "net-annulus", GRO).on("uring"),
    Contender::new("annulus-poll-gro", "net-annulus", GRO).on("poll"),
    Contender::new(CONTROL, "udp-mmsg", &[]),
];

const WORKLOADS: [Workload; 3] = [
    Workload::new("u64", "64 peers, a datagram of 64 B each", &["--kind", "udp", "--conns", "64"]),
    Workload::new("u4-1200", "4 peers, 16 datagrams of 1200 B each", BURSTS),
    Workload::new("u4-1200-gso", "the same, 16 by one send", SEGMENTS),
];

const BURSTS: &[&str] = &["--kind", "udp", "--conns", "4", "--depth", "16", "--size", "1200"];
const SEGMENTS: &[&str] = &["--kind", "udp", "--conns", "4", "--depth", "16", "--size", "1200", "--segments"];

const COLUMNS: [Column; 6] = [
    Column::new("util", "util", 2),
    Column::new("rps", "datagrams/s", 0),
    Column::new("p50", "p50 µs", 0),
    Column::new("switches", "switches/datagram", 3),
    Column::new("lost", "lost", 5),
    Column::new("rss_kib", "RSS KiB", 0),
];
