//! A child that runs, or has ended.

use super::{
    output::{self, OutputLimits},
    pipes::{ChildStderr, ChildStdin, ChildStdout},
    reaper,
    watched::Watched,
};
use crate::signal::SignalKind;
use std::{
    io,
    process::{self, ExitStatus, Output},
};

/// A child. See the [module's documentation](super) for what becomes of one that is dropped.
#[derive(Debug)]
pub struct Child {
    /// The child's standard input, if it is a pipe. [`wait`](Child::wait) closes it.
    pub stdin: Option<ChildStdin>,
    /// The child's standard output, if it is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if it is a pipe.
    pub stderr: Option<ChildStderr>,
    /// `None` only while it is dropped.
    watched: Option<Watched>,
    kill_on_drop: bool,
}

impl Child {
    /// Takes over a child of `std` that nobody has waited for, with the pipes that it still has. It is not killed when
    /// it is dropped.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(child: process::Child) -> io::Result<Child> {
        Child::new(child, false)
    }

    pub(super) fn new(mut child: process::Child, kill_on_drop: bool) -> io::Result<Child> {
        let stdin = child.stdin.take().map(ChildStdin::from_std).transpose()?;
        let stdout = child.stdout.take().map(ChildStdout::from_std).transpose()?;
        let stderr = child.stderr.take().map(ChildStderr::from_std).transpose()?;
        Ok(Child { stdin, stdout, stderr, watched: Some(Watched::new(child)), kill_on_drop })
    }

    fn watched(&mut self) -> &mut Watched {
        self.watched.as_mut().expect("a child until it is dropped")
    }

    /// The child's process number, until its end was told: after that the number may be another process's.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.watched.as_ref().and_then(Watched::id)
    }

    /// Closes the child's standard input, and waits until the child has ended. Asked again, it says the same.
    ///
    /// A child that writes more than a pipe holds, and whose output nobody reads, does not end:
    /// [`wait_with_output`](Child::wait_with_output) reads it.
    ///
    /// # Errors
    /// `ECHILD` when somebody else has reaped the child.
    ///
    /// # Cancellation
    /// **Clean**, but for the input, which is closed.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.watched().wait().await
    }

    /// How the child has ended, if it has.
    ///
    /// # Errors
    /// `ECHILD` when somebody else has reaped the child.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.watched().try_wait()
    }

    /// Kills the child, and does not wait for its end. One that has ended already is none the worse.
    ///
    /// # Errors
    /// `EPERM` when the child has become somebody who may not be killed.
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.watched().signal(libc::SIGKILL)
    }

    /// Kills the child, and waits for its end.
    ///
    /// # Errors
    /// Those of [`start_kill`](Child::start_kill) and [`wait`](Child::wait).
    ///
    /// # Cancellation
    /// **Detached**: from its first poll on, the child is killed.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Sends a signal to the child, and to nobody else: no other process can have got its number. One that has ended
    /// already is sent nothing.
    ///
    /// # Errors
    /// `InvalidInput` for what is no signal, `EPERM` when the child has become somebody who may not be sent to.
    pub fn send_signal(&mut self, kind: SignalKind) -> io::Result<()> {
        self.watched().signal(kind.as_raw_value())
    }

    /// Closes the child's standard input, reads its other pipes to their ends, both at once, and waits for its end.
    /// What is no pipe is empty.
    ///
    /// A pipe ends when the last process that has it does: a child of the child may keep it.
    ///
    /// # Errors
    /// Those of reading and of [`wait`](Child::wait).
    ///
    /// # Cancellation
    /// **Lossy**: what was read is lost, and the child is dropped.
    pub async fn wait_with_output(self) -> io::Result<Output> {
        output::collect(self, OutputLimits::none()).await
    }

    /// [`wait_with_output`](Child::wait_with_output) for a child that is not trusted to stop: one that writes more than
    /// `limits` allow is killed.
    ///
    /// # Errors
    /// `FileTooLarge` for more output than that, and inside of it a [`LimitExceeded`](super::LimitExceeded) with what
    /// there was; those of [`wait_with_output`](Child::wait_with_output).
    ///
    /// # Cancellation
    /// **Lossy**: what was read is lost, and the child is dropped.
    pub async fn wait_with_limits(self, limits: OutputLimits) -> io::Result<Output> {
        output::collect(self, limits).await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut watched) = self.watched.take().filter(|watched| watched.id().is_some()) else { return };
        if self.kill_on_drop {
            let _ = watched.signal(libc::SIGKILL);
        }
        reaper::adopt(watched.into_inner());
    }
}
