//! Runs every contender against every workload in interleaved rounds, and writes the report. Interleaved, because a
//! shared machine changes from minute to minute: only samples taken next to each other may be compared.

mod families;
mod plot;
mod report;
mod sample;
mod stats;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use families::{Contender, FAMILIES, Family, Judge, Rate, Workload};
use report::Report;
use sample::{Sample, Setting};

const HELP: &str = "bench/run [options]
  --family A,B       what is compared (default echo), or all; --list names all families, contenders and workloads
  --all              every contender and workload of the family, not the usual ones alone
  --only A,B         these contenders (the reference comes along)
  --work A,B         these workloads
  --quick            4 rounds of 0.4 s instead of 9 of 0.6 s
  --rounds N         rounds
  --secs S           seconds per sample
  --cpus A,B         the server's CPU and the load's CPU (default 0,1)
  --patience S       how long the run may wait, in all, for the machine to become quiet (default 120, quick 20)
  --dirty            count disturbed samples too, and repeat none: to see on a busy machine that everything runs
  --out DIR          where to write: a directory for each family (default results)";

/// A sample may be repeated this often when somebody else used its CPUs.
const REPEATS: usize = 2;
/// How many samples of the reference tell what saturates it.
const PROBES: usize = 5;

fn flag(name: &str) -> bool {
    env::args().any(|arg| arg == name)
}

fn value(name: &str) -> Option<String> {
    env::args().skip_while(|arg| arg != name).nth(1)
}

fn number(name: &str, default: f64) -> io::Result<f64> {
    value(name).map_or(Ok(default), |text| text.parse().map_err(|_| io::Error::other(format!("{name} wants a number"))))
}

/// Does the list given by this option name it? `None` without the option.
fn named(option: &str, name: &str) -> Option<bool> {
    value(option).map(|list| list.split(',').any(|item| item == name))
}

/// Every name given must be one that exists: a run of an hour without what was asked for is a bad surprise.
fn refuse_unknown(families: &[&Family]) -> io::Result<()> {
    let has = |option: &str, name: &str| match option {
        "--family" => name == "all" || FAMILIES.iter().any(|family| family.name == name),
        "--only" => families.iter().flat_map(|family| family.contenders).any(|who| who.name == name),
        _ => families.iter().flat_map(|family| family.workloads).any(|what| what.name == name),
    };
    for option in ["--family", "--only", "--work"] {
        let list = value(option).unwrap_or_default();
        if let Some(name) = list.split(',').find(|name| !list.is_empty() && !has(option, name)) {
            return Err(io::Error::other(format!("{option} {name}: no such name; see --list")));
        }
    }
    Ok(())
}

