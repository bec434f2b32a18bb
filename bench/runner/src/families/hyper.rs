//! The same through hyper: what an adaptor between hyper and a runtime costs.

use super::{Column, Contender, Family, Judge, Load, Rate, Workload};

const REFERENCE: &str = "tokio";
const CONTROL: &str = "tokio (again)";

pub const FAMILY: Family = Family {
    name: "hyper",
    title: "hyper on each runtime",
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

const SERVE: &[&str] = &["--serve", "hyper"];

const CONTENDERS: [Contender; 9] = [
    Contender::new(REFERENCE, "hyper-tokio", &[]),
    Contender::new("monoio", "hyper-monoio", &[]),
    Contender::new("monoio-defer", "hyper-monoio", &["--defer"]),
    Contender::new("monoio-legacy", "hyper-monoio", &["--legacy"]),
    Contender::new("compio-defer", "hyper-compio", &[]),
    Contender::new("annulus-uring", "net-annulus", SERVE).on("uring"),
    Contender::new("annulus-poll", "net-annulus", SERVE).on("poll"),
    Contender::new("annulus-uring-pool", "net-annulus", &["--serve", "hyper", "--how", "pool"]).on("uring"),
    Contender::new(CONTROL, "hyper-tokio", &[]),
];

const WORKLOADS: [Workload; 6] = [
    Workload::new("h64", "closed loop, 64 connections", CLOSED),
    Workload::new("h64-p16", "the same, 16 requests at a time", PIPELINED),
    Workload::new("r40k", "40 000 requests/s, 64 connections", PACED).at(Rate::Fixed(40e3)),
    Workload::new("r80k", "80 000 requests/s, 64 connections", PACED).at(Rate::Fixed(80e3)).extra(),
    Workload::new("third", "a third of saturation, 64 connections", PACED).at(Rate::Share(1.0 / 3.0)).extra(),
    Workload::new("two-thirds", "two thirds of it", PACED).at(Rate::Share(2.0 / 3.0)).extra(),
];

const CLOSED: &[&str] = &["--kind", "hyper", "--conns", "64"];
const PIPELINED: &[&str] = &["--kind", "hyper", "--conns", "64", "--depth", "16"];
const PACED: &[&str] = &["--kind", "hyper", "--conns", "64", "--spin"];
