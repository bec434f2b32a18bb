//! What kqueue(2) does, as far as a driver may depend on it.
//!
//! On Linux the emulation is judged that the driver's tests run on; on macOS and FreeBSD the system itself, so that
//! `cargo test --test kqueue` there judges these tests.

#![cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]

#[path = "kqueue/changes.rs"]
mod changes;
#[path = "kqueue/descriptors.rs"]
mod descriptors;
#[path = "kqueue/itself.rs"]
mod itself;
#[path = "kqueue/system.rs"]
mod system;
#[path = "kqueue/things.rs"]
mod things;
#[path = "kqueue/timers.rs"]
mod timers;
#[path = "kqueue/user.rs"]
mod user;

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Tests that libkqueue is known to fail.
const LIBKQUEUE_FAILS: &[&str] = &[
    "a_disabled_knote_keeps_quiet_until_enabled",
    "a_change_that_fails_is_told_in_the_list",
    "receipts_come_at_once_and_alone",
    "the_end_is_told_with_what_is_left",
    "a_half_closed_connection_can_still_be_written",
    "a_listener_counts_its_backlog",
    "room_to_write_is_counted_and_waited_for",
    "a_timer_of_zero_fires_at_once",
    "a_kqueue_can_be_polled_and_nested",
    "close_takes_the_knotes_with_it",
    "a_number_that_came_back_has_no_knotes",
    "a_closed_kqueue_is_no_kqueue",
];

/// Runs a test, but does not mind if libkqueue fails one that it is known to fail.
fn forgiving(name: &str, test: impl FnOnce()) {
    assert!(LIBKQUEUE_FAILS.contains(&name), "{name} is not listed");
    let outcome = catch_unwind(AssertUnwindSafe(test));
    match outcome {
        Err(_) if system::LIBKQUEUE => {
            let _ = writeln!(std::io::stderr(), "SKIP {name}: libkqueue differs");
        }
        Err(panic) => resume_unwind(panic),
        Ok(()) => {}
    }
}
