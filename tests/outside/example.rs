//! The example `echo` as a process of its own.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::OnceLock,
    time::SystemTime,
};

/// Variables that would choose for the child what the test wants to choose.
const CHOICES: [&str; 3] = ["ANNULUS_DRIVER", "ANNULUS_SETUP", "ANNULUS_HIDE_OPS"];

/// The example, which does not know where to listen yet.
pub(crate) fn echo() -> Command {
    let mut command = Command::new(path());
    for name in CHOICES {
        command.env_remove(name);
    }
    command
}

/// The built example. `cargo test` builds it with the tests; whoever builds this test alone has it built here.
fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let profile = test.parent().unwrap().parent().unwrap();
        let path = profile.join("examples/echo");
        let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo.rs");
        if time(&path) < time(&test).max(time(&source)) {
            build(profile);
        }
        path
    })
}

/// Builds the example where this test was built: `TARGET/[TRIPLE/]PROFILE`.
fn build(profile: &Path) {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--example", "echo"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if name(profile) == "release" {
        command.arg("--release");
    }
    let mut target = profile.parent().unwrap();
    if name(target).contains("-linux-") {
        command.args(["--target", &name(target)]);
        target = target.parent().unwrap();
    }
    assert!(command.env("CARGO_TARGET_DIR", target).status().unwrap().success(), "the example does not build");
}

/// A running `echo`, until dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) driver: String,
    pub(crate) address: String,
}

impl Server {
    /// Starts `command`, and reads the two lines that it begins with.
    pub(crate) fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server { child, out, driver: String::new(), address: String::new() };
        server.driver = server.line("driver: ");
        server.address = server.line("listening on ");
        server
    }

    fn line(&mut self, start: &str) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        match line.trim_end().strip_prefix(start) {
            Some(rest) => rest.to_owned(),
            None => panic!("`{line}` does not start with `{start}`; stderr: {}", self.stop()),
        }
    }

    /// Ends the server, and gives what it complained about.
    pub(crate) fn stop(&mut self) -> String {
        let mut complaints = String::new();
        let _ = self.child.kill();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut complaints).unwrap();
        }
        self.child.wait().unwrap();
        complaints
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
