//! What one operation costs, counted instead of timed, and whether it has become more: see bench/README.md.
//!
//! `guard [WORDS]` compares with the table (what has these words in its name), `guard --update` writes it, `guard --profile WORK DRIVER` tells where the
//! instructions are. Each work runs in a process of its own, so that none leaves anything to the next.

mod counting;
mod limits;
mod profile;
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "absent.rs")]
mod steps;
mod work;

use annulus::DriverKind;
use limits::{Place, Room, Row, Unit, Verdict};
use std::{
    collections::HashSet,
    env,
    error::Error,
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
};

/// How often a work is measured before a limit is said to be passed: what threads do differs a little.
const TRIES: usize = 3;

/// The status of a process whose driver cannot be had.
const NO_DRIVER: i32 = 75;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(""),
        ["--update"] => update(),
        ["--profile", name, driver] => run(name, driver, true),
        ["--work", name, driver] => run(name, driver, false),
        [words] if !words.starts_with('-') => check(words),
        _ => Err("guard [WORDS | --update | --profile WORK DRIVER]".into()),
    }
}

/// Measures one work, here.
fn run(name: &str, driver: &str, profile: bool) -> Result<(), Box<dyn Error>> {
    let kind = match driver {
        "uring" => DriverKind::Uring,
        "poll" => DriverKind::Poll,
        _ => return Err(format!("{driver}: no such driver").into()),
    };
    if let Err(error) = annulus::Builder::new().driver(kind).build() {
        println!("{error}");
        std::process::exit(NO_DRIVER);
    }
    let mut meter = work::Meter::new(steps::Stepper::new(profile)?);
    work::work(name, kind, &mut meter)?;
    if meter.samples.is_empty() || meter.samples.iter().any(|sample| sample.counts.own == 0) {
        return Err(format!("{name} on {driver}: no instruction was stepped, so nothing was measured").into());
    }
    let ops = meter.samples.iter().map(|sample| sample.ops).sum::<u64>() as f64;
    if profile {
        return profile::print(&meter.stepper.take_places(), ops);
    }
    for unit in Unit::ALL {
        let each = meter.samples.iter().map(|sample| {
            let total = match unit {
                Unit::Instructions => sample.counts.own + sample.counts.libc,
                Unit::Allocations => sample.allocations,
                Unit::Calls => sample.counts.calls.values().sum(),
                Unit::Enters => sample.enters,
                Unit::Entries => sample.entries,
            };
            total as f64 / sample.ops as f64
        });
        // Only the ring's driver has entries, and only its enters are not among the calls.
        if kind == DriverKind::Uring || !matches!(unit, Unit::Enters | Unit::Entries) {
            let row =
                Row { name: format!("{name}/{driver}"), unit, measured: each.fold(f64::MAX, f64::min), limit: 0.0 };
            println!("{row}");
        }
    }
    Ok(())
}

/// Measures one work, in a process of its own. `Err` says why the driver cannot be had.
fn measure(name: &str, driver: &str) -> Result<Result<Vec<Row>, String>, Box<dyn Error>> {
    for _ in 0..TRIES {
        // The environment would be on its stack, and what it asks of annulus would count.
        let mut command = Command::new(env::current_exe()?);
        let output = command.args(["--work", name, driver]).env_clear().stderr(Stdio::inherit()).output()?;
        let printed = String::from_utf8(output.stdout)?;
        match output.status.code() {
            Some(0) => return Ok(Ok(limits::parse(&printed)?.1)),
            Some(NO_DRIVER) => return Ok(Err(printed.trim().to_owned())),
            // A thread was made meanwhile, with all signals blocked.
            None if output.status.signal() == Some(libc::SIGTRAP) => {}
            _ => return Err(format!("{name} on {driver} ended with {}", output.status).into()),
        }
    }
    Err(format!("{name} on {driver} was ended by SIGTRAP {TRIES} times").into())
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/limits"))
}

/// Where this runs, and what built it: who does says so.
fn place() -> Place {
    // SAFETY: the string is the library's, and stays.
    #[cfg(target_env = "gnu")]
    let libc = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned();
    #[cfg(not(target_env = "gnu"))]
    let libc = String::from("another");
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = release.split(['.', '-', '+']).take(2).collect::<Vec<_>>().join(".");
    let unknown = || String::from("unknown");
    Place {
        compiler: option_env!("GUARD_COMPILER").map_or_else(unknown, String::from),
        libc,
        cpu: model.map_or_else(unknown, |(_, model)| model.to_owned()),
        kernel: kernel.trim().to_owned(),
    }
}

