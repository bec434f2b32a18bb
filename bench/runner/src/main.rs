//! Runs every contender against every workload in interleaved rounds, and writes the report. Interleaved, because a
//! shared machine changes from minute to minute: only samples taken next to each other may be compared.

mod micro;
mod plot;
mod report;
mod sample;
mod stats;

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use report::Report;
use sample::{Sample, Setting};

const HELP: &str = "bench/run [options]
  --micro            not echo but the runtime's own steps: spawn spawn-1000 yield-1 yield-100 sleep-100k start wake nop idle
  --quick            4 rounds of 0.4 s instead of 9 of 0.6 s
  --rounds N         rounds
  --secs S           seconds per sample
  --only A,B         these contenders (names as in the table)
  --work A,B         these workloads: c50 c50-16k r40k r80k c1, or those of --micro
  --cpus A,B         the server's CPU and the load's CPU (default 0,1)
  --patience S       how long the run may wait, in all, for the machine to become quiet (default 120, quick 20)
  --out DIR          where to write (default results)";

/// A server: its program, how it is started, and the driver it must say it runs on.
pub struct Contender {
    pub name: &'static str,
    pub program: &'static str,
    pub args: &'static [&'static str],
    pub driver: Option<&'static str>,
}

/// A load: a name, what it is in words, and the load generator's arguments.
pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub args: &'static [&'static str],
    pub rate: Option<f64>,
}

/// The contender that all others are compared with, round by round.
pub const REFERENCE: &str = "floor-best";
/// The reference once more: what it differs from itself is noise.
pub const CONTROL: &str = "floor-best (again)";

const fn contender(name: &'static str, program: &'static str, args: &'static [&'static str]) -> Contender {
    Contender { name, program, args, driver: None }
}

const CONTENDERS: [Contender; 13] = [
    contender("floor-epoll", "echo-epoll", &[]),
    contender("floor-uring", "echo-uring", &[]),
    contender(REFERENCE, "echo-uring-best", &[]),
    contender("tokio", "echo-tokio", &[]),
    contender("monoio", "echo-monoio", &[]),
    contender("monoio-defer", "echo-monoio", &["--defer"]),
    contender("monoio-legacy", "echo-monoio", &["--legacy"]),
    Contender { driver: Some("uring"), ..contender("annulus-uring", "echo-annulus", &[]) },
    Contender { driver: Some("poll"), ..contender("annulus-poll", "echo-annulus", &[]) },
    Contender { driver: Some("uring"), ..contender("annulus-uring-pool", "echo-annulus", &["--how", "pool"]) },
    Contender { driver: Some("poll"), ..contender("annulus-poll-pool", "echo-annulus", &["--how", "pool"]) },
    Contender { driver: Some("uring"), ..contender("annulus-uring-direct", "echo-annulus", &["--how", "direct"]) },
    contender(CONTROL, "echo-uring-best", &[]),
];

const WORKLOADS: [Workload; 5] = [
    Workload { name: "c50", title: "closed loop, 50 connections, 64 B", args: &["--conns", "50"], rate: None },
    Workload {
        name: "c50-16k",
        title: "closed loop, 50 connections, 16 KiB",
        args: &["--conns", "50", "--size", "16384"],
        rate: None,
    },
    Workload {
        name: "r40k",
        title: "40 000 requests/s, 50 connections, 64 B",
        args: &["--conns", "50", "--rate", "40000", "--spin"],
        rate: Some(40e3),
    },
    Workload {
        name: "r80k",
        title: "80 000 requests/s, 50 connections, 64 B",
        args: &["--conns", "50", "--rate", "80000", "--spin"],
        rate: Some(80e3),
    },
    Workload {
        name: "c1",
        title: "closed loop, 1 connection, 64 B, the client spins",
        args: &["--conns", "1", "--spin"],
        rate: None,
    },
];

/// A sample may be repeated this often when somebody else used its CPUs.
const REPEATS: usize = 2;

