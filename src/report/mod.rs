//! What annulus finds on this machine: which driver runs and why, how each operation is performed, and what would
//! give more.
//!
//! Nothing is guessed: the report comes from the same ladder and the same choice that make a driver.

mod advice;
mod around;
mod machine;
mod opcodes;
mod refusal;
mod remedy;

use crate::{
    driver::{self, DriverInfo, DriverKind, Survey},
    entry::OPCODES,
    sys,
};
use advice::Advice;
use std::{env, fmt, io};

pub use crate::driver::{Attempt, Call, RingInfo};
pub use around::{Around, Finding};
pub use machine::{Label, Limit, Machine, Module, Seccomp};
pub use opcodes::OpcodeTable;
pub use refusal::Refusal;
pub use remedy::Remedy;

/// Looks at this machine as a runtime with the defaults would, `ANNULUS_DRIVER` and the like included. Needs no
/// runtime; a ring is made for a moment, also when the poll driver is asked for. Works on every kernel.
///
/// ```
/// let report = annulus::probe();
/// println!("{report}");
/// report.advice().iter().for_each(|line| println!("{line}"));
/// ```
#[must_use]
pub fn probe() -> Report {
    Report { survey: driver::survey(), machine: Machine::read() }
}

/// What [`probe`] found. Prints as a page of text.
#[derive(Debug)]
pub struct Report {
    survey: Survey,
    machine: Machine,
}

/// What the poll driver does without a twin: operations are cancelled by taking them out of their queue, and deadlines
/// are a wheel in user space.
const ITSELF: [u32; 2] = [sys::IORING_OP_ASYNC_CANCEL, sys::IORING_OP_TIMEOUT];

/// How an opcode is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// By the kernel's ring.
    Ring,
    /// By the ordinary system call that means the same.
    Twin,
    /// By annulus itself, without a system call for it.
    Driver,
    /// Not at all: the ring cannot, and annulus has no other way.
    Missing,
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Support::Ring => "ring",
            Support::Twin => "twin",
            Support::Driver => "driver",
            Support::Missing => "missing",
        })
    }
}

impl Report {
    /// The driver that a runtime with the defaults has here.
    ///
    /// # Errors
    /// Why there would be none: `ANNULUS_DRIVER` asks for one that cannot be had, or a variable means nothing.
    pub fn driver(&self) -> Result<&DriverInfo, &io::Error> {
        self.survey.driver.as_ref()
    }

    /// The ring that the kernel gives, whether or not the driver uses it.
    ///
    /// # Errors
    /// Why it gives none, and what to do about it.
    pub fn ring(&self) -> Result<&RingInfo, &io::Error> {
        self.survey.ring.as_ref()
    }

    /// Each setup that was asked for, in order, with the kernel's answer. Only the last can have been taken.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.survey.attempts
    }

    /// What stands around the ring: kernel, sysctls, limits.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// How the driver performs `opcode`, an `IORING_OP_*`.
    #[must_use]
    pub fn support(&self, opcode: u8) -> Support {
        match (self.driver(), self.ring()) {
            (Ok(driver), Ok(ring)) if driver.kind() == DriverKind::Uring && ring.supports(opcode) => Support::Ring,
            (Ok(driver), _) if driver.kind() == DriverKind::Poll && ITSELF.contains(&opcode.into()) => Support::Driver,
            (Ok(_), _) if has_twin(opcode) => Support::Twin,
            _ => Support::Missing,
        }
    }

    /// All opcodes that annulus knows by name, in the kernel's order.
    pub fn opcodes(&self) -> impl Iterator<Item = (&'static str, Support)> + '_ {
        OPCODES.iter().map(|opcode| (opcode.name(), self.support(opcode.number)))
    }

    /// A page with every opcode of the ring: since when there is it, whether this kernel has it, what stands in for it,
    /// and what it can. The table itself is [`entry::OPCODES`](crate::entry::OPCODES).
    ///
    /// ```
    /// print!("{}", annulus::probe().opcode_table());
    /// ```
    #[must_use]
    pub fn opcode_table(&self) -> OpcodeTable<'_> {
        OpcodeTable(self)
    }

    /// What to change to get more, one sentence each; nothing where there is nothing to gain.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        advice::advice(self).into_iter().map(|advice| advice.line).collect()
    }

    /// How to do what the advice says, where that takes more than its sentence: in the order of the advice, and only
    /// what applies here.
    #[must_use]
    pub fn remedies(&self) -> Vec<Remedy> {
        advice::advice(self).into_iter().filter_map(|advice| advice.remedy).collect()
    }

    /// What each of the three system calls of io_uring was answered: the last setup, and the other two for a descriptor
    /// that is no ring. Empty where nothing was asked, as on other systems than Linux.
    #[must_use]
    pub fn answers(&self) -> Vec<Call> {
        let Some(last) = self.attempts().last() else { return Vec::new() };
        let setup = Call::new("io_uring_setup", last.error.as_ref().map_or(Ok(()), Err));
        [setup].into_iter().chain(self.survey.calls.iter().copied()).collect()
    }

    /// Who refuses a ring, as far as that can be told. More than one where each of them alone would, or where one of
    /// them does and nothing tells which. Empty where there is a ring.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        refusal::refusals(self)
    }
}

