//! `waitid(2)`: `IORING_OP_WAITID`, since Linux 6.7. Waits until a child has ended; the twin waits for its pidfd.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Twin},
    op::{Op, Submit, submit},
    sys::{self, unix},
};
use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, RawFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
};

impl Sqe {
    /// Waits for a child: `which` (`P_PID`, `P_PIDFD`, …) says what its `id` is, and `options` (`WEXITED`, …) what for.
    /// What has happened is written to `info`, which is lent until the completion, unless that is null.
    ///
    /// *Result*: 0; with `WNOHANG` also when nothing has happened. `ECHILD` for no child of ours. *Since* Linux 6.7.
    /// *Cancel*: while it waits. *Twin*: `waitid(2)`, for a pidfd.
    #[must_use]
    pub fn waitid(which: u32, id: i32, info: *mut libc::siginfo_t, options: u32) -> Sqe {
        Sqe {
            opcode: sys::IORING_OP_WAITID as u8,
            fd: id,
            off: info as u64,
            len: which,
            file_index: options,
            ..Sqe::default()
        }
    }
}

static TWIN: Twin = Twin::ready(Interest::Read, call);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    // SAFETY: Lent: `off` is room for what is told of a child, and nobody else looks at it before completion.
    unsafe { unix::wait_pidfd(sqe.fd, sqe.off as *mut libc::siginfo_t, sqe.file_index) }
}

/// A wait for the end of a child, as an operation.
pub struct WaitId {
    pidfd: Fd,
    info: Box<MaybeUninit<libc::siginfo_t>>,
}

// SAFETY: Lent: `info` is boxed, so its address stays when the operation is moved, and `pidfd` holds the descriptor.
unsafe impl Op for WaitId {
    type Output = io::Result<ExitStatus>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    /// None that is direct: its place would be taken for a number. So what is asked for is -1, which is refused.
    fn fd(&self) -> Option<&Fd> {
        Some(&self.pidfd).filter(|pidfd| !pidfd.is_direct())
    }

    fn encode(&mut self) -> Sqe {
        let pidfd: RawFd = self.pidfd.as_raw_fd();
        Sqe::waitid(unix::WAIT_PIDFD, pidfd, self.info.as_mut_ptr(), unix::WAIT_PEEK)
    }

    fn finish(self, cqe: Cqe) -> io::Result<ExitStatus> {
        cqe.result()?;
        // SAFETY: Plain bytes: all-zero at first, and integers wherever somebody wrote to it since.
        let info = unsafe { self.info.assume_init_ref() };
        Ok(ExitStatus::from_raw(unix::wait_status(info)))
    }
}

impl std::fmt::Debug for WaitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitId").field("pidfd", &self.pidfd).finish_non_exhaustive()
    }
}

/// Waits until the child that `pidfd` stands for has ended, and tells how. It is not reaped: that is for whoever may,
/// with `waitid(2)` and without `WNOWAIT`, or with `waitpid(2)`.
///
/// # Errors
/// `ECHILD` when the process is no child of this one, or was reaped; `ENOSYS` where processes have no descriptors,
/// which is everywhere but on Linux; `EBADF` for what stands for no process, `EINVAL` for a
/// [direct](Fd::is_direct) descriptor, which never does.
///
/// # Cancellation
/// **Clean**: a child that has ended can be asked again, until it is reaped.
pub fn waitid(pidfd: &Fd) -> Submit<WaitId> {
    submit(WaitId { pidfd: pidfd.clone(), info: Box::new(MaybeUninit::zeroed()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::poll_once;
    use std::{
        io::Write,
        process::{Child, Command, Stdio},
    };

    /// A child that ends as `script` does when it was told a line, and its descriptor, where there are such.
    fn child(script: &str) -> Option<(Child, Fd)> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("read line; {script}")]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        match unix::pidfd_open(child.id()) {
            Ok(pidfd) => Some((child, Fd::new(pidfd))),
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIP waitid: {error}");
                drop(child.stdin.take());
                child.wait().unwrap();
                None
            }
        }
    }

    #[crate::test]
    async fn tells_how_a_child_has_ended_and_leaves_it_to_be_reaped() {
        for (script, code, signal) in
            [("exit 7", Some(7), None), ("kill -9 $$", None, Some(9)), ("true", Some(0), None)]
        {
            let Some((mut child, pidfd)) = child(script) else { return };
            let mut waiting = waitid(&pidfd);
            poll_once(&mut waiting).await;
            assert!(child.try_wait().unwrap().is_none());
            drop(child.stdin.take());
            let status = waiting.await.unwrap();
            assert_eq!((status.code(), status.signal()), (code, signal), "{script}");
            // Asked once more, it says the same.
            assert_eq!(waitid(&pidfd).await.unwrap(), status);
            assert_eq!(child.try_wait().unwrap(), Some(status), "it was not reaped");
            assert_eq!(waitid(&pidfd).await.unwrap_err().raw_os_error(), Some(libc::ECHILD));
        }
    }

    #[crate::test]
    async fn a_wait_can_be_given_up() {
        let Some((mut child, pidfd)) = child("exit 3") else { return };
        let mut waiting = waitid(&pidfd);
        poll_once(&mut waiting).await;
        waiting.cancel();
        assert_eq!(waiting.await.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        let mut dropped = waitid(&pidfd);
        poll_once(&mut dropped).await;
        drop(dropped);
        drop(child.stdin.take());
        assert_eq!(waitid(&pidfd).await.unwrap().code(), Some(3));
        child.wait().unwrap();
    }

    #[crate::test]
    async fn what_is_no_child_is_an_error() {
        if let Ok(own) = unix::pidfd_open(std::process::id()) {
            assert_eq!(waitid(&Fd::new(own)).await.unwrap_err().raw_os_error(), Some(libc::ECHILD));
        }
        let (reader, _writer) = io::pipe().unwrap();
        assert!(waitid(&Fd::new(reader.into())).await.is_err());
    }

    /// Red when the place of a direct descriptor is taken for the number of a process: of this one, which is no child.
    #[crate::test]
    async fn a_place_is_no_number() {
        let Ok(pidfd) = unix::pidfd_open(std::process::id()) else { return };
        let mut sockets = Vec::new();
        for _ in 0..=pidfd.as_raw_fd() {
            sockets.push(crate::op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0).await.unwrap());
        }
        for socket in &sockets {
            let error = waitid(socket).await.unwrap_err();
            assert!([Some(libc::EBADF), Some(libc::EINVAL)].contains(&error.raw_os_error()), "{error}");
        }
    }
}
