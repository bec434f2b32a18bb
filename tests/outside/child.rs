//! What is to happen in a forked child.

/// Runs `child` in a fork and gives whether it returned true. No panic may leave it: the parent's harness is there too.
pub(crate) fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `child` alone and leaves with `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    assert!(pid > 0);
    let mut status = -1;
    // SAFETY: Kernel's word: the status is one integer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}
