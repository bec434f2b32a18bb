//! A filter that answers system calls of this thread, and of the threads and processes that it makes, with an error.

/// Forbids the system calls with these `numbers`: they answer with `errno` from now on.
pub(crate) fn forbid(numbers: &[libc::c_long], errno: i32) -> std::io::Result<()> {
    let step = |code: u32, k: u32, jt: u8| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let mut filter = [step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0); 16];
    let last = numbers.len() + 2;
    assert!(last < filter.len());
    // The number of the call is the first field of `seccomp_data`.
    filter[0] = step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0);
    for (at, &number) in (1..).zip(numbers) {
        filter[at] = step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number as u32, (last - at - 1) as u8);
    }
    filter[last] = step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32, 0);
    let program = libc::sock_fprog { len: last as u16 + 1, filter: filter.as_mut_ptr() };
    // SAFETY: Plain call: no memory is named.
    let no_privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: Kernel's word: the program is read before the call returns.
    let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    if no_privileges == 0 && filtered == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
