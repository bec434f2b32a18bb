//! What annulus finds on this machine: which driver runs and why, how each operation is performed, and what would
//! give more.
//!
//! Nothing is guessed: the report comes from the same ladder and the same choice that make a driver.

mod advice;
mod machine;

use crate::{
    driver::{self, DriverInfo, DriverKind, Survey},
    op::TWINS,
    sys::names::OPCODES,
};
use std::{fmt, io};

pub use crate::driver::{Attempt, RingInfo};
pub use machine::{Limit, Machine, Seccomp};

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

/// How an opcode is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// By the kernel's ring.
    Ring,
    /// By the ordinary system call that means the same.
    Twin,
    /// Not at all: the ring cannot, and annulus has no other way.
    Missing,
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Support::Ring => "ring",
            Support::Twin => "twin",
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
            (Ok(_), _) if TWINS.contains(&opcode.into()) => Support::Twin,
            _ => Support::Missing,
        }
    }

    /// All opcodes that annulus knows by name, in the kernel's order.
    pub fn opcodes(&self) -> impl Iterator<Item = (&'static str, Support)> + '_ {
        (0..=u8::MAX).zip(OPCODES).map(|(opcode, name)| (name, self.support(opcode)))
    }

    /// What to change to get more, one sentence each; nothing where there is nothing to gain.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        advice::advice(self)
    }
}

/// One fact.
fn line(f: &mut fmt::Formatter<'_>, name: &str, fact: &dyn fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<10} {fact}")
}

/// A fact, or that it is not known.
fn known(f: &mut fmt::Formatter<'_>, name: &str, fact: Option<impl fmt::Display>) -> fmt::Result {
    match fact {
        Some(fact) => line(f, name, &fact),
        None => line(f, name, &"unknown"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.driver() {
            Ok(info) => line(f, "driver", info)?,
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
        writeln!(f)?;
        self.table(f)?;
        writeln!(f)?;
        match self.advice() {
            none if none.is_empty() => line(f, "advice", &"nothing to change"),
            advice => advice.iter().try_for_each(|advice| line(f, "advice", advice)),
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
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        known(f, "kernel", self.kernel.as_ref())?;
        let sysctl = |name: &str, value: Option<i64>| value.map(|n| format!("kernel.{name} = {n}"));
        known(f, "sysctl", sysctl("io_uring_disabled", self.io_uring_disabled.map(i64::from)))?;
        known(f, "sysctl", sysctl("io_uring_group", self.io_uring_group))?;
        known(f, "seccomp", self.seccomp)?;
        known(f, "memlock", self.memlock)?;
        known(f, "nofile", self.nofile)?;
        self.environment.iter().try_for_each(|(name, value)| line(f, "set", &format_args!("{name}={value}")))
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
        assert_eq!(text.matches(" unknown\n").count(), 6, "{text}");
        assert!(!text.contains("kernel."), "{text}");
    }
}
