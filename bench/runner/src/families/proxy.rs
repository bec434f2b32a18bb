//! A proxy between the load and an echo that is a thread of the load: what passing bytes on costs, by a buffer and
//! without reading them.

use super::{Column, Contender, Family, Judge, Load, Rate, Workload, echo};

const REFERENCE: &str = "floor-epoll";
const CONTROL: &str = "floor-epoll (again)";

pub const FAMILY: Family = Family {
    name: "proxy",
    title: "A proxy on each runtime",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("srv_us", "CPU µs/request", 2),
    columns: &echo::COLUMNS,
    judge: Judge::Clean,
};

const BUFFER: &[&str] = &["--serve", "proxy"];
const POOL: &[&str] = &["--serve", "proxy", "--how", "pool"];
const SPLICE: &[&str] = &["--serve", "splice"];

const CONTENDERS: [Contender; 15] = [
    Contender::new(REFERENCE, "proxy-epoll", &[]),
    Contender::new("tokio", "net-tokio", BUFFER),
    Contender::new("monoio", "net-monoio", BUFFER),
    Contender::new("monoio-defer", "net-monoio", &["--serve", "proxy", "--defer"]),
    Contender::new("monoio-legacy", "net-monoio", &["--serve", "proxy", "--legacy"]),
    Contender::new("monoio-defer-splice", "net-monoio", &["--serve", "splice", "--defer"]),
    Contender::new("monoio-legacy-splice", "net-monoio", &["--serve", "splice", "--legacy"]).extra(),
    Contender::new("compio-defer", "net-compio", BUFFER),
    Contender::new("annulus-uring", "net-annulus", BUFFER).on("uring"),
    Contender::new("annulus-poll", "net-annulus", BUFFER).on("poll"),
    Contender::new("annulus-uring-pool", "net-annulus", POOL).on("uring"),
    Contender::new("annulus-poll-pool", "net-annulus", POOL).on("poll").extra(),
    Contender::new("annulus-uring-splice", "net-annulus", SPLICE).on("uring"),
    Contender::new("annulus-poll-splice", "net-annulus", SPLICE).on("poll"),
    Contender::new(CONTROL, "proxy-epoll", &[]),
];

const WORKLOADS: [Workload; 4] = [
    Workload::new("p50", "closed loop, 50 connections, 64 B", &["--kind", "proxy", "--conns", "50"]),
    Workload::new("p50-16k", "closed loop, 50 connections, 16 KiB", LARGE),
    Workload::new("p8-256k", "closed loop, 8 connections, 256 KiB", HUGE),
    Workload::new("r20k", "20 000 requests/s, 50 connections, 64 B", PACED).at(Rate::Fixed(20e3)),
];

const LARGE: &[&str] = &["--kind", "proxy", "--conns", "50", "--size", "16384"];
const HUGE: &[&str] = &["--kind", "proxy", "--conns", "8", "--size", "262144"];
/// The load does not spin: its backend is on the same CPU.
const PACED: &[&str] = &["--kind", "proxy", "--conns", "50"];
