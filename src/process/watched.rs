//! A child of `std`, and how to learn of its end without a thread.

use crate::{
    driver::Fd,
    op,
    signal::{SignalKind, signal},
    sys::unix,
};
use std::{
    io,
    os::fd::AsRawFd,
    process::{Child, ExitStatus},
};

/// A child that nobody else waits for.
///
/// **Unreaped**: until `status` is known nobody has reaped the child, and so its number is its own. All that goes
/// by the number asks for the status first.
#[derive(Debug)]
pub(super) struct Watched {
    child: Child,
    /// What stands for it. `None` where there is nothing like it: then SIGCHLD tells of its end.
    pidfd: Option<Fd>,
    status: Option<ExitStatus>,
}

impl Watched {
    pub(super) fn new(child: Child) -> Watched {
        // Whatever keeps us from having one (the system, a filter, no descriptors left): there is another way.
        let pidfd = unix::pidfd_open(child.id()).ok().map(Fd::new);
        Watched { child, pidfd, status: None }
    }

    /// The child itself.
    pub(super) fn into_inner(self) -> Child {
        self.child
    }

    /// Its number, until it was reaped.
    pub(super) fn id(&self) -> Option<u32> {
        self.status.is_none().then(|| self.child.id())
    }

    /// Reaps the child, if it has ended.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for the end, and reaps the child. Given up, it has taken nothing.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let waited = match (self.status, &self.pidfd) {
            (Some(status), _) => return Ok(status),
            (None, Some(pidfd)) => op::waitid(pidfd).await.map(drop),
            (None, None) => return self.wait_for_signal().await,
        };
        match self.try_wait()? {
            Some(status) => Ok(status),
            None => Err(waited.err().unwrap_or_else(|| io::Error::other("a child has ended, and cannot be reaped"))),
        }
    }

    async fn wait_for_signal(&mut self) -> io::Result<ExitStatus> {
        let mut changes = signal(SignalKind::child())?;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if changes.recv().await.is_none() {
                return Err(io::Error::from_raw_os_error(libc::ECANCELED));
            }
        }
    }

    /// Sends a signal, unless the child has ended.
    pub(super) fn signal(&mut self, signal: i32) -> io::Result<()> {
        match (self.try_wait()?, &self.pidfd) {
            (Some(_), _) => Ok(()),
            (None, Some(pidfd)) => unix::pidfd_signal(pidfd.as_raw_fd(), signal),
            // Unreaped: the number is still the child's, or its zombie's.
            (None, None) => unix::kill(self.child.id(), signal),
        }
    }
}
