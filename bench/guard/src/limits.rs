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
    /// What a value says, beside this row.
    pub fn judge(&self, value: f64, room: Room) -> Verdict {
        let (limit, is_exact) = match self.unit {
            Unit::Instructions if room.instructions => (self.limit * 1.15, false),
            Unit::Calls | Unit::Enters | Unit::Entries if room.calls => (self.limit * 1.5 + 1.0, false),
            _ => (self.limit, true),
        };
        if value > limit {
            Verdict::Passed
        } else if self.unit.is_far_below(value, self.measured) && is_exact {
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

/// What the counts depend on besides the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// What chose the instructions.
    pub compiler: String,
    /// The version of the C library, and the processor by which it chooses how to copy.
    pub libc: String,
    pub cpu: String,
    /// The kernel's version: an older one may need another call, or another entry.
    pub kernel: String,
}

/// What may be more than the limits say, because something differs from where they were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Room {
    pub instructions: bool,
    pub calls: bool,
}

impl Place {
    const KEYS: [&str; 4] = ["compiler", "libc", "cpu", "kernel"];

    fn values(&self) -> [&str; 4] {
        [&self.compiler, &self.libc, &self.cpu, &self.kernel]
    }

    fn parse(text: &str) -> Place {
        let value = |key: &str| {
            let of_key = |line: &str| Some(line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": ")?.to_owned());
            text.lines().find_map(of_key).unwrap_or_default()
        };
        let [compiler, libc, cpu, kernel] = Place::KEYS.map(value);
        Place { compiler, libc, cpu, kernel }
    }

    /// What differs from where the limits were measured, in words, and what may be more for it.
    pub fn beside(&self, limits: &Place) -> (Vec<String>, Room) {
        let differs: Vec<usize> = (0..4).filter(|&n| self.values()[n] != limits.values()[n]).collect();
        let words = |&n: &usize| {
            let more = if n == 3 {
                "calls, enters and entries may be half as many and one more"
            } else {
                "instructions may be 15 % more"
            };
            format!("the {} is {}, the limits are of {}: {more}", Place::KEYS[n], self.values()[n], limits.values()[n])
        };
        let room = Room { instructions: !differs.is_empty(), calls: differs.contains(&3) };
        (differs.iter().map(words).collect(), room)
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

/// Where a table was measured, and its rows.
pub fn parse(text: &str) -> Result<(Place, Vec<Row>), String> {
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
    Ok((Place::parse(text), rows.collect::<Result<_, _>>()?))
}

/// A table as it is committed.
pub fn table(place: &Place, rows: &[Row]) -> String {
    let lines = Place::KEYS.iter().zip(place.values()).map(|(key, value)| format!("# {key}: {value}\n"));
    let mut text = format!(
        "# What one operation costs, and what it may cost: bench/README.md says how to read it, and `.ci/guard --update`\n\
         # measures all of it again. Works are in guard/src/work.rs.\n\
         {}# name{}\n",
        lines.collect::<String>(),
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

    fn place(kernel: &str) -> Place {
        Place { compiler: "rustc 1".into(), libc: "2.39".into(), cpu: "A: B".into(), kernel: kernel.into() }
    }

    /// Red when limits of another machine are taken for this one's, or nothing is said of it.
    #[test]
    fn another_machine_has_more_room_and_says_so() {
        let (here, there) = (place("6.18"), place("5.15"));
        assert_eq!(here.beside(&here), (Vec::new(), Room::default()));
        let (words, room) = here.beside(&there);
        assert_eq!(room, Room { instructions: true, calls: true });
        assert!(words.len() == 1 && words[0].starts_with("the kernel is 6.18, the limits are of 5.15"), "{words:?}");
        let other = Place { cpu: "C".into(), ..here.clone() };
        assert_eq!(here.beside(&other).1, Room { instructions: true, calls: false });
        assert_eq!(row(Unit::Calls, 1.0).judge(2.5, room), Verdict::Held);
        assert_eq!(row(Unit::Calls, 1.0).judge(3.0, room), Verdict::Passed);
        assert_eq!(row(Unit::Allocations, 0.0).judge(1.0, room), Verdict::Passed);
    }

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let rows: Vec<Row> = Unit::ALL.iter().map(|&unit| row(unit, 12.25)).collect();
        let place = place("6.18");
        assert_eq!(parse(&table(&place, &rows)), Ok((place, rows)));
        assert!(parse("echo 1 2 apples").is_err());
    }

    #[test]
    fn what_grows_passes_and_what_shrinks_is_told() {
        let instructions = row(Unit::Instructions, 1000.0);
        for (value, verdict) in [(1000.0, Verdict::Held), (1040.0, Verdict::Passed), (900.0, Verdict::FarBelow)] {
            assert_eq!(instructions.judge(value, Room::default()), verdict, "{value}");
        }
        assert_eq!(instructions.judge(1100.0, Room { instructions: true, calls: false }), Verdict::Held);
        for unit in [Unit::Allocations, Unit::Calls, Unit::Enters, Unit::Entries] {
            assert_eq!(row(unit, 0.0).judge(0.1, Room::default()), Verdict::Passed, "one in ten operations");
            assert_eq!(row(unit, 1.0).judge(0.5, Room::default()), Verdict::FarBelow);
        }
    }
}
