//! Cancelling from outside of the queue.

use crate::common::*;
use annulus::{
    entry::Interest,
    ring::{Cancel, FixedFile, Ring, SetupFlags, Sqe},
    sys,
};
use std::{
    io::{self, Write, pipe},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

/// Long enough for what ends at once.
const SOON: Duration = Duration::from_secs(1);

/// `n` polls for what does not come, on one socket, numbered from 0; or nothing where the kernel knows no such cancel.
fn polls(name: &str, flags: SetupFlags, n: u64) -> Option<(Ring, UnixStream, UnixStream)> {
    let mut ring = ring_or_skip(name, 8, flags)?;
    if os_error(ring.sync_cancel(Cancel::user_data(99), SOON)) == Some(libc::EINVAL) {
        return None; // before Linux 6.0
    }
    let (socket, peer) = UnixStream::pair().unwrap();
    for n in 0..n {
        push(&mut ring, Sqe::poll_add(socket.as_fd(), Interest::Read).user_data(n)).unwrap();
    }
    ring.submit().unwrap();
    Some((ring, socket, peer))
}

/// Whose end came, all of them cancelled.
fn cancelled(ring: &mut Ring) -> Vec<u64> {
    ring.submit().unwrap();
    let mut all: Vec<u64> = ring
        .completions()
        .map(|cqe| {
            assert_eq!(cqe.res, -libc::ECANCELED);
            cqe.user_data
        })
        .collect();
    all.sort_unstable();
    all
}

/// Red when the key, the descriptor or a flag is not handed on.
#[test]
fn requests_are_cancelled_by_what_they_are() {
    for flags in [SetupFlags::empty(), DEFER] {
        let Some((mut ring, socket, peer)) = polls("requests_are_cancelled", flags, 6) else { return };
        assert_eq!(os_error(ring.sync_cancel(Cancel::user_data(77), SOON)), Some(libc::ENOENT));
        assert_eq!(ring.sync_cancel(Cancel::user_data(3), SOON).unwrap(), 0);
        assert_eq!(cancelled(&mut ring), [3]);
        assert_eq!(os_error(ring.sync_cancel(Cancel::fd(peer.as_fd()), SOON)), Some(libc::ENOENT));
        // Of several, one: whichever it is.
        assert_eq!(ring.sync_cancel(Cancel::fd(socket.as_fd()), SOON).unwrap(), 0);
        assert_eq!(cancelled(&mut ring).len(), 1);
        match ring.sync_cancel(Cancel::opcode(sys::IORING_OP_READ as u8), SOON) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {} // before Linux 6.6
            other => {
                assert_eq!(os_error(other), Some(libc::ENOENT));
                assert_eq!(ring.sync_cancel(Cancel::opcode(sys::IORING_OP_POLL_ADD as u8), SOON).unwrap(), 0);
                assert_eq!(cancelled(&mut ring).len(), 1);
            }
        }
        let left = ring.sync_cancel(Cancel::fd(socket.as_fd()).all(), SOON).unwrap();
        assert!((3..=4).contains(&left));
        assert_eq!(cancelled(&mut ring).len(), left as usize);
        assert_eq!(ring.sync_cancel(Cancel::fd(socket.as_fd()).all(), SOON).unwrap(), 0);
    }
}

/// Red when it means one, or another place of the table.
#[test]
fn all_requests_are_cancelled_at_once() {
    let Some((mut ring, socket, _peer)) = polls("all_requests_are_cancelled", SetupFlags::empty(), 4) else { return };
    assert_eq!(ring.sync_cancel(Cancel::any(), SOON).unwrap(), 4);
    assert_eq!(cancelled(&mut ring), [0, 1, 2, 3]);
    let mut table = [-1, socket.as_raw_fd()];
    // SAFETY: two descriptors, which are read before the call returns.
    unsafe { ring.register(sys::IORING_REGISTER_FILES, table.as_mut_ptr().cast(), 2) }.unwrap();
    push(&mut ring, Sqe::poll_add(FixedFile(1), Interest::Read).user_data(5)).unwrap();
    ring.submit().unwrap();
    assert_eq!(os_error(ring.sync_cancel(Cancel::fd(FixedFile(0)), SOON)), Some(libc::EBADF));
    assert_eq!(ring.sync_cancel(Cancel::fd(FixedFile(1)), SOON).unwrap(), 0);
    assert_eq!(cancelled(&mut ring), [5]);
}

/// Where a worker is busy with a request, it is interrupted; on a ring that defers, its end is seen by nobody meanwhile
/// (some kernels), and the limit ends the wait. Red when the limit is not handed on.
#[test]
fn a_cancel_of_what_a_worker_does_ends() {
    for flags in [SetupFlags::empty(), DEFER] {
        let Some((mut ring, _socket, _peer)) = polls("a_cancel_of_what_a_worker_does", flags, 0) else { return };
        let (empty, mut filler) = pipe().unwrap();
        let (_sink, full) = pipe().unwrap();
        push(&mut ring, Sqe::splice((empty.as_fd(), u64::MAX), (full.as_fd(), u64::MAX), 1, 0)).unwrap();
        ring.submit().unwrap();
        std::thread::sleep(ms(20)); // the worker begins
        let start = Instant::now();
        let limit = if flags == DEFER { SOON } else { LONG };
        match ring.sync_cancel(Cancel::user_data(0), limit) {
            Ok(0) => {}
            // It may end between two looks at it.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            Err(e) => {
                let late = e.raw_os_error() == Some(libc::ETIME) || e.kind() == io::ErrorKind::TimedOut;
                assert!(late && flags == DEFER && start.elapsed() >= SOON, "{flags:?}: {e}");
            }
            Ok(n) => panic!("{n} were found"),
        }
        assert!(start.elapsed() < LONG / 2);
        // Should it not have been interrupted, this ends it.
        filler.write_all(b"x").unwrap();
        assert!(!ring.wait_timeout(1, Duration::from_secs(20)).unwrap().timed_out);
    }
}
