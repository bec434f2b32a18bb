//! The limits of this process.

/// Sets the soft limit of `what`, and gives what it was.
pub(crate) fn set_soft(what: libc::__rlimit_resource_t, soft: u64) -> u64 {
    let mut limit = get(what);
    let before = limit.rlim_cur;
    limit.rlim_cur = soft.min(limit.rlim_max);
    // SAFETY: Kernel's word: the limit is read before the call returns.
    assert_eq!(unsafe { libc::setrlimit(what, &limit) }, 0);
    before
}

fn get(what: libc::__rlimit_resource_t) -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: Kernel's word: `limit` is written before the call returns.
    assert_eq!(unsafe { libc::getrlimit(what, &mut limit) }, 0);
    limit
}
