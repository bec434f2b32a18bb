//! A test that runs once more, alone in a process of its own: for whatever a whole process has only one of.

use std::{
    env,
    io::{self, Write},
    process::{Command, Output},
};

const ROLE: &str = "ANNULUS_TEST_ROLE";

/// What this process is to do, if it is such a second one.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// The process that runs `test` alone, in `role`.
pub(crate) fn again(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    for name in ["ANNULUS_DRIVER", "ANNULUS_SETUP", "ANNULUS_HIDE_OPS"] {
        command.env_remove(name);
    }
    command
}

/// Runs it; its one test must pass. What it wants to be skipped is handed on.
#[track_caller]
pub(crate) fn passes(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && out.contains("1 passed"), "{command:?}: {status}\n{out}\n{err}");
    for line in err.lines().filter(|line| line.starts_with("SKIP ")) {
        let _ = writeln!(io::stderr(), "{line}");
    }
    out.into_owned()
}