fn has_twin(opcode: u8) -> bool {
    OPCODES.get(usize::from(opcode)).is_some_and(|opcode| opcode.twin.is_some())
}

/// One fact.
fn line(f: &mut fmt::Formatter<'_>, name: &str, fact: &dyn fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<10} {fact}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.driver() {
            Ok(info) => {
                line(f, "driver", info)?;
                meaning(info.kind(), env::consts::OS).map_or(Ok(()), |text| line(f, "means", &text))?;
            }
            Err(error) => line(f, "driver", &format_args!("none: {error}"))?,
        }
        self.machine.fmt(f)?;
        match self.ring() {
            Ok(ring) => {
                line(f, "ring", ring)?;
                line(f, "features", &driver::flag_names(ring.features))?;
            }
            Err(error) => line(f, "ring", &format_args!("none: {error}"))?,
        }
        self.attempts().iter().try_for_each(|attempt| line(f, "tried", attempt))?;
        if self.ring().is_err() {
            self.answers().iter().try_for_each(|call| line(f, "answer", call))?;
        }
        self.refusals().iter().try_for_each(|refusal| line(f, "refused by", refusal))?;
        writeln!(f)?;
        self.table(f)?;
        writeln!(f)?;
        self.suggestions(f)
    }
}

/// What a driver means for the program, where that is not what its name says.
fn meaning(kind: DriverKind, system: &str) -> Option<&'static str> {
    match (kind, system) {
        (DriverKind::Uring, _) => None,
        (DriverKind::Poll, "linux") => {
            Some("the program does the same by readiness: a system call for each operation, and threads for files")
        }
        (DriverKind::Poll, _) => {
            Some("kqueue, since io_uring is Linux's: a system call for each operation, and threads for files")
        }
    }
}

impl Report {
    /// The opcodes in three columns.
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<String> = self.opcodes().map(|(name, how)| format!("{name:<18} {how:<8}")).collect();
        let rows = cells.len().div_ceil(3);
        for row in 0..rows {
            let row: Vec<&str> = cells.iter().skip(row).step_by(rows).map(String::as_str).collect();
            writeln!(f, "{}", row.join("   ").trim_end())?;
        }
        Ok(())
    }

    /// The advice, and below it what to paste, by number.
    fn suggestions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = advice::advice(self);
        if all.is_empty() {
            line(f, "advice", &"nothing to change")?;
        }
        let mut number = 0;
        for Advice { line: text, remedy } in &all {
            number += usize::from(remedy.is_some());
            let see = remedy.as_ref().map_or_else(String::new, |_| format!(" [{number}]"));
            line(f, "advice", &format_args!("{text}{see}"))?;
        }
        let remedies = all.iter().filter_map(|advice| advice.remedy.as_ref());
        (1..).zip(remedies).try_for_each(|(number, remedy)| write!(f, "\n[{number}] {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_this_machine_is_consistent() {
        let report = probe();
        let text = report.to_string();
        for (name, how) in report.opcodes() {
            assert!(text.contains(&format!("{name:<18} {how}")), "{name} {how}\n{text}");
        }
        let table = text.lines().skip_while(|line| !line.is_empty()).skip(1).take_while(|line| !line.is_empty());
        assert!(table.into_iter().all(|row| row.len() < 60 || row[27..].starts_with("   ")), "{text}");
        let taken = report.attempts().iter().filter(|attempt| attempt.error.is_none()).count();
        match report.ring() {
            Ok(ring) => {
                let last = report.attempts().last().unwrap();
                assert_eq!((taken, last.error.is_none()), (1, true));
                assert_eq!(ring.flags, last.flags);
                assert!(text.contains(&format!("ring       {ring}\n")), "{text}");
            }
            Err(error) => assert!(text.contains(&format!("ring       none: {error}\n")), "{text}"),
        }
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let text = Machine::default().to_string();
        assert_eq!(text.matches(" unknown\n").count(), 8, "{text}");
        assert!(!text.contains("kernel.") && !text.contains("inside"), "{text}");
    }

    #[test]
    fn the_poll_driver_is_explained_and_the_ring_needs_no_words() {
        assert_eq!(meaning(DriverKind::Uring, "linux"), None);
        assert!(meaning(DriverKind::Poll, "linux").unwrap().contains("by readiness"));
        assert!(meaning(DriverKind::Poll, "macos").unwrap().starts_with("kqueue, since io_uring is Linux's"));
    }

    /// Without a filter, both calls reach a kernel that has io_uring; and one that gave a ring has it.
    #[test]
    fn the_calls_are_asked() {
        let report = probe();
        let answers = report.answers();
        if report.ring().is_ok() {
            let names: Vec<&str> = answers.iter().map(|call| call.name).collect();
            assert_eq!(names, ["io_uring_setup", "io_uring_enter", "io_uring_register"]);
            assert_eq!(
                answers.iter().map(|call| call.errno).collect::<Vec<_>>(),
                [0, libc::EOPNOTSUPP, libc::EOPNOTSUPP]
            );
            assert_eq!(report.refusals(), []);
        }
    }
}
