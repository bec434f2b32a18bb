//! Echo on several threads. The load has a CPU that the second thread wants, too, so on two CPUs this shows that threads
//! work and what they cost, not how far they scale.

use super::{Column, Contender, Family, Judge, Load, Workload};

const REFERENCE: &str = "annulus-uring-1";
const CONTROL: &str = "annulus-uring-1 (again)";

pub const FAMILY: Family = Family {
    name: "shards",
    title: "Echo on several threads, side by side",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("srv_us", "CPU µs/request", 2),
    columns: &[
        Column::new("low", "CPU µs/request in the lower quartile of 10 ms slices", 2),
        Column::new("rps", "requests/s", 0),
        Column::new("util", "CPUs used", 2),
        Column::new("load_util", "CPU of the load", 2),
        Column::new("p99", "p99 µs", 0),
    ],
    // The threads and the load wait for each other here, so no sample is clean.
    judge: Judge::Least,
};

const fn annulus(name: &'static str, driver: &'static str, threads: &'static [&'static str]) -> Contender {
    Contender::new(name, "echo-annulus", threads).on(driver)
}

const CONTENDERS: [Contender; 9] = [
    annulus(REFERENCE, "uring", &["--how", "shards", "--threads", "1"]),
    annulus("annulus-uring-2", "uring", &["--how", "shards", "--threads", "2"]),
    annulus("annulus-poll-1", "poll", &["--how", "shards", "--threads", "1"]),
    annulus("annulus-poll-2", "poll", &["--how", "shards", "--threads", "2"]),
    Contender::new("tokio-1", "shards-tokio", &["--threads", "1"]),
    Contender::new("tokio-2", "shards-tokio", &["--threads", "2"]),
    Contender::new("monoio-defer-1", "shards-monoio", &["--threads", "1", "--defer"]),
    Contender::new("monoio-defer-2", "shards-monoio", &["--threads", "2", "--defer"]),
    annulus(CONTROL, "uring", &["--how", "shards", "--threads", "1"]),
];

const WORKLOADS: [Workload; 3] = [
    Workload::new("c50", "closed loop, 50 connections, 64 B", &["--conns", "50"]),
    Workload::new("c50-16k", "closed loop, 50 connections, 16 KiB", &["--conns", "50", "--size", "16384"]),
    Workload::new("c500", "closed loop, 500 connections, 64 B", &["--conns", "500"]),
];
