//! The table of limits: what a measurement found, and how much more it may become.

use std::fmt;

/// What is measured, of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// Instructions of the program and of the C library: whether a copy is a call or not, the compiler decides anew with
    /// each change of anything.
    Instructions,
    Allocations,
    /// System calls.
    Calls,
    /// Calls of `io_uring_enter(2)`.
    Enters,
    /// Entries given to the ring.
    Entries,
}

impl Unit {
    pub const ALL: [Unit; 5] = [Unit::Instructions, Unit::Allocations, Unit::Calls, Unit::Enters, Unit::Entries];

    fn name(self) -> &'static str {
        match self {
            Unit::Instructions => "instructions",
            Unit::Allocations => "allocations",
            Unit::Calls => "calls",
            Unit::Enters => "enters",
            Unit::Entries => "entries",
        }
    }

    /// The limit for what was measured. What is counted exactly has no more room than the one operation that happens
    /// to pay for many.
    pub fn limit(self, measured: f64) -> f64 {
        match self {
            Unit::Instructions => (measured * 1.03).max(measured + 3.0).ceil(),
            _ => (measured * 102.0 + 5.0).ceil() / 100.0,
        }
    }

    /// Whether this is so far below what was measured once that the limit has become useless.
    fn is_far_below(self, value: f64, measured: f64) -> bool {
        match self {
            Unit::Instructions => value < measured * 0.93 - 3.0,
            _ => value < measured * 0.95 - 0.05,
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The work and its driver.
    pub name: String,
    pub unit: Unit,
    pub measured: f64,
    pub limit: f64,
}

impl Row {
    /// What a value says, beside this row. `other_compiler` gives instructions more room.
    pub fn judge(&self, value: f64, other_compiler: bool) -> Verdict {
        let room = if other_compiler && self.unit == Unit::Instructions { 1.15 } else { 1.0 };
        if value > self.limit * room {
            Verdict::Passed
        } else if self.unit.is_far_below(value, self.measured) && room == 1.0 {
            Verdict::FarBelow
        } else {
            Verdict::Held
        }
    }

    /// In words, beside a value that is too much or far below.
    pub fn beside(&self, value: f64) -> String {
        let Row { name, unit, measured, limit } = self;
        let more =
            if *measured > 0.0 { format!(", {:+.1} %", value / measured * 100.0 - 100.0) } else { String::new() };
        format!("{name}: {value:.2} {}, the limit is {limit:.2}; it was {measured:.2}{more}", unit.name())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { name, unit, measured, limit } = self;
        write!(f, "{name:<14} {measured:>9.2} {limit:>9.2}  {}", unit.name())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Held,
    Passed,
    FarBelow,
}

impl Verdict {
    /// What stands behind a row.
    pub fn mark(self) -> &'static str {
        match self {
            Verdict::Held => "",
            Verdict::Passed => "  <-- too much",
            Verdict::FarBelow => "  <-- far below",
        }
    }
}

/// What stands above the rows.
pub const TITLE: &str = "name             measured     limit  unit";

const COMPILER: &str = "# compiler: ";

/// Compiler and rows of a table.
pub fn parse(text: &str) -> Result<(String, Vec<Row>), String> {
    let compiler = text.lines().find_map(|line| line.strip_prefix(COMPILER)).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        let row = (|| {
            Some(Row {
                name: words.next()?.to_owned(),
                measured: words.next()?.parse().ok()?,
                limit: words.next()?.parse().ok()?,
                unit: words.next().and_then(|word| Unit::ALL.into_iter().find(|unit| unit.name() == word))?,
            })
        })();
        row.ok_or_else(|| format!("not a limit: {line}"))
    });
    Ok((compiler.to_owned(), rows.collect::<Result<_, _>>()?))
}

/// A table as it is committed.
pub fn table(compiler: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "# What one operation costs, and what it may cost: bench/README.md says how to read it, and `.ci/guard --update`\n\
         # measures all of it again. Works are in guard/src/work.rs.\n\
         {COMPILER}{compiler}\n\
         # name{}\n",
        &TITLE["# name".len()..]
    );
    rows.iter().for_each(|row| text += &format!("{row}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, measured: f64) -> Row {
        Row { name: "echo/uring".into(), unit, measured, limit: unit.limit(measured) }
    }

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let rows: Vec<Row> = Unit::ALL.iter().map(|&unit| row(unit, 12.25)).collect();
        assert_eq!(parse(&table("rustc 1", &rows)), Ok(("rustc 1".into(), rows)));
        assert!(parse("echo 1 2 apples").is_err());
    }

    #[test]
    fn what_grows_passes_and_what_shrinks_is_told() {
        let instructions = row(Unit::Instructions, 1000.0);
        for (value, verdict) in [(1000.0, Verdict::Held), (1040.0, Verdict::Passed), (900.0, Verdict::FarBelow)] {
            assert_eq!(instructions.judge(value, false), verdict, "{value}");
        }
        assert_eq!(instructions.judge(1100.0, true), Verdict::Held);
        for unit in [Unit::Allocations, Unit::Calls, Unit::Enters, Unit::Entries] {
            assert_eq!(row(unit, 0.0).judge(0.1, true), Verdict::Passed, "one in ten operations");
            assert_eq!(row(unit, 1.0).judge(0.5, false), Verdict::FarBelow);
        }
    }
}
