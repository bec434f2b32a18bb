//! What is to happen in a forked child.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

/// Far more than a child needs, even one that is emulated on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `child` in a fork and says with which status it left. No panic may leave it: the parent's harness is there too.
///
/// A lock that another thread held at the fork is held in the child for ever, that of the standard error among them: a
/// child says nothing that is expected of it. One that does not end is killed, and a panic.
pub(crate) fn status_of(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `child` alone and leaves with `_exit`, or with another program.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or(99);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(status) };
    }
    assert!(pid > 0);
    let (begun, mut status) = (Instant::now(), -1);
    // SAFETY: Kernel's word: the status is one integer.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        if begun.elapsed() > LIMIT {
            // SAFETY: Plain call: the child is not waited for yet, so the number is its.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("the child does not end");
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert_ne!(status, -1, "somebody else has waited for the child");
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}

/// Runs `child` in a fork and says whether it returned true.
pub(crate) fn in_child(child: impl FnOnce() -> bool) -> bool {
    status_of(|| i32::from(!child())) == 0
}
