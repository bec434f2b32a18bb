//! What is to be started, and how.

use super::{Child, OutputLimits};
use std::{
    ffi::OsStr,
    future::Future,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{self, ExitStatus, Output, Stdio},
};

/// A program to start, with what it is given: [`std::process::Command`], whose children are awaited.
#[derive(Debug)]
pub struct Command {
    std: process::Command,
    kill_on_drop: bool,
    /// What the program has said of the three streams.
    is_set: [bool; 3],
}

impl Command {
    /// Starts `program`, which is looked for in `PATH` if it has no slash, without arguments, with this process's
    /// environment, folder and streams.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command { std: process::Command::new(program), kill_on_drop: false, is_set: [false; 3] }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Command {
        self.std.args(args);
        self
    }

    /// What the program is told that its name is.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Command {
        self.std.envs(variables);
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    /// Takes everything out of the environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// The folder that the child starts in.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Command {
        self.std.current_dir(dir);
        self
    }

    /// What the child's standard input is: this process's, if nothing is said; nothing at all for
    /// [`output`](Command::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.std.stdin(stdin);
        self.is_set[0] = true;
        self
    }

    /// What the child's standard output is: this process's, if nothing is said; a pipe for [`output`](Command::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.std.stdout(stdout);
        self.is_set[1] = true;
        self
    }

    /// What the child's standard error is: this process's, if nothing is said; a pipe for [`output`](Command::output).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.std.stderr(stderr);
        self.is_set[2] = true;
        self
    }

    /// Kills the child when its [`Child`], or the future that has it, is dropped before its end was told.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.kill_on_drop = kill;
        self
    }

    /// Whom the child runs as.
    pub fn uid(&mut self, id: u32) -> &mut Command {
        self.std.uid(id);
        self
    }

    /// Which group the child runs as.
    pub fn gid(&mut self, id: u32) -> &mut Command {
        self.std.gid(id);
        self
    }

    /// The group of processes that the child is in: 0 for one of its own.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.std.process_group(group);
        self
    }

    /// Runs `f` in the child, after the fork and before the program. An error of it is the error of the start.
    ///
    /// # Safety
    /// As for [`std`'s](CommandExt::pre_exec): the child is a copy of this process with one thread, so `f` may do only
    /// what a signal handler may. The runtime is not to be used there.
    pub unsafe fn pre_exec(&mut self, f: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> &mut Command {
        // SAFETY: Plain call: what `f` may do is this function's contract, word for word.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// The command as `std` knows it.
    #[must_use]
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// Starts the child. The [module's documentation](super#starting) says what that takes.
    ///
    /// # Errors
    /// Of the kind that `std`'s would be, `NotFound` above all, with the program's name in the message.
    pub fn spawn(&mut self) -> io::Result<Child> {
        let child = self.std.spawn().map_err(|error| self.explain(&error))?;
        Child::new(child, self.kill_on_drop)
    }

    fn explain(&self, error: &io::Error) -> io::Error {
        let program = self.std.get_program().to_string_lossy();
        let place = self.std.get_current_dir().map(|dir| format!(" in `{}`", dir.display())).unwrap_or_default();
        io::Error::new(error.kind(), format!("`{program}` cannot be started{place}: {error}"))
    }

    /// Starts the child at once, and waits for its end.
    ///
    /// # Errors
    /// Those of [`spawn`](Command::spawn) and [`Child::wait`].
    ///
    /// # Cancellation
    /// **Detached**: a child that was started runs on, unless it is [killed](Command::kill_on_drop).
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async { child?.wait().await }
    }

    /// Starts the child at once, and waits for its end and for all that it writes. What was not [set](Command::stdout)
    /// is a pipe, and the input is empty.
    ///
    /// # Errors
    /// Those of [`spawn`](Command::spawn) and [`Child::wait_with_output`].
    ///
    /// # Cancellation
    /// **Detached**: a child that was started runs on, unless it is [killed](Command::kill_on_drop).
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        let child = self.spawn_piped();
        async { child?.wait_with_output().await }
    }

    /// [`output`](Command::output) of a child that is killed when it writes more than `limits` allow.
    ///
    /// # Errors
    /// Those of [`spawn`](Command::spawn) and [`Child::wait_with_limits`].
    ///
    /// # Cancellation
    /// **Detached**: a child that was started runs on, unless it is [killed](Command::kill_on_drop).
    pub fn output_with_limits(&mut self, limits: OutputLimits) -> impl Future<Output = io::Result<Output>> + use<> {
        let child = self.spawn_piped();
        async move { child?.wait_with_limits(limits).await }
    }

    /// Starts the child with pipes for what was not set, and leaves the command as it was.
    fn spawn_piped(&mut self) -> io::Result<Child> {
        self.set_others(Stdio::null, Stdio::piped);
        let child = self.spawn();
        self.set_others(Stdio::inherit, Stdio::inherit);
        child
    }

    /// Says of the streams what the program has not said.
    fn set_others(&mut self, stdin: fn() -> Stdio, others: fn() -> Stdio) {
        let [stdin_is_set, stdout_is_set, stderr_is_set] = self.is_set;
        if !stdin_is_set {
            self.std.stdin(stdin());
        }
        if !stdout_is_set {
            self.std.stdout(others());
        }
        if !stderr_is_set {
            self.std.stderr(others());
        }
    }
}

/// Takes over a command of `std`; what it says of its streams does not count for [`output`](Command::output).
impl From<process::Command> for Command {
    fn from(std: process::Command) -> Command {
        Command { std, kill_on_drop: false, is_set: [false; 3] }
    }
}
