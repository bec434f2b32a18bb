//! A completion for somebody else's ring, from a thread that has none: `IORING_REGISTER_SEND_MSG_RING`.

use crate::{
    entry::Sqe,
    sys::{self, uring as calls},
};
use std::{io, os::fd::BorrowedFd};

/// Gives the ring `to` a completion with `user_data` and `result`, without a ring of one's own: from any thread, and
/// whatever the target's setup. It needs no cooperation; who waits for a completion there is woken. The result is for
/// the two to agree on. Since Linux 6.13; before, an entry on a ring can do it.
///
/// ```
/// use annulus::ring::{Ring, send_message};
/// use std::os::fd::AsFd;
/// # fn main() -> std::io::Result<()> {
/// # let Ok(mut ring) = Ring::new(8) else { return Ok(()) };
/// # if send_message(ring.fd().unwrap(), 0, 0).is_err() { return Ok(()) };
/// # ring.completions().for_each(drop);
/// let to = ring.fd().unwrap().try_clone_to_owned()?;
/// std::thread::spawn(move || send_message(to.as_fd(), 7, 40)).join().unwrap()?;
/// ring.submit_and_wait(1)?;
/// assert_eq!(ring.completions().next().map(|cqe| (cqe.user_data, cqe.res)), Some((7, 40)));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `EINVAL` or `EBADF` before Linux 6.13; `EBADFD` for what is no ring, and for a ring that is not enabled;
/// `EOVERFLOW` or `ENOMEM` when the completion could not be stored.
pub fn send_message(to: BorrowedFd<'_>, user_data: u64, result: i32) -> io::Result<()> {
    let mut sqe = Sqe::msg_ring(to, result, user_data);
    // SAFETY: Kernel's word: one entry, which is only read, and names no memory.
    unsafe { calls::register_nothing(sys::IORING_REGISTER_SEND_MSG_RING, (&raw mut sqe).cast(), 1) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Ring, SetupFlags};
    use std::{fs::File, io::Write, os::fd::AsFd, thread};

    /// Whatever the target's setup, whoever sends, and however small its queue. Red when the result is not told.
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
            if let Err(e) = send_message(fd.as_fd(), 0, 0) {
                return drop(writeln!(io::stderr(), "SKIP {NAME}: {e}"));
            }
            let many = 10 * u64::from(ring.cq_entries());
            let sender = thread::spawn(move || (1..=many).all(|n| send_message(fd.as_fd(), n, -(n as i32)).is_ok()));
            let mut seen = Vec::new();
            while seen.len() <= many as usize {
                ring.submit_and_wait(1).unwrap();
                seen.extend(ring.completions().map(|cqe| (cqe.user_data, cqe.res)));
            }
            assert!(sender.join().unwrap(), "a full queue refused a message");
            seen.sort_unstable();
            assert_eq!(seen, (0..=many).map(|n| (n, -(n as i32))).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_ring_gets_no_message() {
        let error = send_message(File::open("Cargo.toml").unwrap().as_fd(), 1, 0).unwrap_err();
        // The last two where there are no rings at all.
        let no = [libc::EBADFD, libc::EBADF, libc::EINVAL, libc::ENOSYS, libc::EPERM];
        assert!(error.raw_os_error().is_some_and(|errno| no.contains(&errno)), "{error}");
    }
}
