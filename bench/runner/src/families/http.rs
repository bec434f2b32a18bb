//! HTTP/1.1: a short answer to a short request, by a parser that all contenders share.

use super::{Column, Contender, Family, Judge, Load, Rate, Workload};

const REFERENCE: &str = "floor-best";
const CONTROL: &str = "floor-best (again)";

pub const FAMILY: Family = Family {
    name: "http",
    title: "HTTP, side by side",
    load: Load::Program("load"),
    contenders: &CONTENDERS,
    workloads: &WORKLOADS,
    reference: REFERENCE,
    control: CONTROL,
    saturation: Some("h64"),
    cost: Column::new("srv_us", "CPU µs/request", 2),
    columns: &super::echo::COLUMNS,
    judge: Judge::Clean,
};

const SERVE: &[&str] = &["--serve", "http"];

const CONTENDERS: [Contender; 12] = [
    Contender::new("floor-epoll", "http-epoll", &[]),
    Contender::new(REFERENCE, "http-uring-best", &[]),
    Contender::new("tokio", "net-tokio", SERVE),
    Contender::new("monoio", "net-monoio", SERVE),
    Contender::new("monoio-defer", "net-monoio", &["--serve", "http", "--defer"]),
    Contender::new("monoio-legacy", "net-monoio", &["--serve", "http", "--legacy"]),
    Contender::new("compio-defer", "net-compio", SERVE),
    Contender::new("annulus-uring", "net-annulus", SERVE).on("uring"),
    Contender::new("annulus-poll", "net-annulus", SERVE).on("poll"),
    Contender::new("annulus-uring-pool", "net-annulus", &["--serve", "http", "--how", "pool"]).on("uring"),
    Contender::new("annulus-poll-pool", "net-annulus", &["--serve", "http", "--how", "pool"]).on("poll").extra(),
    Contender::new(CONTROL, "http-uring-best", &[]),
];

const WORKLOADS: [Workload; 8] = [
    Workload::new("h64", "closed loop, 64 connections", CLOSED),
    Workload::new("h64-p16", "the same, 16 requests at a time", PIPELINED),
    Workload::new("wrk", "wrk where it is installed, 64 connections", &["--kind", "wrk", "--conns", "64"]),
    Workload::new("wrk-p16", "the same, 16 requests at a time", WRK_PIPELINED),
    Workload::new("r40k", "40 000 requests/s, 64 connections", PACED).at(Rate::Fixed(40e3)),
    Workload::new("r80k", "80 000 requests/s, 64 connections", PACED).at(Rate::Fixed(80e3)).extra(),
    Workload::new("third", "a third of saturation, 64 connections", PACED).at(Rate::Share(1.0 / 3.0)).extra(),
    Workload::new("two-thirds", "two thirds of it", PACED).at(Rate::Share(2.0 / 3.0)).extra(),
];

const CLOSED: &[&str] = &["--kind", "http", "--conns", "64"];
const PIPELINED: &[&str] = &["--kind", "http", "--conns", "64", "--depth", "16"];
const WRK_PIPELINED: &[&str] = &["--kind", "wrk", "--conns", "64", "--depth", "16"];
const PACED: &[&str] = &["--kind", "http", "--conns", "64", "--spin"];
