//! The examples, run as they are: `cargo test` builds them beside the tests.

// What they say about rings, where there are any.
#[cfg(not(annulus_kqueue))]
#[path = "examples/forbidden.rs"]
mod forbidden;
#[path = "examples/http.rs"]
mod http;
#[path = "examples/proxy.rs"]
mod proxy;
#[path = "examples/resp.rs"]
mod resp;
#[path = "examples/server.rs"]
mod server;
#[path = "examples/shards.rs"]
mod shards;
#[path = "examples/top.rs"]
mod top;
#[path = "examples/udp_echo.rs"]
mod udp_echo;

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write, stderr},
    path::PathBuf,
    process::{self, Command, Output, Stdio},
};

/// An example, with nothing set that would change what it does.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a path of this test");
    let path = test.ancestors().nth(2).expect("the profile's folder").join("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples` first", path.display());
    let mut command = Command::new(path);
    for name in ["ANNULUS_DRIVER", "ANNULUS_SETUP", "ANNULUS_HIDE_OPS"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs `name` on each driver that there is.
fn on_both_drivers(test: &str, name: &str, run: impl Fn(&str, Command)) {
    for driver in ["uring", "poll"] {
        let refusal = match (driver, annulus::probe().ring()) {
            ("uring", Err(error)) => Some(error.to_string()),
            _ => None,
        };
        match refusal {
            Some(why) => writeln!(stderr(), "SKIP {test}: {why}").expect("a standard error"),
            None => {
                let mut command = example(name);
                command.env("ANNULUS_DRIVER", driver);
                run(driver, command);
            }
        }
    }
}

fn output(command: &mut Command) -> (String, String, Option<i32>) {
    let Output { status, stdout, stderr } = command.output().expect("a child");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code())
}

/// A file that is gone when the test is.
struct Temp(PathBuf);

impl Temp {
    /// `len` bytes that repeat at no power of two.
    fn new(name: &str, len: usize) -> (Temp, Vec<u8>) {
        let path = std::env::temp_dir().join(format!("annulus-examples-{name}-{}", process::id()));
        let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &bytes).expect("a file");
        (Temp(path), bytes)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn cat_copies_files() {
    let (file, bytes) = Temp::new("copies", 3 << 20);
    let (small, few) = Temp::new("small", 3);
    on_both_drivers("cat_copies_files", "cat", |driver, mut cat| {
        let out = cat.arg(&file.0).arg(&small.0).output().expect("a child");
        assert_eq!((out.status.code(), out.stderr), (Some(0), Vec::new()), "{driver}");
        assert!(out.stdout == [&bytes[..], &few].concat(), "{driver}: {} bytes came through", out.stdout.len());
    });
}

#[test]
fn cat_writes_where_the_output_stands() {
    let (file, bytes) = Temp::new("source", 300_000);
    on_both_drivers("cat_writes_where_the_output_stands", "cat", |driver, mut cat| {
        let (target, head) = Temp::new(&format!("target-{driver}"), 5);
        let mut open = fs::File::options().write(true).open(&target.0).expect("a file");
        open.seek(SeekFrom::End(0)).expect("a place");
        let status = cat.arg(&file.0).stdout(open).status().expect("a child");
        assert!(status.success(), "{driver}");
        assert!(fs::read(&target.0).expect("the copy") == [&head[..], &bytes].concat(), "{driver}");
    });
}

#[test]
fn cat_names_what_is_missing_and_goes_on() {
    let (small, few) = Temp::new("goes-on", 3);
    on_both_drivers("cat_names_what_is_missing_and_goes_on", "cat", |driver, mut cat| {
        let out = output(cat.arg("/no/such/file").arg("/").arg(&small.0));
        let lines: Vec<&str> = out.1.lines().collect();
        assert_eq!((out.0.as_bytes(), out.2, lines.len()), (&few[..], Some(1), 2), "{driver}: {out:?}");
        assert!(lines[0].starts_with("cat: /no/such/file: No such file"), "{driver}: {out:?}");
        assert!(lines[1].starts_with("cat: /: Is a directory"), "{driver}: {out:?}");
    });
}

#[test]
fn cat_ends_in_peace_when_nobody_reads() {
    let (file, _) = Temp::new("unread", 3 << 20);
    on_both_drivers("cat_ends_in_peace_when_nobody_reads", "cat", |driver, mut cat| {
        let mut child = cat.arg(&file.0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("a byte");
        drop(stdout);
        let out = child.wait_with_output().expect("an end");
        assert_eq!((out.status.code(), out.stderr), (Some(0), Vec::new()), "{driver}");
    });
}

#[test]
fn doctor_names_the_driver_and_every_opcode() {
    on_both_drivers("doctor_names_the_driver_and_every_opcode", "doctor", |driver, mut doctor| {
        let (text, errors, code) = output(&mut doctor);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
        let first = match driver {
            "poll" => "driver     poll (ANNULUS_DRIVER asks for it)",
            other => &format!("driver     {other}"),
        };
        assert_eq!(text.lines().next(), Some(first), "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        for name in annulus::sys::names::OPCODES {
            let how = words
                .windows(2)
                .find(|pair| pair[0] == name && ["ring", "twin", "driver", "missing"].contains(&pair[1]));
            let how = how.unwrap_or_else(|| panic!("{name} is not in\n{text}"))[1];
            assert!(driver == "uring" || how != "ring", "{name} on a ring that is not used\n{text}");
        }
    });
}

/// Red when an opcode is not on the page, or a word is taken for nothing.
#[test]
fn doctor_prints_a_page_of_opcodes() {
    let (text, errors, code) = output(example("doctor").arg("--opcodes"));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    for opcode in &annulus::entry::OPCODES {
        let begin = format!("{:>2} {:<16} {} ", opcode.number, opcode.name(), opcode.since);
        assert!(text.lines().any(|line| line.starts_with(&begin)), "{begin} is not in\n{text}");
    }
    let (_, errors, code) = output(example("doctor").arg("--opcode"));
    assert!(code == Some(1) && errors.contains("--opcode is not known: there is --opcodes"), "{errors}");
}

#[test]
fn doctor_tells_what_is_wrong_and_succeeds() {
    let (text, _, code) = output(example("doctor").env("ANNULUS_DRIVER", "kqueue"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("driver     none: ANNULUS_DRIVER is `kqueue`"), "{text}");
    let (text, _, code) = output(example("doctor").env("ANNULUS_SETUP", "best"));
    assert_eq!(code, Some(0), "{text}");
    // Without io_uring, nobody asks how a ring is to be set up.
    assert!(cfg!(annulus_kqueue) || text.starts_with("driver     none: ANNULUS_SETUP is \"best\""), "{text}");
}

#[cfg(not(annulus_kqueue))]
#[test]
fn ring_prints_a_file() {
    if let Err(error) = annulus::probe().ring() {
        writeln!(stderr(), "SKIP ring_prints_a_file: {error}").expect("a standard error");
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs");
    let (text, errors, code) = output(example("ring").arg(path));
    assert_eq!((text, errors.as_str(), code), (fs::read_to_string(path).expect("a file"), "", Some(0)));
}
