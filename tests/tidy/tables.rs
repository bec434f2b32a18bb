//! The tables that say where something is tested: each row is there, and so is what it names.

use crate::source::{Fault, Source, name};

/// The rows of the table in a file's documentation: where each stands, its first cell, and the names in its last.
fn rows(source: &Source) -> Vec<(usize, &str, Vec<&str>)> {
    let mut offset = 0;
    let mut rows = Vec::new();
    for line in source.text.split_inclusive('\n') {
        if let Some(row) = line.trim_end().strip_prefix("//! | ").and_then(|row| row.strip_suffix(" |")) {
            let (first, rest) = row.split_once(" | ").unwrap_or((row, ""));
            let last = rest.rsplit(" | ").next().unwrap_or("");
            rows.push((offset, first, last.split('`').skip(1).step_by(2).collect()));
        }
        offset += line.len();
    }
    rows.retain(|(_, first, _)| first.starts_with(|c: char| c.is_ascii_digit() || c == 'T'));
    rows
}

/// Rows whose first cells do not begin with all of `due`, in this order, and rows that name nothing that is there.
pub(crate) fn tables(source: &Source, due: &[String], sources: &[Source]) -> Vec<Fault> {
    let (rows, tests) = (rows(source), tests(sources));
    let begins = |cell: &str| cell.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("").to_owned();
    let mut faults = Vec::new();
    for number in due.iter().filter(|due| rows.iter().filter(|row| begins(row.1) == **due).count() != 1) {
        faults.push(source.fault(0, format!("not one row for {number}")));
    }
    for (at, first, names) in rows {
        if names.is_empty() {
            faults.push(source.fault(at, format!("{first} names no test")));
        }
        for name in names.into_iter().filter(|name| !is_there(name, sources, &tests)) {
            faults.push(source.fault(at, format!("{first} names {name}, which is not there")));
        }
    }
    faults
}

/// The file and the name of each test.
fn tests(sources: &[Source]) -> Vec<(&str, &str)> {
    const HEAD: &str = "#[test]\nfn ";
    let of = |source: &Source| source.code.match_indices(HEAD).map(|(at, _)| at + HEAD.len()).collect::<Vec<_>>();
    sources
        .iter()
        .flat_map(|source| of(source).into_iter().map(|at| (&*source.path, name(&source.code[at..]))))
        .collect()
}

/// Whether a name is a file's or a folder's, a room's of the tests of the ring, a test's of such a room
/// (`room::function`), or that of a test anywhere (`function`, or `function_*` for several).
fn is_there(name: &str, sources: &[Source], tests: &[(&str, &str)]) -> bool {
    if name.contains('/') {
        return sources.iter().any(|source| source.is_in(name));
    }
    let path = |room: &str| format!("tests/ring/{room}.rs");
    let is = |test: &str, function: &str| match function.strip_suffix('*') {
        Some(begin) => test.starts_with(begin),
        None => test == function,
    };
    match name.split_once("::") {
        Some((room, function)) => tests.iter().any(|(place, test)| *place == path(room) && is(test, function)),
        None => {
            let room = path(name);
            sources.iter().any(|source| source.path == room) || tests.iter().any(|(_, test)| is(test, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_whole_and_names_what_is_there() {
        let sources = [
            Source::new("tests/ring/waits.rs", "#[test]\nfn one() {}\n#[test]\nfn t02_two() {}"),
            Source::new(
                "tests/ring.rs",
                "//! | 1 | a | `waits::one` |\n//! | 2 | b | `t02_*`, `waits`, `tests/ring` |\n",
            ),
        ];
        let due = ["1", "2"].map(String::from);
        assert_eq!(tables(&sources[1], &due, &sources), []);
        let wrong =
            Source::new("t.rs", "//! | 1 | `one`\n//! | 2 | a | `on`, `tests/x.rs` |\n//! | 3 | c | nothing |\n");
        let faults = tables(&wrong, &due, &sources);
        let lines: Vec<_> = faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        let not_there = "which is not there";
        let due = [
            (1, "not one row for 1".to_owned()),
            (2, format!("2 names on, {not_there}")),
            (2, format!("2 names tests/x.rs, {not_there}")),
            (3, "3 names no test".to_owned()),
        ];
        assert!(lines.iter().copied().eq(due.iter().map(|(line, what)| (*line, what.as_str()))), "{lines:?}");
    }
}
