//! The report: `results.md` for people, `samples.csv` with every attempt, one SVG per workload and quantity.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use crate::plot::{self, Row};
use crate::sample::{Sample, Setting};
use crate::stats::Spread;
use crate::{CONTROL, Contender, REFERENCE, Workload};

/// A server that is awake this share of the window has no idle time left: at a fixed rate its CPU time per request is
/// then the inverse of the rate, whatever the work costs.
const CLIPPED: f64 = 0.95;

const COLUMNS: [&str; 14] = [
    "srv_us",
    "user",
    "util",
    "rps",
    "p50",
    "p99",
    "max",
    "switches",
    "rss_kib",
    "srv_wait",
    "load_wait",
    "load_util",
    "others",
    "done",
];

/// Everything that was measured.
pub struct Report<'a> {
    pub setting: &'a Setting,
    pub contenders: &'a [&'static Contender],
    pub workloads: &'a [&'static Workload],
    pub samples: &'a [Sample],
    pub took: Duration,
    pub failed: usize,
}

/// The rest of the first line that begins so.
pub fn first_line(path: &str, prefix: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().find(|line| line.starts_with(prefix)).unwrap_or("?").trim_start_matches(prefix).trim().to_string()
}

impl Report<'_> {
    /// The clean samples of a contender at a workload.
    fn clean(&self, who: &str, what: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.clean && sample.who == who && sample.what == what)
    }

    fn spread(&self, who: &str, what: &str, column: &str) -> Option<Spread> {
        Spread::of(self.clean(who, what).map(|sample| sample.get(column)))
    }

    /// CPU per request against the reference's sample of the same round.
    fn ratio(&self, who: &str, what: &str) -> Option<Spread> {
        Spread::of(self.clean(who, what).filter_map(|sample| {
            let reference = self.clean(REFERENCE, what).find(|other| other.round == sample.round)?;
            Some(sample.get("srv_us") / reference.get("srv_us"))
        }))
    }

    fn row(&self, who: &str, what: &Workload) -> String {
        let Some(cpu) = self.spread(who, what.name, "srv_us") else {
            return format!("| {who} | 0 | no clean sample | | | | | | | |\n");
        };
        let median = |column| self.spread(who, what.name, column).map_or(f64::NAN, |spread| spread.median);
        let ratio =
            self.ratio(who, what.name).map_or("?".into(), |r| format!("{:.2} [{:.2}-{:.2}]", r.median, r.q1, r.q3));
        let clip = if what.rate.is_some() && median("util") > CLIPPED { " **clipped**" } else { "" };
        format!(
            "| {who} | {} | **{:.2}** [{:.2}-{:.2}] ({:.2}-{:.2}) | {ratio} | {:.2}{clip} | {:.0} | {:.0} | {:.0} | {:.3} | {:.0} |\n",
            cpu.n,
            cpu.median,
            cpu.q1,
            cpu.q3,
            cpu.min,
            cpu.max,
            median("util"),
            median("rps"),
            median("p50"),
            median("p99"),
            median("switches"),
            median("rss_kib"),
        )
    }

    /// What two runs of the same program differ by.
    fn noise(&self, what: &Workload) -> String {
        let Some(same) = self.ratio(CONTROL, what.name) else { return "No control: the noise is unknown.\n".into() };
        let reach = (same.q3 - 1.0).abs().max((same.q1 - 1.0).abs()) * 100.0;
        format!(
            "Noise: {REFERENCE} against itself {:.3} [{:.3}-{:.3}] ({:.3}-{:.3}), n {}. Differences below about {reach:.0} % mean nothing here.\n",
            same.median, same.q1, same.q3, same.min, same.max, same.n
        )
    }

    fn section(&self, what: &Workload) -> String {
        let mut text = format!(
            "\n## {}: {}\n\n| contender | n | CPU µs/request | ratio to {REFERENCE} | util | requests/s | p50 µs | p99 µs | switches/request | RSS KiB |\n|---|---|---|---|---|---|---|---|---|---|\n",
            what.name, what.title
        );
        self.contenders.iter().for_each(|who| text += &self.row(who.name, what));
        let _ = write!(text, "\n{}\n![CPU per request]({}-cpu.svg)\n", self.noise(what), what.name);
        if what.rate.is_some() {
            let _ = writeln!(text, "![p99 latency]({}-p99.svg)", what.name);
        }
        text
    }

    fn head(&self) -> String {
        let setting = self.setting;
        let dirty = self.samples.iter().filter(|sample| !sample.clean).count();
        let mut text = format!(
            "# Echo, side by side\n\n{}, Linux {}, {} rounds of {} s per sample in {:.0} s; server on CPU {}, load on CPU {}. \
             {} samples, {dirty} dirty (left out), {} failed.\n\n\
             Medians of clean samples; [quartiles], (smallest-largest). The ratio pairs samples of the same round. How to read \
             this: ../README.md.\n",
            first_line("/proc/cpuinfo", "model name\t:"),
            first_line("/proc/sys/kernel/osrelease", ""),
            setting.rounds,
            setting.secs,
            self.took.as_secs_f64(),
            setting.server_cpu,
            setting.load_cpu,
            self.samples.len(),
            self.failed,
        );
        if !self.contenders.iter().any(|who| who.driver.is_some()) {
            text += "\n**annulus is not in this table**: its server was not built, or not chosen.\n";
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = format!("contender,workload,round,clean,{}\n", COLUMNS.join(","));
        for sample in self.samples {
            let numbers: Vec<_> = COLUMNS.iter().map(|column| sample.get(column).to_string()).collect();
            let _ = writeln!(
                text,
                "{},{},{},{},{}",
                sample.who,
                sample.what,
                sample.round,
                sample.clean,
                numbers.join(",")
            );
        }
        text
    }

    fn plot(&self, out: &Path, what: &Workload, suffix: &str, column: &str, axis: &str) -> io::Result<()> {
        let rows: Vec<_> = self
            .contenders
            .iter()
            .filter_map(|who| Some(Row { label: who.name, spread: self.spread(who.name, what.name, column)? }))
            .collect();
        let title = format!("{axis}: {}", what.title);
        fs::write(out.join(format!("{}-{suffix}.svg", what.name)), plot::svg(&title, &rows))
    }

    /// Writes all files.
    pub fn write(&self, out: &Path) -> io::Result<()> {
        let mut text = self.head();
        for what in self.workloads {
            text += &self.section(what);
            self.plot(out, what, "cpu", "srv_us", "Server CPU per request, µs")?;
            if what.rate.is_some() {
                self.plot(out, what, "p99", "p99", "p99 latency from the scheduled time, µs")?;
            }
        }
        fs::write(out.join("samples.csv"), self.csv())?;
        fs::write(out.join("results.md"), text)
    }
}
