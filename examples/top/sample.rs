//! What was heard of a runtime: a line of an exporter, read.

use annulus::Histogram;
use std::{collections::BTreeMap, time::Duration};

/// The counters of a runtime at a moment.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) state: String,
    /// By the clock of the program that it is in.
    pub(crate) at: Duration,
    pub(crate) turns: u64,
    pub(crate) polls: u64,
    pub(crate) tasks: u64,
    pub(crate) sqes: u64,
    pub(crate) cqes: u64,
    pub(crate) enters: u64,
    pub(crate) sent: u64,
    pub(crate) elided: u64,
    pub(crate) batches: Histogram,
    pub(crate) poll_times: Histogram,
}

/// Reads what an exporter says. The error names the line and what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let numbered = text.lines().enumerate();
    numbered.map(|(at, line)| sample(line).map_err(|what| format!("line {}: {what}", at + 1))).collect()
}

fn sample(line: &str) -> Result<Sample, String> {
    let fields = Fields::new(line)?;
    Ok(Sample {
        name: fields.text("name")?.into(),
        driver: fields.text("driver")?.into(),
        state: fields.text("state")?.into(),
        at: Duration::from_micros(fields.number("at_us")?),
        turns: fields.number("turns")?,
        polls: fields.number("polls")?,
        tasks: fields.number("tasks")?,
        sqes: fields.number("sqes")?,
        cqes: fields.number("cqes")?,
        enters: fields.number("enters")?,
        sent: fields.number("sent")?,
        elided: fields.number("elided")?,
        batches: fields.histogram("batches")?,
        poll_times: fields.histogram("poll_times")?,
    })
}

/// The fields of a line. Those that nobody asks for are a newer exporter's, and no fault.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn new(line: &'a str) -> Result<Fields<'a>, String> {
        let mut fields = BTreeMap::new();
        for field in line.split('\t') {
            let Some((key, value)) = field.split_once('=') else { return Err(format!("{field:?} is no key=value")) };
            // What comes from elsewhere is not to command the terminal.
            if value.contains(char::is_control) {
                return Err(format!("{field:?} has a control character"));
            }
            if fields.insert(key, value).is_some() {
                return Err(format!("{key:?} comes twice"));
            }
        }
        Ok(Fields(fields))
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        self.0.get(key).copied().ok_or_else(|| format!("{key:?} is missing"))
    }

    fn number(&self, key: &str) -> Result<u64, String> {
        number(key, self.text(key)?)
    }

    fn histogram(&self, key: &str) -> Result<Histogram, String> {
        let buckets: Result<Vec<u64>, String> = self.text(key)?.split(',').map(|text| number(key, text)).collect();
        let buckets: Result<[u64; Histogram::BUCKETS], _> = buckets?.try_into();
        let wrong = |them: Vec<u64>| format!("{key:?} has {} numbers instead of {}", them.len(), Histogram::BUCKETS);
        buckets.map(Histogram::from).map_err(wrong)
    }
}

fn number(key: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{key:?} is {text:?}: {error}"))
}
