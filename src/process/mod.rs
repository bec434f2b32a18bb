//! Processes: to start them, to talk to them, and to await their end.
//!
//! ```
//! use annulus::process::Command;
//!
//! # annulus::run(async {
//! let output = Command::new("echo").arg("hello").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"hello\n");
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # Starting
//! A [`Command`] is `std`'s, and starts its child where it is called: 0.1 ms, however large the process is. With
//! [`uid`](Command::uid), [`gid`](Command::gid) or [`pre_exec`](Command::pre_exec) the process has to be copied for it,
//! the tables of its memory at least: 0.2 ms for a small one, and with half a gigabyte between 60 and 400 ms. No thread
//! of the pool does it, because a child may be told to end with the thread that started it (`PR_SET_PDEATHSIG`), and
//! those end when they like. A child that `std` has started in [`spawn_blocking`](crate::spawn_blocking) can be taken
//! over by [`Child::from_std`].
//!
//! Children inherit no descriptor but those that they are given, the signals that are blocked on the thread that starts
//! them (annulus blocks none), and of the ignored ones only those that the program itself ignores. The ends of pipes
//! that they get are blocking ones.
//!
//! # Waiting
//! On Linux a child is waited for by a descriptor of its own (a pidfd), so no number can have become another process's;
//! elsewhere by SIGCHLD, which the program must not block in all its threads then. A wait takes nothing away: the child
//! is reaped when its end is told, and nobody else's child ever is. A program that ignores SIGCHLD has no children to
//! wait for: the kernel reaps them, and waiting gives `ECHILD`.
//!
//! # Letting go
//! A [`Child`] that is dropped runs on, unless [`Command::kill_on_drop`] says otherwise. It is reaped all the same,
//! also after the runtime's end: one thread, which is there only as long as such children are, waits for all of them.

mod child;
mod command;
mod output;
mod pipes;
mod reaper;
mod watched;

pub use child::Child;
pub use command::Command;
pub use output::{LimitExceeded, OutputLimits};
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};
pub use std::process::{ExitStatus, Output, Stdio};
