//! A completion for somebody else's ring, from a thread that has none: `IORING_REGISTER_SEND_MSG_RING`.

use crate::{
    entry::Sqe,
    sys::{self, uring as calls},
};
use std::{io, os::fd::BorrowedFd};

/// Gives the ring `to` a completion with `user_data` and a result of 0. Since Linux 6.13.
///
/// # Errors
/// `EINVAL` or `EBADF` before Linux 6.13, `EBADFD` for what is no ring, `EOVERFLOW` or `ENOMEM` when the completion
/// could not be stored.
pub(crate) fn send_message(to: BorrowedFd<'_>, user_data: u64) -> io::Result<()> {
    let mut sqe = Sqe::msg_ring(to, 0, user_data);
    // SAFETY: Kernel's word: one entry, which is only read, and names no memory.
    unsafe { calls::register_nothing(sys::IORING_REGISTER_SEND_MSG_RING, (&raw mut sqe).cast(), 1) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Ring, SetupFlags};
    use std::{fs::File, io::Write, os::fd::AsFd, thread};

    /// Whatever the target's setup, whoever sends, and however small its queue.
    #[test]
    fn a_message_is_a_completion() {
        const NAME: &str = "a_message_is_a_completion";
        let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
        for flags in [SetupFlags::empty(), SetupFlags::COOP_TASKRUN, deferred] {
            let mut ring = match Ring::builder().flags(flags).build(1) {
                Ok(ring) => ring,
                Err(e) => return drop(writeln!(io::stderr(), "SKIP {NAME}: {e}")),
            };
            let fd = ring.fd().unwrap().try_clone_to_owned().unwrap();
            if let Err(e) = send_message(fd.as_fd(), 0) {
                return drop(writeln!(io::stderr(), "SKIP {NAME}: {e}"));
            }
            let many = 10 * u64::from(ring.cq_entries());
            let sender = thread::spawn(move || (1..=many).all(|n| send_message(fd.as_fd(), n).is_ok()));
            let mut seen = Vec::new();
            while seen.len() <= many as usize {
                ring.submit_and_wait(1).unwrap();
                seen.extend(ring.completions().map(|cqe| (cqe.user_data, cqe.res)));
            }
            assert!(sender.join().unwrap(), "a full queue refused a message");
            seen.sort_unstable();
            assert_eq!(seen, (0..=many).map(|n| (n, 0)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_ring_gets_no_message() {
        let error = send_message(File::open("Cargo.toml").unwrap().as_fd(), 1).unwrap_err();
        // The last two where there are no rings at all.
        let no = [libc::EBADFD, libc::EBADF, libc::EINVAL, libc::ENOSYS, libc::EPERM];
        assert!(error.raw_os_error().is_some_and(|errno| no.contains(&errno)), "{error}");
    }
}
