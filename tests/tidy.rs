//! The rules of the house, as tests over the text of the sources.
//!
//! Each rule is a small function in `tests/tidy/`, beside the lists it goes by and a test that it finds what it should.
//! A rule's failure is one line per fault: `path:line: what`.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;

use source::{Fault, Source};
use std::{collections::HashMap, fs, path::Path, sync::LazyLock};

/// The room that brings a dependency.
const ROOMS: &[(&str, &str)] = &[
    ("slab", "src/driver"),
    ("memmap2", "src/ring"),
    ("bytes", "src/buf"),
    ("annulus-macros", "src/rt"),
    ("socket2", "src/net"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Everything that is written by hand, read once for all rules.
static EVERYTHING: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let folders = ["src", "tests", "examples", "benches", "macros/src", "macros/tests"];
    folders.iter().flat_map(|folder| source::all(root(), folder)).collect()
});

fn everything() -> &'static [Source] {
    &EVERYTHING
}

/// The part of it that users link.
fn library() -> &'static [Source] {
    &EVERYTHING[..EVERYTHING.iter().take_while(|source| source.is_in("src")).count()]
}

#[track_caller]
fn none(faults: impl IntoIterator<Item = Fault>) {
    let lines: Vec<String> =
        faults.into_iter().map(|fault| format!("{}:{}: {}", fault.path, fault.line, fault.what)).collect();
    assert!(lines.is_empty(), "{} faults\n{}", lines.len(), lines.join("\n"));
}

#[track_caller]
fn each<'a>(sources: impl IntoIterator<Item = &'a Source>, rule: impl Fn(&Source) -> Vec<Fault>) {
    let mut sources = sources.into_iter().peekable();
    assert!(sources.peek().is_some(), "no sources found");
    none(sources.flat_map(rule));
}

#[test]
fn a_room_imports_lower_floors_only() {
    each(library(), |source| floors::floors(source, floors::EXCEPTIONS));
    none(floors::needless_exceptions(library(), floors::EXCEPTIONS));
}

#[test]
fn systems_and_features_are_named_at_the_gates() {
    each(library(), rules::gates);
}

#[test]
fn functions_and_lines_fit_the_screen() {
    each(everything(), rules::long_functions);
    each(everything(), rules::long_lines);
}

#[test]
fn operations_have_their_header_and_tests() {
    let facts = fs::read_to_string(root().join("tests/data/uapi-facts.tsv")).expect("the list of facts");
    let rows = facts.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| row[0] == "op");
    let since: HashMap<String, String> = rows.map(|row| (row[1].into(), row[3].into())).collect();
    each(library(), |source| rules::operations(source, &since));
    let names: Vec<&str> = since.keys().filter_map(|name| name.strip_prefix("IORING_OP_")).collect();
    none(rules::constructors(library(), &names));
}

#[test]
fn what_is_awaited_says_how_it_is_cancelled() {
    each(library(), rules::cancellation);
}

#[test]
fn atomic_orderings_stand_in_few_files() {
    each(library(), rules::orderings);
}

#[test]
fn safety_is_argued_each_time() {
    none(rules::safety(library()));
}

#[test]
fn the_kernels_numbers_are_bindgens() {
    each(library(), rules::opcodes);
    each(library(), rules::bindgen_names);
    each(library(), rules::raw_syscalls);
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    none(rules::unused_dependencies(&manifest, library(), ROOMS));
    let build = Source::read(root(), "build.rs");
    assert!(build.code.contains("bindgen::"), "build.rs does not use bindgen");
}

#[test]
fn nothing_is_put_off() {
    // The macros' own tests write attributes that the house itself does without.
    each(everything().iter().filter(|source| !source.is_in("macros")), rules::banned);
}

#[test]
fn every_file_says_what_it_is_for() {
    each(everything(), rules::module_docs);
}

#[test]
fn every_example_is_in_the_readme() {
    let Ok(folder) = fs::read_dir(root().join("examples")) else { return };
    let names = folder.map(|entry| entry.expect("a readable folder").path());
    let is_example =
        |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists();
    let stem =
        |path: std::path::PathBuf| path.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 name").to_owned();
    let examples: Vec<String> = names.filter(is_example).map(stem).collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    none(rules::unnamed_examples(&readme, &examples));
}

/// Each trap has a test, and each behaviour of a ring, that is where the tables say.
#[test]
fn what_the_tables_name_is_there() {
    let table = |path: &str| everything().iter().find(|source| source.path == path).expect("the file with the table");
    let due: Vec<String> = (1..=32).filter(|n| ![17, 18, 19, 20, 25].contains(n)).map(|n| format!("T{n}")).collect();
    none(tables::tables(table("tests/ring/traps.rs"), &due, everything()));
    let due: Vec<String> = (1..=80).map(|n| n.to_string()).collect();
    none(tables::tables(table("tests/ring.rs"), &due, everything()));
}
