//! An early end for whatever operations a future is made of.
//!
//! Who wants an operation to end early, and still wants its outcome, has to reach it inside of a future that may be
//! anybody's: a `read_exact`, a stream of TLS. So it is not the operation that is asked but the future that is polled,
//! in a place that says so: an operation that is polled there asks the driver to cancel it, and one that has not begun
//! does not begin. No list of operations is kept, and nothing is allocated.

use crate::op::Op;
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

// A number without a destructor.
thread_local!(static REASON: Cell<i32> = const { Cell::new(0) });

/// Why what is polled here is to end early: the error number of an operation that has done nothing yet. 0: it is not.
fn reason() -> i32 {
    REASON.get()
}

/// Why an operation that is polled here is to end early. 0: it is not.
pub(super) fn meant<T: Op>() -> i32 {
    if T::GOES_ON { 0 } else { reason() }
}

/// Whether what is polled here is to end early.
pub(crate) fn is_ending() -> bool {
    reason() != 0
}

/// Polls what is to end early. Operations that have done nothing answer with `errno`, others with what they have done.
pub(crate) fn end_early<R>(errno: i32, poll: impl FnOnce() -> R) -> R {
    struct Outer(i32);
    impl Drop for Outer {
        fn drop(&mut self) {
            REASON.set(self.0);
        }
    }
    let _outer = Outer(REASON.replace(errno));
    poll()
}

/// Polls what is not for the one alone who polls it, and has to go on.
pub(crate) fn go_on<R>(poll: impl FnOnce() -> R) -> R {
    end_early(0, poll)
}

/// Lets a future that is no operation end early, too: it is given up then.
///
/// # Errors
/// Why it is to end, if it is not ready.
pub(crate) async fn or_end<F: Future>(future: F) -> io::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Pending if is_ending() => Poll::Ready(Err(io::Error::from_raw_os_error(reason()))),
        polled => polled.map(Ok),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op,
        testing::{poll_once, settle, socket_pair},
    };
    use std::{future::pending, io::Write, panic, pin::Pin};

    /// Polls a future that is to end early until it is ready.
    async fn ended<F: Future>(errno: i32, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| end_early(errno, || future.as_mut().poll(cx))).await
    }

    /// Red when an operation begins all the same.
    #[crate::test]
    async fn what_has_not_begun_does_not_begin() {
        let (a, mut b) = socket_pair();
        b.write_all(b"there").unwrap();
        let (res, buf) = ended(libc::ETIMEDOUT, op::recv(&a, Vec::with_capacity(8))).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf.len(), buf.capacity()), (Some(libc::ETIMEDOUT), 0, 8));
        assert_eq!(op::recv(&a, buf).await.1, b"there");
    }

    /// Red when an operation is not cancelled, or says why by another number.
    #[crate::test]
    async fn what_waits_ends_and_gives_its_buffer_back() {
        let (a, mut b) = socket_pair();
        for errno in [libc::ECANCELED, libc::ETIMEDOUT] {
            let mut receiving = Box::pin(op::recv(&a, Vec::with_capacity(8)));
            poll_once(&mut receiving).await;
            let (res, buf) = ended(errno, receiving).await;
            assert_eq!((res.unwrap_err().raw_os_error(), buf.capacity()), (Some(errno), 8));
        }
        b.write_all(b"kept").unwrap();
        assert_eq!(op::recv(&a, Vec::with_capacity(8)).await.1, b"kept");
        settle().await;
    }

    /// Red when an end that comes too late takes what had arrived.
    #[crate::test]
    async fn what_was_done_counts() {
        let (a, mut b) = socket_pair();
        let mut receiving = Box::pin(op::recv(&a, Vec::with_capacity(8)));
        poll_once(&mut receiving).await;
        b.write_all(b"done").unwrap();
        crate::time::sleep(std::time::Duration::from_millis(2)).await;
        let (n, buf) = ended(libc::ETIMEDOUT, receiving).await;
        assert_eq!((n.unwrap(), &buf[..]), (4, &b"done"[..]));
    }

    /// Red when the place outlives the poll.
    #[test]
    fn the_place_is_left_behind_even_by_a_panic() {
        end_early(1, || {
            end_early(2, || assert_eq!(reason(), 2));
            assert_eq!(reason(), 1);
            panic::catch_unwind(|| end_early(3, || panic!("on purpose"))).unwrap_err();
            assert!(reason() == 1 && is_ending());
        });
        assert!(!is_ending());
    }

    #[crate::test]
    async fn what_is_no_operation_is_given_up() {
        assert_eq!(or_end(async { 7 }).await.unwrap(), 7);
        let given_up = ended(libc::ETIMEDOUT, or_end(pending::<()>())).await;
        assert_eq!(given_up.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let ready = ended(libc::ETIMEDOUT, or_end(async { 7 })).await;
        assert_eq!(ready.unwrap(), 7, "it was ready in time");
    }

    /// Red when the number stays open, or the kernel's is closed twice.
    #[crate::test]
    async fn a_close_goes_on() {
        let (a, mut b) = socket_pair();
        ended(libc::ETIMEDOUT, op::close(a).unwrap()).await.unwrap();
        assert_eq!(std::io::Read::read(&mut b, &mut [0]).unwrap(), 0, "it is still open");
    }

    /// Red when a wait for a signal, which one operation serves for all, turns round and round, or hears nothing after.
    #[crate::test]
    async fn a_signal_is_waited_for_all_the_same() {
        // The test of the other driver runs in the same process, so it has another one.
        let signal = if crate::driver().kind() == crate::DriverKind::Uring { libc::SIGWINCH } else { libc::SIGCONT };
        let mut changes = crate::signal::signal(crate::signal::SignalKind::from_raw(signal)).unwrap();
        {
            let mut waiting = pin!(changes.recv());
            for errno in [libc::ETIMEDOUT, libc::ECANCELED] {
                let polled = poll_fn(|cx| Poll::Ready(end_early(errno, || waiting.as_mut().poll(cx)))).await;
                assert!(polled.is_pending());
            }
        }
        crate::sys::unix::kill(std::process::id(), signal).unwrap();
        let heard = crate::time::timeout(std::time::Duration::from_secs(5), changes.recv()).await;
        assert_eq!(heard, Ok(Some(())));
    }

    /// The task next to it goes on.
    #[crate::test]
    async fn other_tasks_are_not_meant() {
        let ((a, mut b), (c, _d)) = (socket_pair(), socket_pair());
        let other = crate::spawn(op::recv(&a, Vec::with_capacity(8)));
        crate::yield_now().await;
        let mut receiving = op::recv(&c, Vec::with_capacity(8));
        poll_once(&mut receiving).await;
        ended(libc::ECANCELED, Pin::new(&mut receiving)).await.0.unwrap_err();
        b.write_all(b"other").unwrap();
        assert_eq!(other.await.unwrap().1, b"other");
    }
}