/// All names. Who has read enough may close the pipe.
fn list() -> io::Result<()> {
    let mut text = String::new();
    for family in FAMILIES {
        text += &format!("{}: {}\n", family.name, family.title);
        let mark = |extra| if extra { " (with --all)" } else { "" };
        for it in family.workloads {
            text += &format!("    {:20} {}{}\n", it.name, it.title, mark(it.extra));
        }
        for it in family.contenders {
            text += &format!("    {}{}\n", it.name, mark(it.extra));
        }
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn setting() -> io::Result<Setting> {
    let quick = flag("--quick");
    let cpus = value("--cpus").unwrap_or_else(|| "0,1".into());
    let pair = cpus.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let pair = pair.filter(|&(a, b): &(usize, usize)| a.max(b) < libc::CPU_SETSIZE as usize);
    let (server_cpu, load_cpu) = pair.ok_or_else(|| io::Error::other("--cpus wants two CPU numbers, such as 0,1"))?;
    Ok(Setting {
        programs: env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default(),
        server_cpu,
        load_cpu,
        dirty: flag("--dirty"),
        rounds: number("--rounds", if quick { 4.0 } else { 9.0 })? as usize,
        secs: number("--secs", if quick { 0.4 } else { 0.6 })?,
        patience: Duration::from_secs_f64(number("--patience", if quick { 20.0 } else { 120.0 })?.max(0.0)),
    })
}

/// Lets this process, and so the servers and loads, have as many descriptors as the system allows it.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: as above. If it is refused, workloads of many connections fail, and say why.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// One family while it is measured.
struct Run {
    family: &'static Family,
    contenders: Vec<&'static Contender>,
    workloads: Vec<&'static Workload>,
    /// Requests per second that saturate the reference, where a workload wants to know.
    saturation: Option<f64>,
    samples: Vec<Sample>,
    failed: usize,
    began: Instant,
}

impl Run {
    fn new(family: &'static Family, programs: &Path) -> Self {
        let all = flag("--all");
        let chosen = |who: &&Contender| {
            let always = [family.reference, family.control].contains(&who.name);
            programs.join(who.program).exists() && (always || named("--only", who.name).unwrap_or(all || !who.extra))
        };
        let workloads = family.workloads.iter();
        Self {
            family,
            contenders: family.contenders.iter().filter(chosen).collect(),
            workloads: workloads.filter(|it| named("--work", it.name).unwrap_or(all || !it.extra)).collect(),
            saturation: None,
            samples: Vec::new(),
            failed: 0,
            began: Instant::now(),
        }
    }

    /// Measures what saturates the reference, if a chosen workload is a share of that.
    fn saturate(&mut self, setting: &mut Setting) -> io::Result<()> {
        let family = self.family;
        if !self.workloads.iter().any(|what| matches!(what.rate, Some(Rate::Share(_)))) {
            return Ok(());
        }
        let who = family.contenders.iter().find(|who| who.name == family.reference);
        let what = family.workloads.iter().find(|what| Some(what.name) == family.saturation);
        let pair = who.zip(what).ok_or_else(|| io::Error::other("this family does not know its saturation"))?;
        // Whoever disturbs a sample makes it slower, so the fastest is the nearest.
        for _ in 0..PROBES {
            let rate = sample::take(setting, family, pair, None, 0)?.map(|sample| sample.get("rps"));
            self.saturation = rate.into_iter().chain(self.saturation).reduce(f64::max);
        }
        eprintln!("{} saturates at {:.0} requests/s", family.reference, self.saturation.unwrap_or(f64::NAN));
        Ok(())
    }

    /// Takes a sample, again if it was disturbed; every attempt is kept.
    fn take(&mut self, setting: &mut Setting, who: &'static Contender, what: &'static Workload, round: usize) {
        let repeats = if self.family.judge == Judge::Clean && !setting.dirty { REPEATS } else { 0 };
        let rate = what.rate.map(|rate| match rate {
            Rate::Fixed(rate) => rate,
            Rate::Share(share) => share * self.saturation.unwrap_or(f64::NAN),
        });
        for _ in 0..=repeats {
            let at = format!("round {}/{}  {:10} {:20}", round + 1, setting.rounds, what.name, who.name);
            match sample::take(setting, self.family, (who, what), rate, round) {
                Ok(Some(sample)) => {
                    eprintln!("{at} {}", sample.line(self.family));
                    self.samples.push(sample);
                    if self.samples.last().is_some_and(Sample::clean) {
                        break;
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    eprintln!("{at} FAILED: {e}");
                    self.failed += 1;
                    break;
                }
            }
        }
    }

    /// All rounds. The report is written after each, so that a run that is cut short has not been for nothing.
    fn run(&mut self, setting: &mut Setting, out: &Path) -> io::Result<()> {
        fs::create_dir_all(out)?;
        self.saturate(setting)?;
        for round in 0..setting.rounds {
            for what in self.workloads.clone() {
                // Each round starts with another contender, so that nobody always follows the same neighbour.
                for turn in 0..self.contenders.len() {
                    let who = self.contenders[(turn + round) % self.contenders.len()];
                    self.take(setting, who, what, round);
                }
            }
            Report { setting, run: self, rounds: round + 1 }.write(out)?;
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    if flag("--help") {
        println!("{HELP}");
        return Ok(());
    }
    if flag("--list") {
        return list();
    }
    let every = named("--family", "all") == Some(true);
    let chosen = |family: &&&Family| every || named("--family", family.name).unwrap_or(family.name == "echo");
    let families: Vec<_> = FAMILIES.iter().filter(chosen).copied().collect();
    refuse_unknown(&families)?;
    raise_descriptor_limit();
    let (mut setting, mut failed) = (setting()?, 0);
    let out = PathBuf::from(value("--out").unwrap_or_else(|| "results".into()));
    for family in families {
        let mut run = Run::new(family, &setting.programs);
        let out = out.join(family.name);
        run.run(&mut setting, &out)?;
        println!("{}", fs::read_to_string(out.join("results.md"))?);
        failed += run.failed;
    }
    if failed > 0 { Err(io::Error::other(format!("{failed} samples failed"))) } else { Ok(()) }
}
