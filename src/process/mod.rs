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
//! A [`Command`] is `std`'s, and starts its child where it is called: that takes as long as the child needs to come as
//! far as its program (about a millisecond, more for a large process that sets `uid`, `gid` or [`Command::pre_exec`],
//! and as long as the file system takes to find the program). No thread of the pool does it: a child may be told to end
//! with the thread that started it (`PR_SET_PDEATHSIG`), and a thread of the pool ends when it likes.
//!
//! Children inherit no descriptor but those that they are given, no blocked signals, and of the ignored ones only those
//! that the program itself ignores. The ends of pipes that they get are blocking ones.
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
