//! The standard streams, in a process of their own, whatever they are.

#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[allow(dead_code, reason = "these tests look at more than whether the other process passes")]
#[path = "outside/again.rs"]
mod again;
#[path = "sound/mod.rs"]
mod sound;

use again::{again, role};
use annulus::{
    Builder, DriverKind, Runtime,
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, stderr, stdin, stdout},
    op, spawn,
    time::timeout,
    yield_now,
};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// This test once more for each driver that there is, to be given its streams.
fn on_each_driver(test: &str, run: impl Fn(Command)) {
    for driver in ["uring", "poll"] {
        if driver == "poll" || annulus::probe().ring().is_ok() {
            let mut command = again(test, driver);
            command.env("ANNULUS_DRIVER", driver).stderr(Stdio::piped());
            run(command);
        }
    }
}

fn runtime() -> Runtime {
    let (driver, wanted) = (role().unwrap(), [DriverKind::Uring, DriverKind::Poll]);
    let runtime = Builder::new().driver(wanted[usize::from(driver == "poll")]).build().unwrap();
    assert!(runtime.driver().to_string().starts_with(&driver));
    runtime
}

/// The streams are open, and their open files block as they did.
fn all_are_as_they_were() {
    for fd in 0..3 {
        // SAFETY: Plain call: it asks for the flags of a number.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        assert!(flags >= 0 && flags & libc::O_NONBLOCK == 0, "{fd} has the flags {flags:#o}");
    }
}

/// Copies the input to the output until it ends.
async fn copy() {
    let (mut from, mut to) = (stdin(), stdout());
    loop {
        let (n, buf) = from.read(Vec::with_capacity(50_000)).await;
        if n.unwrap() == 0 {
            break;
        }
        to.write_all(buf).await.0.unwrap();
    }
    // Nothing of this closes them.
    to.shutdown().await.unwrap();
    let (input, output) = (from.fd().clone(), to.fd().clone());
    drop((from, to));
    assert!(op::close(output).is_err() && input.try_into_owned().is_err(), "they are nobody's to take");
    yield_now().await;
}

fn data() -> Vec<u8> {
    (0..300_000u32).map(|n| b'a' + (n % 23) as u8).collect()
}

/// Ends the child, which has to have copied the data.
fn copied(mut child: Child, mut out: impl Read) {
    let (mut text, mut errors) = (Vec::new(), String::new());
    let mut stderr = child.stderr.take().unwrap();
    let complaints = thread::spawn(move || {
        stderr.read_to_string(&mut errors).unwrap();
        errors
    });
    out.read_to_end(&mut text).unwrap();
    let errors = complaints.join().unwrap();
    assert!(child.wait().unwrap().success(), "{errors}\n{}", String::from_utf8_lossy(&text[..text.len().min(3000)]));
    assert!(errors.ends_with("done\n"), "{errors}");
    let data = data();
    assert!(text.windows(data.len()).any(|part| part == data), "{} bytes came", text.len());
}

/// Red when a number is closed, or a flag of a shared file is set.
#[test]
fn pipes_sockets_and_files() {
    if role().is_some() {
        let runtime = runtime();
        runtime.block_on(async {
            copy().await;
            stderr().write_all("done\n").await.0.unwrap();
        });
        drop(runtime);
        return all_are_as_they_were();
    }
    on_each_driver("pipes_sockets_and_files", |mut pipes| {
        let mut child = pipes.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = thread::spawn(move || stdin.write_all(&data()).unwrap());
        let stdout = child.stdout.take().unwrap();
        copied(child, stdout);
        writer.join().unwrap();
    });
    on_each_driver("pipes_sockets_and_files", |mut sockets| {
        let [(near, far), (back, out)] = [(); 2].map(|()| UnixStream::pair().unwrap());
        let child = sockets.stdin(OwnedFd::from(far)).stdout(OwnedFd::from(out)).spawn().unwrap();
        drop(sockets);
        let writer = thread::spawn(move || (&near).write_all(&data()).unwrap());
        copied(child, back);
        writer.join().unwrap();
    });
    on_each_driver("pipes_sockets_and_files", |mut files| {
        let path = sound::path("stdio");
        std::fs::write(&path, data()).unwrap();
        let from = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let to = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut child = files.stdin(from).stdout(to.try_clone().unwrap()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        let mut to = to;
        to.rewind().unwrap();
        copied(child, to);
    });
}

/// Red when a read of a terminal is begun before there is a line: it takes the line when nobody wants it any more, and
/// the runtime's end waits for it.
#[test]
fn a_terminal() {
    if role().is_some() {
        let runtime = runtime();
        runtime.block_on(async {
            let mut keyboard = stdin();
            assert!(keyboard.is_terminal() && stdout().is_terminal() && !stderr().is_terminal());
            assert!(timeout(Duration::from_millis(20), keyboard.read(vec![0; 64])).await.is_err());
            stderr().write_all("type\n").await.0.unwrap();
            let line = timeout(Duration::from_secs(30), keyboard.read(Vec::with_capacity(64))).await.expect("a line");
            assert_eq!(line.1, b"a line\n");
            spawn(async move { keyboard.read(Vec::with_capacity(64)).await.0 });
            yield_now().await;
        });
        let begun = Instant::now();
        drop(runtime);
        assert!(begun.elapsed() < Duration::from_secs(1), "the end waits for a line");
        return all_are_as_they_were();
    }
    on_each_driver("a_terminal", |mut command| {
        let (mut keyboard, screen) = sound::terminal();
        let screen = screen.try_into_owned().unwrap();
        let mut child = command.stdin(screen.try_clone().unwrap()).stdout(screen).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert_eq!(line, "type\n");
        keyboard.write_all(b"a line\n").unwrap();
        errors.read_to_string(&mut line).unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
        assert_eq!(line, "type\n", "nothing was left behind");
    });
}