fn value(name: &str) -> Option<String> {
    env::args().skip_while(|arg| arg != name).nth(1)
}

fn number(name: &str, default: f64) -> io::Result<f64> {
    value(name).map_or(Ok(default), |text| text.parse().map_err(|_| io::Error::other(format!("{name} wants a number"))))
}

/// Does the list given by this option name it? Without the option, everything is chosen.
fn chosen(option: &str, name: &str) -> bool {
    value(option).is_none_or(|list| list.split(',').any(|item| item == name))
}

/// Where the programs lie: beside this one.
fn programs() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default())
}

/// Where the results go.
fn out() -> io::Result<PathBuf> {
    let out = PathBuf::from(value("--out").unwrap_or_else(|| "results".into()));
    fs::create_dir_all(&out)?;
    Ok(out)
}

fn setting() -> io::Result<Setting> {
    let quick = env::args().any(|arg| arg == "--quick");
    let cpus = value("--cpus").unwrap_or_else(|| "0,1".into());
    let pair = cpus.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let pair = pair.filter(|&(a, b): &(usize, usize)| a.max(b) < libc::CPU_SETSIZE as usize);
    let (server_cpu, load_cpu) = pair.ok_or_else(|| io::Error::other("--cpus wants two CPU numbers, such as 0,1"))?;
    Ok(Setting {
        programs: programs()?,
        server_cpu,
        load_cpu,
        rounds: number("--rounds", if quick { 4.0 } else { 9.0 })? as usize,
        secs: number("--secs", if quick { 0.4 } else { 0.6 })?,
        patience: Duration::from_secs_f64(number("--patience", if quick { 20.0 } else { 120.0 })?.max(0.0)),
    })
}

/// Takes a sample, again if it was disturbed; every attempt is kept, marked clean or dirty.
fn take(setting: &mut Setting, who: &Contender, what: &Workload, round: usize) -> Vec<Sample> {
    let mut taken = Vec::new();
    while taken.len() <= REPEATS && !taken.last().is_some_and(|last: &Sample| last.clean) {
        let at = format!("round {}/{}  {:8} {:18}", round + 1, setting.rounds, what.name, who.name);
        match sample::take(setting, who, what, round) {
            Ok(sample) => {
                eprintln!("{at} {}", sample.line());
                taken.push(sample);
            }
            Err(e) => {
                eprintln!("{at} FAILED: {e}");
                break;
            }
        }
    }
    taken
}

fn main() -> io::Result<()> {
    if env::args().any(|arg| arg == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    if env::args().any(|arg| arg == "--micro") {
        return micro::run();
    }
    let (mut setting, began) = (setting()?, Instant::now());
    let built = |who: &&Contender| setting.programs.join(who.program).exists() && chosen("--only", who.name);
    let contenders: Vec<_> = CONTENDERS.iter().filter(built).collect();
    let workloads: Vec<_> = WORKLOADS.iter().filter(|what| chosen("--work", what.name)).collect();
    let out = out()?;
    let (mut samples, mut failed) = (Vec::new(), 0);
    for round in 0..setting.rounds {
        for what in &workloads {
            // Each round starts with another contender, so that nobody always follows the same neighbour.
            for turn in 0..contenders.len() {
                let who = contenders[(turn + round) % contenders.len()];
                let taken = take(&mut setting, who, what, round);
                failed += usize::from(taken.is_empty());
                samples.extend(taken);
            }
        }
        // Written after every round, so that a run that is cut short has not been for nothing.
        let (contenders, workloads, samples) = (&contenders, &workloads, &samples);
        let report = Report { setting: &setting, contenders, workloads, samples, took: began.elapsed(), failed };
        report.write(&out)?;
    }
    println!("{}", fs::read_to_string(out.join("results.md"))?);
    if failed > 0 { Err(io::Error::other(format!("{failed} samples failed"))) } else { Ok(()) }
}
