//! Every opcode of the kernel, carried out on a ring and compared with the system call that means the same.
//!
//! The table has one row for each. A row asks its opcode for at least one success and one error.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "opcodes/files.rs"]
mod files;
#[path = "opcodes/frame.rs"]
mod frame;

use frame::{Outcome, Rig, Row};
use std::{
    collections::BTreeMap,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The rows, by topic.
const ROWS: &[&[Row]] = &[files::ROWS];

/// Opcodes without a row, and what they wait for.
const AWAITED: &[(&str, &str)] = &[
    ("READV", "not written"),
    ("WRITEV", "not written"),
    ("READ_FIXED", "not written"),
    ("WRITE_FIXED", "not written"),
    ("POLL_ADD", "not written"),
    ("POLL_REMOVE", "not written"),
    ("SYNC_FILE_RANGE", "not written"),
    ("SENDMSG", "not written"),
    ("RECVMSG", "not written"),
    ("TIMEOUT", "not written"),
    ("TIMEOUT_REMOVE", "not written"),
    ("ACCEPT", "not written"),
    ("ASYNC_CANCEL", "not written"),
    ("LINK_TIMEOUT", "not written"),
    ("CONNECT", "not written"),
    ("FALLOCATE", "not written"),
    ("OPENAT", "not written"),
    ("CLOSE", "not written"),
    ("FILES_UPDATE", "not written"),
    ("READ", "not written"),
    ("WRITE", "not written"),
    ("FADVISE", "not written"),
    ("MADVISE", "not written"),
    ("SEND", "not written"),
    ("RECV", "not written"),
    ("OPENAT2", "not written"),
    ("EPOLL_CTL", "not written"),
    ("SPLICE", "not written"),
    ("PROVIDE_BUFFERS", "not written"),
    ("REMOVE_BUFFERS", "not written"),
    ("TEE", "not written"),
    ("SHUTDOWN", "not written"),
    ("RENAMEAT", "not written"),
    ("UNLINKAT", "not written"),
    ("MKDIRAT", "not written"),
    ("SYMLINKAT", "not written"),
    ("LINKAT", "not written"),
    ("MSG_RING", "not written"),
    ("FSETXATTR", "not written"),
    ("SETXATTR", "not written"),
    ("FGETXATTR", "not written"),
    ("GETXATTR", "not written"),
    ("SOCKET", "not written"),
    ("URING_CMD", "not written"),
    ("SEND_ZC", "not written"),
    ("SENDMSG_ZC", "not written"),
    ("READ_MULTISHOT", "not written"),
    ("WAITID", "not written"),
    ("FUTEX_WAIT", "not written"),
    ("FUTEX_WAKE", "not written"),
    ("FUTEX_WAITV", "not written"),
    ("FIXED_FD_INSTALL", "not written"),
    ("FTRUNCATE", "not written"),
    ("BIND", "not written"),
    ("LISTEN", "not written"),
    ("RECV_ZC", "not written"),
    ("EPOLL_WAIT", "not written"),
    ("READV_FIXED", "not written"),
    ("WRITEV_FIXED", "not written"),
    ("PIPE", "not written"),
    ("NOP128", "not written"),
    ("URING_CMD128", "not written"),
];

/// Red when an opcode has no row or two, when one is answered otherwise than the system call, and when the kernel
/// refuses what it says that it can.
#[test]
fn every_opcode_is_carried_out_or_refused() {
    let rows: Vec<&Row> = ROWS.iter().copied().flatten().collect();
    let mut named: Vec<&str> = rows.iter().map(|row| row.op).chain(AWAITED.iter().map(|&(op, _)| op)).collect();
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
        let outcome = match (outcomes.get(name), AWAITED.iter().find(|(op, _)| op == name)) {
            (Some(Ok(outcome)), _) => outcome.to_string(),
            (Some(Err(_)), _) => "FAILED".into(),
            (None, Some((_, why))) => format!("no row: {why}"),
            (None, None) => unreachable!("each has a row"),
        };
        page += &format!("{number:>2} {name:<16} {outcome}\n");
    }
    let _ = std::io::stdout().write_all(page.as_bytes());
    assert!(outcomes.values().all(Result::is_ok), "\n{page}");
    let refused = outcomes.values().filter(|outcome| matches!(outcome, Ok(Outcome::Refused(_)))).count();
    assert!(refused < outcomes.len(), "a ring that carries out nothing");
}
