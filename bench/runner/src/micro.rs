//! The micro comparison: what a runtime's own steps cost on annulus and on its peers. Each sample is a process of its
//! own that cuts its work into short slices of CPU time (see the package `micro`).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use crate::report::first_line;
use crate::stats::Spread;
use crate::{chosen, number};

/// A program and how it is called.
struct Contender {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    driver: Option<&'static str>,
}

const fn peer(name: &'static str, program: &'static str, args: &'static [&'static str]) -> Contender {
    Contender { name, program, args, driver: None }
}

const fn annulus(name: &'static str, driver: &'static str) -> Contender {
    Contender { driver: Some(driver), ..peer(name, "micro-annulus", &[]) }
}

const CONTENDERS: [Contender; 12] = [
    annulus("annulus-uring", "uring"),
    annulus("annulus-poll", "poll"),
    peer("tokio", "micro-tokio", &[]),
    peer("monoio", "micro-monoio", &[]),
    peer("monoio-defer", "micro-monoio", &["--defer"]),
    peer("monoio-legacy", "micro-monoio", &["--legacy"]),
    peer("compio", "micro-compio", &[]),
    peer("compio-tuned", "micro-compio", &["--tuned"]),
    peer("glommio", "micro-glommio", &[]),
    peer("tokio-uring", "micro-tokio-uring", &[]),
    peer("tokio-uring-coop", "micro-tokio-uring", &["--coop"]),
    // The first one once more: what it differs from itself is noise.
    annulus("annulus-uring (again)", "uring"),
];

/// A workload's name, and what one operation is.
const WORKLOADS: [(&str, &str); 9] = [
    ("spawn", "spawn a task and await it"),
    ("spawn-1000", "the same, a thousand at a time"),
    ("yield-1", "one task lets the others go first"),
    ("yield-100", "each of a hundred tasks does"),
    ("sleep-100k", "spawn a task that sleeps 1 to 200 ms, 100 000 at the same time"),
    ("start", "make a runtime, run `async {}`, end it"),
    ("wake", "from the runtime to a thread on the same CPU and back, both threads' time"),
    ("nop", "one NOP through the driver"),
    ("idle", "sleep 50 ms with nothing else to do"),
];

/// The share of its time that a sample may wait for a CPU and still be called clean.
const DIRTY: f64 = 0.03;
/// How long a sample may take, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// What a program said.
struct Sample {
    who: &'static str,
    what: &'static str,
    round: usize,
    values: HashMap<String, f64>,
}

impl Sample {
    fn get(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(f64::NAN)
    }

    fn clean(&self) -> bool {
        self.get("wait") < DIRTY
    }
}

