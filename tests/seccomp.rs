//! Where a seccomp filter forbids io_uring, as container runtimes do: the poll driver says why it runs, and whoever
//! insists on the ring is told why there is none.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "outside/example.rs"]
mod example;
#[path = "outside/forbid.rs"]
mod forbid;

use example::{Server, echo};
use forbid::forbid;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::process::CommandExt,
    process::Command,
};

/// The system calls of io_uring, which have one number on all architectures but alpha.
const SETUP: libc::c_long = libc::SYS_io_uring_setup;
const ENTER: libc::c_long = libc::SYS_io_uring_enter;
const REGISTER: libc::c_long = libc::SYS_io_uring_register;

/// Runs `command` under a filter that answers the system call `number` with `errno`.
fn deny(command: &mut Command, number: libc::c_long, errno: i32) -> &mut Command {
    // SAFETY: Plain call: between fork and exec only system calls are made, on values of the closure's own.
    unsafe { command.pre_exec(move || forbid(&[number], errno)) }
}

/// Some connections, open at the same time, each with more than fits one buffer of the server.
#[track_caller]
fn echoes(address: &str) {
    let texts: Vec<Vec<u8>> = (1..=20u8).map(|n| vec![n; 3000 * usize::from(n)]).collect();
    let mut streams: Vec<TcpStream> = texts.iter().map(|_| TcpStream::connect(address).unwrap()).collect();
    for (stream, text) in streams.iter_mut().zip(&texts) {
        stream.write_all(text).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    for (mut stream, text) in streams.into_iter().zip(texts) {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer == text, "{} bytes came back of {}", answer.len(), text.len());
    }
}

#[track_caller]
fn falls_back_with_a_reason(number: libc::c_long, errno: i32, words: [&str; 2]) {
    let mut server = Server::start(deny(echo().arg("127.0.0.1:0"), number, errno));
    assert!(server.driver.starts_with("poll (") && server.driver.ends_with(')'), "{}", server.driver);
    assert!(words.iter().all(|word| server.driver.contains(word)), "{}", server.driver);
    echoes(&server.address);
    assert_eq!(server.stop(), "", "a fallback is no complaint");
}

#[track_caller]
fn insisting_is_an_error(number: libc::c_long, errno: i32, words: [&str; 2]) {
    let mut command = echo();
    let output = deny(command.arg("127.0.0.1:0").env("ANNULUS_DRIVER", "uring"), number, errno).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{complaint}");
    assert!(complaint.contains("ANNULUS_DRIVER asks for the uring driver, but "), "{complaint}");
    assert!(words.iter().all(|word| complaint.contains(word)), "{complaint}");
    assert!(complaint.lines().count() == 1 && !complaint.contains("panicked"), "{complaint}");
}

#[test]
fn a_forbidden_ring_is_no_hindrance() {
    falls_back_with_a_reason(SETUP, libc::EPERM, ["EPERM", "seccomp"]);
    falls_back_with_a_reason(SETUP, libc::ENOSYS, ["ENOSYS", "seccomp"]);
}

#[test]
fn who_insists_on_a_forbidden_ring_is_told_why_there_is_none() {
    insisting_is_an_error(SETUP, libc::EPERM, ["EPERM", "sysctl"]);
    insisting_is_an_error(SETUP, libc::ENOSYS, ["ENOSYS", "seccomp"]);
}

/// Red when it is found out at the first wait, which ends the program.
#[test]
fn where_there_is_no_driver_at_all_a_runtime_is_an_error() {
    for (errno, name) in [(libc::EPERM, "not permitted"), (libc::ENOSYS, "not implemented")] {
        let mut command = echo();
        let command = command.arg("127.0.0.1:0").env("ANNULUS_DRIVER", "poll");
        let output = deny(command, libc::SYS_epoll_create1, errno).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{complaint}");
        assert!(complaint.contains("epoll_create1(2) is refused") && complaint.contains(name), "{complaint}");
        assert!(!complaint.contains("panicked"), "{complaint}");
    }
}

/// For the next test; by themselves they are two that pass.
#[annulus::test]
#[should_panic(expected = "as it should")]
async fn to_panic() {
    panic!("as it should")
}

#[annulus::test]
async fn to_pass() {}

/// Red when a test that is skipped fails, or counts as failed because it did not panic, or does not say why.
#[test]
fn without_a_ring_a_test_is_skipped_and_says_so() {
    for test in ["to_panic", "to_pass"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("{test}::uring"), "--nocapture"]);
        let output = deny(&mut command, SETUP, libc::EPERM).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed; 0 failed"), "{test}: {out}\n{err}");
        assert!(err.starts_with(&format!("SKIP seccomp::{test}::uring: ")) && err.contains("EPERM"), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

/// A filter may know one of the three calls and not the others.
#[test]
fn a_ring_that_is_forbidden_by_halves_is_none() {
    for number in [ENTER, REGISTER] {
        for (errno, name) in [(libc::EPERM, "EPERM"), (libc::ENOSYS, "ENOSYS")] {
            falls_back_with_a_reason(number, errno, [name, "seccomp"]);
            insisting_is_an_error(number, errno, [name, "seccomp"]);
        }
    }
}
