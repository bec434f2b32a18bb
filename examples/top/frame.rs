//! What is shown: a table with a line for each runtime.

use crate::sample::Sample;
use annulus::Histogram;

const HEADS: [&str; 14] = [
    "name", "driver", "turns/s", "polls/s", "tasks", "sqes/s", "cqes/s", "enters/s", "batch", "sent/s", "elided/s",
    "p50", "p99", "state",
];

/// These stand to the left, all others are numbers.
const TEXTS: [&str; 3] = ["name", "driver", "state"];

/// What happened from `earlier` to `now`, for people to read.
pub(crate) fn frame(now: &[Sample], mut earlier: Vec<Sample>) -> String {
    if now.is_empty() {
        return "no runtime has a name: see annulus::Builder::name\n".into();
    }
    let mut rows = vec![HEADS.map(String::from)];
    let mut now: Vec<&Sample> = now.iter().collect();
    now.sort_by_key(|sample| order(&sample.name));
    for sample in now {
        // Of runtimes with one name, each has the one that stands where it does.
        let before = earlier.iter().position(|it| it.name == sample.name).map(|at| earlier.remove(at));
        // A program that began anew counts from the beginning.
        rows.push(row(sample, before.filter(|before| before.at < sample.at && before.turns <= sample.turns)));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |row: &[String; HEADS.len()]| {
        let cells = row.iter().zip(HEADS).zip(&widths).map(|((cell, head), &width)| match TEXTS.contains(&head) {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// By the alphabet, and 10 comes after 9.
fn order(name: &str) -> (&str, usize, &str) {
    (name.trim_end_matches(|c: char| c.is_ascii_digit()), name.len(), name)
}

fn row(now: &Sample, before: Option<Sample>) -> [String; HEADS.len()] {
    let rate = |of: fn(&Sample) -> u64| match &before {
        Some(before) => short(of(now).saturating_sub(of(before)) as f64 / (now.at - before.at).as_secs_f64()),
        None => "-".into(),
    };
    let quantile = |of: fn(&Sample) -> &Histogram, part| of(now).since(of(before.as_ref()?)).quantile(part);
    let cell = |text: Option<String>| text.unwrap_or("-".into());
    let poll = |part| cell(quantile(|it| &it.poll_times, part).map(|bounds| time(*bounds.end())));
    [
        now.name.clone(),
        now.driver.clone(),
        rate(|it| it.turns),
        rate(|it| it.polls),
        now.tasks.to_string(),
        rate(|it| it.sqes),
        rate(|it| it.cqes),
        rate(|it| it.enters),
        // A median is known to a power of two, so its upper end is shown.
        cell(quantile(|it| &it.batches, 0.5).map(|bounds| bounds.end().to_string())),
        rate(|it| it.sent),
        rate(|it| it.elided),
        poll(0.5),
        poll(0.99),
        now.state.clone(),
    ]
}

/// A number of at most five digits, with a letter if it needs one.
fn short(number: f64) -> String {
    match number {
        n if n < 1e5 => format!("{n:.0}"),
        n if n < 1e8 => format!("{:.0}k", n / 1e3),
        n => format!("{:.0}M", n / 1e6),
    }
}

/// Nanoseconds below which something lies, in a unit that suits them.
fn time(nanos: u64) -> String {
    match nanos {
        u64::MAX => "long".into(),
        n @ 0..10_000 => format!("{n}ns"),
        n @ 10_000..10_000_000 => format!("{}us", n / 1000),
        n => format!("{}ms", n / 1_000_000),
    }
}