/// Waits for the child; ends it when the limit is over.
fn finish(mut child: Child) -> io::Result<std::process::Output> {
    let began = Instant::now();
    while child.try_wait()?.is_none() {
        if began.elapsed() > LIMIT {
            child.kill()?;
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output()
}

/// Takes a sample. `None`: this contender has no such workload.
fn take(programs: &Path, who: &Contender, what: &'static str, round: usize) -> io::Result<Option<Sample>> {
    let mut command = Command::new(programs.join(who.program));
    command.arg(what).args(who.args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(who.driver.map(|driver| ("ANNULUS_DRIVER", driver)));
    let output = finish(command.spawn()?)?;
    if output.status.code() == Some(2) {
        return Ok(None);
    }
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(io::Error::other(format!("{}: {} {why}", who.name, output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    let values = pairs.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect();
    Ok(Some(Sample { who: who.name, what, round, values }))
}

/// Nanoseconds for the eye: microseconds from 10 000 on.
fn time(ns: f64) -> String {
    match ns {
        _ if ns.is_nan() => "-".into(),
        _ if ns < 100.0 => format!("{ns:.1}"),
        _ if ns < 10_000.0 => format!("{ns:.0}"),
        _ => format!("{:.1} µs", ns / 1e3),
    }
}

/// The report of everything that was taken.
struct Report<'a> {
    contenders: &'a [&'static Contender],
    workloads: &'a [(&'static str, &'static str)],
    samples: &'a [Sample],
    rounds: usize,
    took: Duration,
    failed: usize,
}

impl Report<'_> {
    fn of(&self, who: &str, what: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.who == who && sample.what == what)
    }

    fn spread(&self, who: &str, what: &str, column: &str) -> Option<Spread> {
        Spread::of(self.of(who, what).map(|sample| sample.get(column)))
    }

    fn head(&self) -> String {
        let dirty = self.samples.iter().filter(|sample| !sample.clean()).count();
        format!(
            "# The runtime's own steps, side by side\n\n{}, Linux {}, {} rounds in {:.0} s. {} samples, {dirty} of them dirty \
             (waited more than 3 % of their time for a CPU; they count, see ../README.md), {} failed.\n\n\
             CPU nanoseconds per operation: the smallest of all slices.\n\n",
            first_line("/proc/cpuinfo", "model name\t:"),
            first_line("/proc/sys/kernel/osrelease", ""),
            self.rounds,
            self.took.as_secs_f64(),
            self.samples.len(),
            self.failed,
        )
    }

    /// The minima, a row for each contender.
    fn overview(&self) -> String {
        let names: Vec<_> = self.workloads.iter().map(|(name, _)| *name).collect();
        let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for who in self.contenders {
            let cell = |name: &&str| self.spread(who.name, name, "min").map_or("-".into(), |spread| time(spread.min));
            let cells: Vec<_> = names.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", who.name, cells.join(" | "));
        }
        text
    }

    /// One workload: what the rounds differ by.
    fn section(&self, name: &str, title: &str) -> String {
        let mut text = format!(
            "\n## {name}: {title}\n\n| contender | minimum | lower quartile of a sample: median of the rounds [quartiles] | median slice | clean rounds |\n|---|---|---|---|---|\n"
        );
        for who in self.contenders {
            let [min, low, median] = ["min", "low", "median"].map(|column| self.spread(who.name, name, column));
            let (Some(min), Some(low), Some(median)) = (min, low, median) else { continue };
            let clean = self.of(who.name, name).filter(|sample| sample.clean()).count();
            let _ = writeln!(
                text,
                "| {} | **{}** | {} [{}-{}] | {} | {clean} of {} |",
                who.name,
                time(min.min),
                time(low.median),
                time(low.q1),
                time(low.q3),
                time(median.median),
                low.n,
            );
        }
        text
    }

    fn csv(&self) -> String {
        const COLUMNS: [&str; 6] = ["min", "low", "median", "wall", "slices", "wait"];
        let mut text = format!("contender,workload,round,{}\n", COLUMNS.join(","));
        for sample in self.samples {
            let numbers = COLUMNS.map(|column| sample.get(column).to_string());
            let _ = writeln!(text, "{},{},{},{}", sample.who, sample.what, sample.round, numbers.join(","));
        }
        text
    }

    fn write(&self, out: &Path) -> io::Result<()> {
        let mut text = self.head() + &self.overview();
        self.workloads.iter().for_each(|(name, title)| text += &self.section(name, title));
        fs::write(out.join("micro.csv"), self.csv())?;
        fs::write(out.join("micro.md"), text)
    }
}

/// Runs everything that was chosen, and writes the report after each round.
pub fn run() -> io::Result<()> {
    let quick = env::args().any(|arg| arg == "--quick");
    let rounds = number("--rounds", if quick { 3.0 } else { 9.0 })? as usize;
    let (programs, out) = (crate::programs()?, crate::out()?);
    let built = |who: &&Contender| programs.join(who.program).exists() && chosen("--only", who.name);
    let contenders: Vec<_> = CONTENDERS.iter().filter(built).collect();
    let workloads: Vec<_> = WORKLOADS.into_iter().filter(|(name, _)| chosen("--work", name)).collect();
    let (began, mut samples, mut failed) = (Instant::now(), Vec::new(), 0);
    for round in 0..rounds {
        for (what, _) in &workloads {
            // Each round starts with another contender, so that nobody always follows the same neighbour.
            for turn in 0..contenders.len() {
                let who = contenders[(turn + round) % contenders.len()];
                let at = format!("round {}/{rounds}  {what:10} {:21}", round + 1, who.name);
                match take(&programs, who, what, round) {
                    Ok(Some(sample)) => {
                        let mark = if sample.clean() { "" } else { "  (dirty)" };
                        eprintln!("{at} {:>10}{mark}", time(sample.get("min")));
                        samples.push(sample);
                    }
                    Ok(None) => {}
                    Err(e) => {
                        eprintln!("{at} FAILED: {e}");
                        failed += 1;
                    }
                }
            }
        }
        let (contenders, workloads, samples) = (&contenders, &workloads, &samples);
        Report { contenders, workloads, samples, rounds: round + 1, took: began.elapsed(), failed }.write(&out)?;
    }
    println!("{}", fs::read_to_string(out.join("micro.md"))?);
    if failed > 0 { Err(io::Error::other(format!("{failed} samples failed"))) } else { Ok(()) }
}
