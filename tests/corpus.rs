//! Replays every file of the fuzz corpora through the hooks that the fuzz targets call.
#![cfg(not(annulus_kqueue))] // there is no ring

use annulus::ring::fake;
use std::{fs, path::Path};

/// Runs `hook` over the corpus of `target` and gives how many files there were.
fn replay(target: &str, hook: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    files.map(|file| hook(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn layout() {
    assert!(replay("layout", fake::layout) >= 5);
}

#[test]
fn cq_walk() {
    assert!(replay("cq_walk", fake::cq_walk) >= 5);
}
