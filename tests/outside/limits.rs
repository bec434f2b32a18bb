//! The limits of this process.

/// Sets the soft limit of `what`, and gives what it was. What a `RLIMIT_*` and a limit are differs between systems.
#[allow(clippy::unnecessary_cast, reason = "limits are signed on FreeBSD")]
pub(crate) fn set_soft(what: impl TryInto<i32>, soft: u64) -> u64 {
    let what = what.try_into().ok().expect("a small number") as _;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: Kernel's word: `limit` is written before the call returns.
    assert_eq!(unsafe { libc::getrlimit(what, &mut limit) }, 0);
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max.min(soft as libc::rlim_t);
    // SAFETY: Kernel's word: the limit is read before the call returns.
    assert_eq!(unsafe { libc::setrlimit(what, &limit) }, 0);
    before as u64
}
