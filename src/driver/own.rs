//! The driver's own entries on the ring: cancelling, waiting for readiness, and watching.

use crate::{
    driver::{slots::Key, watched::EVENTS},
    entry::{Interest, Sqe},
    ring::Cancel,
};
use std::os::fd::RawFd;

/// `ASYNC_CANCEL` of one entry, since Linux 5.5. Its own completion tells nothing: the entry's does.
pub(super) fn cancel(key: Key) -> Sqe {
    Sqe::cancel(Cancel::user_data(key.user_data()))
}

/// `ASYNC_CANCEL` of everything in the ring, since Linux 5.19.
pub(super) fn cancel_all() -> Sqe {
    Sqe::cancel(Cancel::any().all())
}

/// A one-shot `POLL_ADD`, since Linux 5.1.
pub(super) fn wait_for(fd: RawFd, interest: Interest, key: Key) -> Sqe {
    Sqe::poll_add(fd, interest).user_data(key.user_data())
}

/// A multishot `POLL_ADD`, since Linux 5.13: of a watch.
pub(super) fn watch(fd: RawFd, key: Key) -> Sqe {
    Sqe::poll_multi(fd, EVENTS as u32).user_data(key.user_data())
}
