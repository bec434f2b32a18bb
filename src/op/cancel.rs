//! `io_uring_prep_cancel(3)`: `IORING_OP_ASYNC_CANCEL`, since Linux 5.5. For many operations at once.

use crate::driver::{Driver, Fd};

/// Asks for an early end of all operations that hold `fd` and are in flight in this runtime: each gives what it had
/// done, or `ECANCELED`. Returns how many were asked. Closes go on. A [splice](crate::op::splice()) counts by what it
/// writes to.
///
/// Each is cancelled by its own name, so none is that comes later, or that works on another file with the same number.
/// For one operation there is [`Submit::cancel`](crate::op::Submit::cancel).
///
/// # Panics
/// Outside of a runtime.
pub fn cancel(fd: &Fd) -> usize {
    let driver = driver();
    // Home: what is on the same place of this runtime's table is another file.
    if fd.is_known_to(&driver) { driver.cancel_where(Some(fd)) } else { 0 }
}

/// Asks for an early end of all operations that are in flight in this runtime, those of other tasks included. Returns
/// how many were asked. Closes go on.
///
/// # Panics
/// Outside of a runtime.
pub fn cancel_all() -> usize {
    driver().cancel_where(None)
}

fn driver() -> std::rc::Rc<Driver> {
    Driver::current().expect("annulus operations can be cancelled inside of a runtime only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::Interest,
        op,
        testing::{settle, socket_pair},
        time::timeout,
    };
    use std::{
        io::Write,
        os::fd::{AsRawFd, FromRawFd},
        time::Duration,
    };

    const SOON: Duration = Duration::from_secs(5);

    #[crate::test]
    async fn what_waits_on_a_descriptor_ends_and_nothing_else_does() {
        let ((a, _a), (b, mut peer)) = (socket_pair(), socket_pair());
        let receiving = crate::spawn(op::recv(&a, Vec::with_capacity(8)));
        let polling = crate::spawn(op::poll(&a, Interest::Read));
        let other = crate::spawn(op::recv(&b, Vec::with_capacity(8)));
        crate::yield_now().await;
        assert_eq!(cancel(&a), 2);
        let (received, _) = timeout(SOON, receiving).await.expect("the receive waits on").unwrap();
        assert_eq!(received.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        let polled = timeout(SOON, polling).await.expect("the poll waits on").unwrap();
        assert_eq!(polled.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        peer.write_all(b"alive").unwrap();
        assert_eq!(other.await.unwrap().1, b"alive");
        assert_eq!(cancel(&a), 0);
        settle().await;
    }

    #[crate::test]
    async fn everything_ends() {
        let (a, _b) = socket_pair();
        let receiving = crate::spawn(op::recv(&a, Vec::with_capacity(8)));
        let waiting = crate::spawn(op::timeout(Duration::from_secs(1000)));
        let mut stream = op::poll_multi(&a, Interest::Read);
        assert!(timeout(Duration::from_millis(1), stream.next()).await.is_err());
        assert_eq!(cancel_all(), 3);
        let ended = timeout(SOON, async { (receiving.await, waiting.await, stream.next().await.is_none()) });
        assert!(ended.await.expect("something waits on").2);
        assert_eq!(cancel_all(), 0);
    }

    /// Red when the number in an entry is taken for a descriptor: that of a SOCKET is a family.
    #[crate::test]
    async fn an_entry_that_only_looks_like_one_of_the_descriptor_goes_on() {
        let (_a, b) = socket_pair();
        // SAFETY: Plain call: a number, and from where to look for a free one.
        let number = unsafe { libc::fcntl(b.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 1000) };
        // SAFETY: Fresh descriptor: just made, and nobody else has it.
        let fd = unsafe { std::os::fd::OwnedFd::from_raw_fd(number) };
        let fd = Fd::new(fd);
        let mut making = op::socket(fd.as_raw_fd(), libc::SOCK_STREAM, 0);
        crate::testing::poll_once(&mut making).await;
        assert_eq!(cancel(&fd), 0);
    }
}
