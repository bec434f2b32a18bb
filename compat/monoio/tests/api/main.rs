//! Every public name of monoio is there, and every function of it is called, on both drivers.
//!
//! `inventory.tsv` says what there is. A function is named through [`call!`], which writes down that it was named where
//! it is called; every other name stands in `names.rs`. What is missing in the package does not compile, and what is
//! missing here, or in the inventory, fails the tests.

mod buf;
mod cancel;
mod fs;
mod io;
mod names;
mod net;
mod root;
mod time;
mod traits;

use std::{cell::RefCell, collections::BTreeSet, io::Write};

const INVENTORY: &str = include_str!("../../../inventory.tsv");

thread_local! {
    /// The functions that this thread has called.
    static CALLED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

fn called(name: &'static str) {
    CALLED.with_borrow_mut(|names| names.insert(name));
}

/// A function of monoio by its name, to be called at once. One that several types have under that name is given, too.
macro_rules! call {
    ($($name:ident)::+) => {
        call!($($name)::+ => monoio::$($name)::+)
    };
    ($($name:ident)::+ => $function:expr) => {{
        $crate::called(stringify!($($name)::+));
        $function
    }};
}
pub(crate) use call;

/// The names of the inventory of one kind, or of all kinds but those.
fn inventory(wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let rows = INVENTORY.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    rows.filter_map(|mut row| Some((row.next()?, row.next()?, row.next()?)))
        .filter(|(kind, _, feature)| wanted(kind) && (is_on(feature) || *kind == "feature"))
        .map(|(_, name, _)| name.to_owned())
        .collect()
}

/// Whether a name is there that wants this feature: most are always.
fn is_on(feature: &str) -> bool {
    let known = [("poll-io", cfg!(feature = "poll-io")), ("signal", cfg!(feature = "signal"))];
    known.iter().all(|(name, on)| *name != feature || *on)
}

/// Past the test harness, which hides what a passing test prints.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Red when a function of the inventory is not called, or one is called that is not in it.
fn all_are_called() {
    let called: BTreeSet<_> = CALLED.take().into_iter().map(|name| name.replace(' ', "")).collect();
    let wanted = inventory(|kind| kind == "fn");
    let missing: Vec<_> = wanted.difference(&called).collect();
    let unknown: Vec<_> = called.difference(&wanted).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not called: {missing:?}; not in the inventory: {unknown:?}");
    let driver = if monoio::utils::is_legacy() { "legacy" } else { "uring" };
    tell(&format!("{} functions of monoio were called on {driver}", wanted.len()));
}

#[monoio::test_all(enable_timer = true)]
async fn every_function_is_called() {
    root::all().await;
    buf::all();
    io::all().await;
    cancel::all().await;
    net::all().await;
    fs::all().await;
    time::all().await;
    all_are_called();
}

/// Red when a name of the inventory is not in the list that is compiled, or the other way around.
#[test]
fn every_name_is_there() {
    let here: BTreeSet<_> = names::NAMES.iter().map(|name| name.replace(' ', "")).collect();
    let kinds = ["attribute", "enum", "macro", "module", "struct", "trait", "type", "variant", "field", "uncallable"];
    let wanted = inventory(|kind| kinds.contains(&kind));
    assert_eq!(here, wanted);
    tell(&format!("{} names of monoio are there, besides its functions", here.len()));
}

/// Red when a row of the inventory is not in the list that is compiled, or the other way around.
#[test]
fn every_trait_is_implemented() {
    let bare = |row: &str| row.replace(char::is_whitespace, "");
    let here: BTreeSet<_> = traits::IMPLS.iter().copied().flatten().map(|row| bare(row)).collect();
    let wanted: BTreeSet<_> = inventory(|kind| kind == "impl").iter().map(|row| bare(row)).collect();
    assert_eq!(here, wanted);
    tell(&format!("{} implementations of traits are there", here.len()));
}

/// Red when a feature of monoio is not one of the package's.
#[test]
fn every_feature_is_there() {
    let manifest = include_str!("../../Cargo.toml");
    for feature in inventory(|kind| kind == "feature") {
        assert!(manifest.lines().any(|line| line.starts_with(&format!("{feature} = "))), "{feature}");
    }
}