/// Each work with each driver.
fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    work::WORK.iter().flat_map(|&(name, _)| ["uring", "poll"].map(|driver| (name, driver)))
}

/// Measures one work until it holds its limits, at most [`TRIES`] times, and gives the least.
fn measure_against(limits: &Limits, name: &str, driver: &str) -> Result<Result<Vec<Row>, String>, Box<dyn Error>> {
    let mut least: Option<Vec<Row>> = None;
    for _ in 0..TRIES {
        let now = match (measure(name, driver)?, least) {
            (Err(reason), _) => return Ok(Err(reason)),
            (Ok(now), None) => now,
            (Ok(now), Some(least)) => {
                now.into_iter().zip(least).map(|(a, b)| if a.measured < b.measured { a } else { b }).collect()
            }
        };
        let passed = now.iter().any(|row| matches!(limits.judge(row), Some((_, Verdict::Passed))));
        least = Some(now);
        if !passed {
            break;
        }
    }
    Ok(Ok(least.unwrap_or_default()))
}

/// The committed table.
struct Limits {
    rows: Vec<Row>,
    room: Room,
}

impl Limits {
    /// The row that a measurement belongs to, and what it says.
    fn judge(&self, now: &Row) -> Option<(&Row, Verdict)> {
        let row = self.rows.iter().find(|row| row.name == now.name && row.unit == now.unit)?;
        Some((row, row.judge(now.measured, self.room)))
    }
}

fn check(words: &str) -> Result<(), Box<dyn Error>> {
    let (known, rows) = limits::parse(&fs::read_to_string(path())?)?;
    let (differences, room) = place().beside(&known);
    let limits = Limits { rows, room };
    differences.iter().for_each(|difference| println!("NOTE guard: {difference}"));
    println!("{:>10} {}", "now", limits::TITLE);
    let (mut faults, mut tighten, mut absent) = (Vec::new(), Vec::new(), HashSet::new());
    let mut unknown: HashSet<&str> = limits.rows.iter().map(|row| &*row.name).collect();
    for (name, driver) in all() {
        let whole = format!("{name}/{driver}");
        unknown.remove(&*whole);
        if !whole.contains(words) {
            continue;
        }
        let rows = match measure_against(&limits, name, driver)? {
            Ok(rows) => rows,
            Err(reason) => {
                absent.insert(format!("{driver}: {reason}"));
                continue;
            }
        };
        for now in rows {
            let Some((row, verdict)) = limits.judge(&now) else {
                faults.push(format!("{now}: there is no limit for it"));
                continue;
            };
            println!("{:>10.2} {row}{}", now.measured, verdict.mark());
            match verdict {
                Verdict::Held => {}
                Verdict::Passed => faults.push(row.beside(now.measured)),
                Verdict::FarBelow => tighten.push(row.beside(now.measured)),
            }
        }
    }
    faults.extend(unknown.iter().map(|name| format!("{name} has a limit, and there is no such work")));
    absent.iter().for_each(|reason| println!("SKIP guard: {reason}"));
    if !tighten.is_empty() {
        println!("\nfar below, so that `.ci/guard --update` should make the limits follow:\n{}", tighten.join("\n"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    println!("\n{}", faults.join("\n"));
    Err("limits were passed; where it has to be so, `.ci/guard --update`, and say why".into())
}

/// Measures all and writes the table: the least that was seen, and limits for the most.
fn update() -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for (name, driver) in all() {
        let mut all = Vec::new();
        for _ in 0..TRIES {
            all.push(measure(name, driver)?.map_err(|reason| format!("{driver}: {reason}"))?);
        }
        for place in 0..all[0].len() {
            let values = all.iter().map(|rows| rows[place].measured);
            let row = &all[0][place];
            let (least, most) =
                values.fold((f64::MAX, 0.0), |(least, most), value| (value.min(least), value.max(most)));
            // What differs from time to time may differ more another time.
            let limit = row.unit.limit(most + (most - least));
            rows.push(Row { measured: least, limit, ..row.clone() });
        }
    }
    fs::write(path(), limits::table(&place(), &rows))?;
    print!("{}", fs::read_to_string(path())?);
    Ok(())
}
