//! Every opcode of the kernel, carried out on a ring and compared with the system call that means the same.
//!
//! The table has one row for each. A row asks its opcode for at least one success and one error.
#![cfg(not(annulus_kqueue))] // there is no ring
#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[path = "opcodes/files.rs"]
mod files;
#[path = "opcodes/frame.rs"]
mod frame;
#[path = "opcodes/paths.rs"]
mod paths;
#[path = "opcodes/pipes.rs"]
mod pipes;
#[path = "opcodes/sockets.rs"]
mod sockets;
#[path = "opcodes/tables.rs"]
mod tables;
#[path = "opcodes/transfers.rs"]
mod transfers;
#[path = "opcodes/waits.rs"]
mod waits;

use annulus::{
    entry::{OPCODES, Opcode},
    ring::{BufGroup, Sqe},
};
use frame::{Outcome, Rig, Row};
use std::{
    collections::BTreeMap,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The rows, by topic.
const ROWS: &[&[Row]] =
    &[files::ROWS, paths::ROWS, pipes::ROWS, sockets::ROWS, tables::ROWS, transfers::ROWS, waits::ROWS];

/// Red when the table of opcodes says of one that it takes buffers of groups and it does not, or the other way round.
#[test]
fn groups_are_for_those_that_say_so() {
    let Some(mut rig) = Rig::or_skip("groups_are_for_those_that_say_so") else { return };
    // Those of 128 bytes are refused before they are asked, on a ring of 64.
    let fits = |opcode: &Opcode| !opcode.name().ends_with("128");
    for opcode in OPCODES.iter().filter(|opcode| fits(opcode) && rig.has(opcode.name())).collect::<Vec<_>>() {
        // Of no file and no group: whatever comes of it comes at once.
        let asks = Sqe { opcode: opcode.number, fd: -1, ..Sqe::default() }.buffer_select(BufGroup(999));
        let refused = rig.run(asks) == -libc::EOPNOTSUPP;
        let since = opcode.groups.filter(|&since| is_at_least(since));
        assert_eq!(refused, since.is_none(), "{}", opcode.name());
    }
}

/// Whether this kernel is one of at least this version.
fn is_at_least(version: &str) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let parts = |text: &str| {
        let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    };
    parts(release.trim()) >= parts(version)
}

/// Red when an opcode has no row or two, when one is answered otherwise than the system call, and when the kernel
/// refuses what it says that it can.
#[test]
fn every_opcode_is_carried_out_or_refused() {
    let rows: Vec<&Row> = ROWS.iter().copied().flatten().collect();
    let mut named: Vec<&str> = rows.iter().map(|row| row.op).collect();
    let mut known = annulus::sys::names::OPCODES.to_vec();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known, "each opcode has one row");
    let Some(mut rig) = Rig::or_skip("every_opcode_is_carried_out_or_refused") else { return };
    let mut outcomes = BTreeMap::new();
    for row in rows {
        let outcome = catch_unwind(AssertUnwindSafe(|| rig.outcome(row)));
        outcomes.insert(row.op, outcome);
        if outcomes[row.op].is_err() {
            // It may have left anything behind.
            rig = Rig::or_skip("every_opcode_is_carried_out_or_refused").expect("there was a ring before");
        }
    }
    let mut page = String::new();
    for (number, name) in annulus::sys::names::OPCODES.iter().enumerate() {
        let outcome = outcomes[name].as_ref().map_or_else(|_| "FAILED".into(), ToString::to_string);
        page += &format!("{number:>2} {name:<16} {outcome}\n");
    }
    let _ = std::io::stdout().write_all(page.as_bytes());
    assert!(outcomes.values().all(Result::is_ok), "\n{page}");
    let refused = outcomes.values().filter(|outcome| matches!(outcome, Ok(Outcome::Refused(_)))).count();
    assert!(refused < outcomes.len(), "a ring that carries out nothing");
}
