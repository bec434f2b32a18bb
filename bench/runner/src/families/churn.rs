//! Connections that live for one request, on the servers that echo.

use super::{Column, Contender, Family, Judge, Load, Workload, echo};

const REFERENCE: &str = "floor-epoll";
const CONTROL: &str = "floor-epoll (again)";

pub const FAMILY: Family = Family {
    name: "churn",
    title: "Connections for one request each",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: None,
    cost: Column::new("srv_us", "CPU µs/connection", 2),
    columns: &echo::COLUMNS,
    judge: Judge::Clean,
};

const CONTENDERS: [Contender; 14] = [
    Contender::new(REFERENCE, "echo-epoll", &[]),
    Contender::new("floor-uring", "echo-uring", &[]),
    Contender::new("floor-best", "echo-uring-best", &[]),
    Contender::new("tokio", "echo-tokio", &[]),
    Contender::new("monoio", "echo-monoio", &[]),
    Contender::new("monoio-defer", "echo-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "echo-monoio", &["--legacy"]),
    Contender::new("compio-defer", "echo-compio", &["--defer"]),
    Contender::new("tokio-uring-coop", "echo-tokio-uring", &["--coop"]),
    Contender::new("glommio", "echo-glommio", &[]),
    Contender::new("annulus-uring", "echo-annulus", &[]).on("uring"),
    Contender::new("annulus-poll", "echo-annulus", &[]).on("poll"),
    Contender::new("annulus-uring-pool", "echo-annulus", &["--how", "pool"]).on("uring"),
    Contender::new(CONTROL, "echo-epoll", &[]),
];

const WORKLOADS: [Workload; 2] = [
    Workload::new("n16", "16 connections at a time", &["--kind", "churn", "--conns", "16"]),
    Workload::new("n200", "200 connections at a time", &["--kind", "churn", "--conns", "200"]),
];
