//! A family's report: `results.md` for people, `samples.csv` with every attempt, one SVG per workload and quantity.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::Run;
use crate::families::{Column, Judge, Workload};
use crate::plot::{self, Row};
use crate::sample::{Sample, Setting};
use crate::stats::Spread;

/// A server that is awake this share of the window has no idle time left: at a fixed rate its CPU time per request is
/// then the inverse of the rate, whatever the work costs.
const CLIPPED: f64 = 0.95;

/// Everything that was measured so far.
pub struct Report<'a> {
    pub setting: &'a Setting,
    pub run: &'a Run,
    pub rounds: usize,
}

/// The rest of the first line that begins so.
fn first_line(path: &str, prefix: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().find(|line| line.starts_with(prefix)).unwrap_or("?").trim_start_matches(prefix).trim().to_string()
}

/// A number for the eye; nothing was said where it is empty.
fn shown(value: f64, digits: usize) -> String {
    if value.is_nan() { String::new() } else { format!("{value:.digits$}") }
}

impl Report<'_> {
    fn of(&self, who: &str, what: &str) -> impl Iterator<Item = &Sample> {
        self.run.samples.iter().filter(move |sample| sample.who == who && sample.what == what)
    }

    fn all_count(&self) -> bool {
        self.run.family.judge == Judge::Least || self.setting.dirty
    }

    /// The samples of a contender at a workload that count.
    fn counted(&self, who: &str, what: &str) -> impl Iterator<Item = &Sample> {
        self.of(who, what).filter(|sample| self.all_count() || sample.clean())
    }

    fn spread(&self, who: &str, what: &str, column: &str) -> Option<Spread> {
        Spread::of(self.counted(who, what).map(|sample| sample.get(column)))
    }

    /// Cost against the reference's sample nearest in time.
    fn ratio(&self, who: &str, what: &str) -> Option<Spread> {
        let family = self.run.family;
        let apart = |a: &Sample, b: &Sample| a.at.max(b.at) - a.at.min(b.at);
        Spread::of(self.counted(who, what).filter_map(|sample| {
            let nearest = self.counted(family.reference, what).min_by_key(|other| apart(sample, other))?;
            Some(sample.get(family.cost.key) / nearest.get(family.cost.key))
        }))
    }

    fn row(&self, who: &str, what: &Workload) -> String {
        let family = self.run.family;
        let Some(cost) = self.spread(who, what.name, family.cost.key) else {
            return match self.of(who, what.name).count() {
                0 => String::new(),
                taken => format!("| {who} | 0 of {taken} |{}\n", " |".repeat(family.columns.len() + 2)),
            };
        };
        let median = |column| self.spread(who, what.name, column).map_or(f64::NAN, |spread| spread.median);
        let clip = if what.rate.is_some() && median("util") > CLIPPED { " **clipped**" } else { "" };
        let ratio =
            self.ratio(who, what.name).map_or("?".into(), |r| format!("{:.2} [{:.2}-{:.2}]", r.median, r.q1, r.q3));
        let [middle, q1, q3, min, max] =
            [cost.median, cost.q1, cost.q3, cost.min, cost.max].map(|value| shown(value, family.cost.digits));
        let clean = self.of(who, what.name).filter(|sample| sample.clean()).count();
        let mut text = format!(
            "| {who} | {clean} of {} | **{middle}** [{q1}-{q3}] ({min}-{max}){clip} | {ratio} |",
            self.of(who, what.name).count()
        );
        family.columns.iter().for_each(|column| text += &format!(" {} |", shown(median(column.key), column.digits)));
        text + "\n"
    }

    /// What two runs of the same program differ by.
    fn noise(&self, what: &Workload) -> String {
        let (reference, control) = (self.run.family.reference, self.run.family.control);
        let Some(same) = self.ratio(control, what.name) else { return "No control: the noise is unknown.\n".into() };
        let reach = (same.q3 - 1.0).abs().max((same.q1 - 1.0).abs()) * 100.0;
        format!(
            "Noise: {reference} against itself {:.3} [{:.3}-{:.3}] ({:.3}-{:.3}), n {}. Differences below about {reach:.0} % mean nothing here.\n",
            same.median, same.q1, same.q3, same.min, same.max, same.n
        )
    }

    fn section(&self, what: &Workload) -> String {
        let family = self.run.family;
        let columns: String = family.columns.iter().map(|column| format!(" {} |", column.title)).collect();
        let mut text = format!(
            "\n## {}: {}\n\n| contender | clean | {} | ratio to {} |{columns}\n|---|---|---|---|{}\n",
            what.name,
            what.title,
            family.cost.title,
            family.reference,
            "---|".repeat(family.columns.len())
        );
        self.run.contenders.iter().for_each(|who| text += &self.row(who.name, what));
        let _ = writeln!(text, "\n{}", self.noise(what));
        for column in self.plots(what) {
            let _ = writeln!(text, "![{}]({}-{}.svg)", column.title, what.name, column.key);
        }
        text
    }

    /// A row for each contender, a column for each workload.
    fn overview(&self) -> String {
        let family = self.run.family;
        let names: Vec<_> = self.run.workloads.iter().map(|what| what.name).collect();
        let of = match family.judge {
            Judge::Clean => format!("{}, as a ratio to {}: medians.", family.cost.title, family.reference),
            Judge::Least => format!("{}: the least of all.", family.columns[0].title),
        };
        let mut text = format!("\n{of}\n\n| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for who in &self.run.contenders {
            let cell = |name: &&str| match family.judge {
                Judge::Clean => self.ratio(who.name, name).map_or("-".into(), |ratio| shown(ratio.median, 2)),
                Judge::Least => self
                    .spread(who.name, name, family.columns[0].key)
                    .map_or("-".into(), |spread| shown(spread.min, family.columns[0].digits)),
            };
            let cells: Vec<_> = names.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", who.name, cells.join(" | "));
        }
        text
    }

    fn head(&self) -> String {
        let (setting, run) = (self.setting, self.run);
        let dirty = run.samples.iter().filter(|sample| !sample.clean()).count();
        let fate = if self.all_count() { "they count" } else { "left out" };
        let mut text = format!(
            "# {}\n\n{}, Linux {}, {} rounds of {} s per sample in {:.0} s; server on CPU {}, load on CPU {}. \
             {} samples, {dirty} dirty ({fate}), {} failed.\n\n\
             Medians; [quartiles], (smallest-largest). The ratio pairs samples nearest in time. How to read this: \
             ../../README.md.\n",
            run.family.title,
            first_line("/proc/cpuinfo", "model name\t:"),
            first_line("/proc/sys/kernel/osrelease", ""),
            self.rounds,
            setting.secs,
            run.began.elapsed().as_secs_f64(),
            setting.server_cpu,
            setting.load_cpu,
            run.samples.len(),
            run.failed,
        );
        if let Some(saturation) = run.saturation {
            let _ = writeln!(text, "\n{} saturates at {saturation:.0} requests/s.", run.family.reference);
        }
        if !run.contenders.iter().any(|who| who.driver.is_some()) {
            text += "\n**annulus is not in this table**: its program was not built, or not chosen.\n";
        }
        text
    }

    /// Every attempt, with everything that it said.
    fn csv(&self) -> String {
        let samples = &self.run.samples;
        let columns: BTreeSet<_> = samples.iter().flat_map(|sample| sample.values.keys()).collect();
        let mut text = "contender,workload,round,seconds,clean".to_string();
        columns.iter().for_each(|column| text += &format!(",{column}"));
        for sample in samples {
            let seconds = (sample.at - self.run.began).as_secs_f64();
            let _ = write!(text, "\n{},{},{},{seconds:.2},{}", sample.who, sample.what, sample.round, sample.clean());
            for column in &columns {
                text += ",";
                text += &sample.values.get(*column).map_or(String::new(), f64::to_string);
            }
        }
        text + "\n"
    }

    /// The quantities that a workload has plots of.
    fn plots(&self, what: &Workload) -> impl Iterator<Item = &'static Column> {
        let (family, rated) = (self.run.family, what.rate.is_some());
        std::iter::once(&family.cost).chain(family.columns.iter().filter(move |column| column.plot && rated))
    }

    /// Writes all files.
    pub fn write(&self, out: &Path) -> io::Result<()> {
        let mut text = self.head() + &self.overview();
        for what in &self.run.workloads {
            text += &self.section(what);
            for column in self.plots(what) {
                let row = |name| Some(Row { label: name, spread: self.spread(name, what.name, column.key)? });
                let rows: Vec<_> = self.run.contenders.iter().filter_map(|who| row(who.name)).collect();
                let svg = plot::svg(&format!("{}: {}", column.title, what.title), &rows);
                fs::write(out.join(format!("{}-{}.svg", what.name, column.key)), svg)?;
            }
        }
        fs::write(out.join("samples.csv"), self.csv())?;
        fs::write(out.join("results.md"), text)
    }
}
