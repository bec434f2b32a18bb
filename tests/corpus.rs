//! Replays every file of the fuzz corpora through what the fuzz targets call.

#[path = "../fuzz/checks/http.rs"]
mod http;
#[cfg(not(annulus_kqueue))]
#[path = "../fuzz/checks/programs.rs"]
mod programs;
#[path = "../fuzz/checks/resp.rs"]
mod resp;

#[cfg(not(annulus_kqueue))] // elsewhere there is no ring
use annulus::ring::fake;
use annulus::sys::fake as messages;
#[cfg(not(annulus_kqueue))]
use std::io::{Write, stderr};
use std::{fs, path::Path};

/// Runs `hook` over the corpus of `target` and gives how many files there were.
fn replay(target: &str, hook: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    files.map(|file| hook(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[cfg(not(annulus_kqueue))]
#[test]
fn layout() {
    assert!(replay("layout", fake::layout) >= 5);
}

#[cfg(not(annulus_kqueue))]
#[test]
fn buf_ring() {
    assert!(replay("buf_ring", fake::buf_ring) >= 5);
}

#[cfg(not(annulus_kqueue))]
#[test]
fn queues() {
    assert!(replay("queues", fake::queues) >= 5);
}

#[test]
fn resp() {
    assert!(replay("resp", resp::check) >= 5);
}

#[test]
fn http() {
    assert!(replay("http", http::check) >= 5);
}

#[test]
fn control() {
    assert!(replay("control", messages::control) >= 5);
}

#[test]
fn recvmsg_out() {
    assert!(replay("recvmsg_out", messages::recvmsg_out) >= 5);
}

#[test]
fn sockaddr() {
    assert!(replay("sockaddr", messages::sockaddr) >= 5);
}

#[test]
fn statx() {
    assert!(replay("statx", messages::statx) >= 5);
}

#[cfg(not(annulus_kqueue))]
#[test]
fn programs() {
    if let Err(error) = annulus::ring::Ring::new(1) {
        return writeln!(stderr(), "SKIP programs: {error}").expect("a standard error");
    }
    assert!(replay("programs", programs::check) >= 5);
}
