//! Every opcode on one page: what the kernel says of it here, and what it can.

use super::Report;
use crate::entry::{OPCODES, Opcode};
use std::fmt;

/// All opcodes of the ring, one a line. Made by [`Report::opcode_table`].
#[derive(Clone, Copy, Debug)]
pub struct OpcodeTable<'a>(pub(super) &'a Report);

impl OpcodeTable<'_> {
    /// What the kernel says.
    fn here(&self, opcode: &Opcode) -> &'static str {
        match self.0.ring() {
            Ok(ring) if ring.supports(opcode.number) => "yes",
            Ok(_) => "no",
            Err(_) => "no ring",
        }
    }
}

/// The versions of Linux since when there is an opcode and each of its abilities, and below them what the columns are.
impl fmt::Display for OpcodeTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, cells: [&str; 9]| {
            let [number, name, since, here, twin, many, groups, registered, table] = cells;
            let abilities = format!("{many:<6} {groups:<6} {registered:<6} {table:<6}");
            let row = format!("{number:>2} {name:<16} {since:<5} {here:<7} {twin:<14} {abilities}");
            writeln!(f, "{}", row.trim_end())
        };
        line(f, ["", "opcode", "since", "here", "twin", "multi", "groups", "fixed", "table"])?;
        for opcode in &OPCODES {
            let cell = |text: Option<&'static str>| text.unwrap_or("-");
            let number = opcode.number.to_string();
            let [many, groups, registered, table] =
                [opcode.multishot, opcode.groups, opcode.registered, opcode.direct].map(cell);
            let here = self.here(opcode);
            line(f, [&number, opcode.name(), opcode.since, here, cell(opcode.twin), many, groups, registered, table])?;
        }
        f.write_str(
            "\nsince, multi, groups, fixed, table: the first Linux that has it, answers it many times, gives it\n\
             buffers of groups, lets it name registered ones, and puts what it opens into the table of files.\n\
             here: what this kernel says. twin: what does the same without a ring.\n",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Support;

    #[test]
    fn each_has_a_line_with_what_the_kernel_says() {
        let report = crate::probe();
        let page = report.opcode_table().to_string();
        assert!(page.lines().all(|line| line.len() <= 120 && !line.ends_with(' ')), "{page}");
        let rows: Vec<Vec<&str>> = page.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        for opcode in &OPCODES {
            let row = &rows[usize::from(opcode.number)];
            let said = match report.ring().map(|ring| ring.supports(opcode.number)) {
                Ok(true) => "yes",
                Ok(false) => "no",
                Err(_) => "no ring",
            };
            let begin = [&opcode.number.to_string(), opcode.name(), opcode.since, said].join(" ");
            assert!(row.join(" ").starts_with(&begin), "{begin}\n{page}");
        }
        // What the driver does by its ring is what the kernel says.
        let by_ring = report.opcodes().filter(|(_, how)| *how == Support::Ring).count();
        assert!(by_ring == 0 || by_ring == rows.iter().filter(|row| row.get(3) == Some(&"yes")).count(), "{page}");
    }
}
