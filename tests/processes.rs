//! Processes: what they write, how they end, and that none is left behind.

#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[path = "outside/again.rs"]
mod again;
#[path = "outside/limits.rs"]
mod limits;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind,
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt},
    join,
    process::{Child, Command, LimitExceeded, OutputLimits, Stdio},
    signal::SignalKind,
    spawn, spawn_blocking,
    time::{sleep, timeout},
};
use std::{
    fs,
    future::poll_fn,
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A child that stays until it is told to go.
fn lasting() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// Whether there is such a process, if only as a zombie.
fn exists(pid: u32) -> bool {
    // SAFETY: Plain call: no signal is sent.
    unsafe { libc::kill(pid as i32, 0) == 0 }
}

/// Waits until none of `pids` is there any more.
fn all_are_gone(pids: &[u32]) {
    let begun = Instant::now();
    while let Some(left) = pids.iter().find(|&&pid| exists(pid)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{left} is left");
        thread::sleep(Duration::from_millis(5));
    }
}

#[annulus::test]
async fn what_a_child_is_given_and_how_it_ends() {
    let output = sh("echo $0 $WHAT $(pwd); echo oops >&2; exit 7")
        .env("WHAT", "annulus")
        .current_dir("/")
        .arg("name")
        .output()
        .await
        .unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(7), &b"oops\n"[..]));
    assert_eq!(output.stdout, b"name annulus /\n");
    let status = sh("test -z \"$HOME$WHAT\"").env("WHAT", "x").env_clear().status().await.unwrap();
    assert!(status.success());
    assert_eq!(sh("kill -TERM $$").status().await.unwrap().signal(), Some(libc::SIGTERM));
    let named = Command::new("sh").arg0("other").args(["-c", "tr '\\0' ' ' </proc/$$/cmdline || echo other"]).output();
    assert!(named.await.unwrap().stdout.starts_with(b"other"));
}

#[annulus::test]
async fn a_start_that_fails_names_the_program() {
    let error = Command::new("annulus-has-no-such-program").spawn().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("`annulus-has-no-such-program`"), "{error}");
    let error = sh("").current_dir("/no/such/folder").spawn().unwrap_err();
    assert!(error.to_string().contains("`/no/such/folder`"), "{error}");
    assert_eq!(Command::new("/").spawn().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    // SAFETY: the closure does nothing but to fail.
    let error = unsafe { sh("").pre_exec(|| Err(io::ErrorKind::AddrInUse.into())).spawn() }.unwrap_err();
    assert!(error.to_string().contains("`sh`"), "{error}");
}

/// Red when one pipe is read before the other.
#[annulus::test]
async fn both_outputs_are_read_at_once() {
    let script = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2";
    for script in [script.to_owned(), format!("{script} & {script}; wait")] {
        let output = timeout(Duration::from_secs(60), sh(&script).output()).await.expect("no deadlock").unwrap();
        let times = if script.contains('&') && script.contains("wait") { 2 } else { 1 };
        assert_eq!((output.stdout.len(), output.stderr.len()), (times * 3_000_000, times * 6_000_000));
    }
}

#[annulus::test]
async fn a_conversation() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for word in ["one", "two"] {
        stdin.write_all(word).await.0.unwrap();
        assert_eq!(stdout.read(Vec::with_capacity(8)).await.1, word.as_bytes());
    }
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut back, all) = (Vec::new(), sent.clone());
    let writing = async move {
        stdin.write_all(all).await.0.unwrap();
        stdin.shutdown().await.unwrap();
        stdin.shutdown().await.unwrap();
        assert_eq!(stdin.write("late").await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    };
    let reading = async {
        loop {
            let (n, part) = stdout.read(Vec::with_capacity(10_000)).await;
            if n.unwrap() == 0 {
                return;
            }
            back.extend(part);
        }
    };
    timeout(Duration::from_secs(60), async { join!(writing, reading) }).await.expect("no deadlock");
    assert!(back == sent);
    assert!(child.wait().await.unwrap().success());
}

#[annulus::test]
async fn one_childs_output_is_anothers_input() {
    let mut first = sh("echo through a pipe").stdout(Stdio::piped()).spawn().unwrap();
    let pipe = first.stdout.take().unwrap().try_into_owned().unwrap();
    let output = Command::new("tr").args(["a-z", "A-Z"]).stdin(pipe).output().await.unwrap();
    assert_eq!(output.stdout, b"THROUGH A PIPE\n");
    assert!(first.wait().await.unwrap().success());
}

/// Red when a child's end of a pipe does not block, or it has a descriptor too many.
#[annulus::test]
async fn children_get_blocking_descriptors_and_no_others() {
    if !Path::new("/proc/self/fdinfo/0").exists() {
        let _ = writeln!(io::stderr(), "SKIP children_get_blocking_descriptors_and_no_others: there is no /proc");
        return;
    }
    let _open = annulus::fs::File::open("Cargo.toml").await.unwrap();
    // What this process was started with may be inheritable, and then std's children have it, too.
    let numbers = std::process::Command::new("sh").args(["-c", "ls /proc/$$/fd"]).output().unwrap().stdout;
    let mut child = sh("cat /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2; ls /proc/$$/fd");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The pipes are in use, and still block.
    let reading = spawn({
        let mut stderr = child.stderr.take().unwrap();
        async move { stderr.read(Vec::with_capacity(8)).await.0.unwrap() }
    });
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(reading.await.unwrap(), 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let flags = text.lines().filter_map(|line| line.strip_prefix("flags:"));
    let blocking = flags.map(|flags| i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_NONBLOCK == 0);
    assert_eq!(blocking.collect::<Vec<_>>(), [true; 3], "{text}");
    assert!(text.ends_with(str::from_utf8(&numbers).unwrap()), "{text}");
}

#[annulus::test]
async fn killed_signalled_and_asked() {
    let mut child = lasting().spawn().unwrap();
    let pid = child.id().unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().await.unwrap();
    assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!((child.id(), exists(pid)), (None, false));
    child.start_kill().unwrap();
    child.send_signal(SignalKind::terminate()).unwrap();
    let mut child = lasting().spawn().unwrap();
    assert_eq!(child.send_signal(SignalKind::from_raw(-1)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    child.send_signal(SignalKind::terminate()).unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!((status.signal(), child.try_wait().unwrap()), (Some(libc::SIGTERM), Some(status)));
}

/// Red when a wait reaps, and its future has the only knowledge of it.
#[annulus::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let mut child = sh("read line; exit 9").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(2), child.wait()).await.is_err());
    }
    {
        // It ends while it is waited for, and nobody fetches that.
        let mut waiting = Box::pin(child.wait());
        assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        drop(stdin);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(9));
}

#[annulus::test]
async fn more_output_than_allowed_is_the_end() {
    let limits = OutputLimits { stdout: 100_000, stderr: 10 };
    for (script, stream) in [("yes", "standard output"), ("yes >&2", "standard error")] {
        let running = sh(&format!("exec {script}")).output_with_limits(limits);
        let error = timeout(Duration::from_secs(60), running).await.expect("it is killed").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().contains(stream), "{error}");
        let LimitExceeded { output, .. } = error.downcast().unwrap();
        let (out, err) = if stream == "standard output" { (100_000, 0) } else { (0, 10) };
        assert_eq!((output.stdout.len(), output.stderr.len()), (out, err));
        assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    }
    let exact = sh("printf 1234567890 >&2; printf 123").output_with_limits(OutputLimits { stdout: 3, stderr: 10 });
    assert_eq!(exact.await.unwrap().stdout, b"123");
    let nothing = sh("true").output_with_limits(OutputLimits::each(0)).await.unwrap();
    assert!(nothing.status.success());
    assert!(sh("echo").output_with_limits(OutputLimits::each(0)).await.is_err());
    // The command is as it was: its children have the streams of this process again.
    let mut command = sh("exit 4");
    command.output().await.unwrap();
    assert!(command.spawn().unwrap().stdout.is_none());
}

/// Red when a wait reaps any child that there is.
#[annulus::test]
async fn two_hundred_at_once_and_one_of_somebody_else() {
    let mut other = std::process::Command::new("sh").args(["-c", "exit 42"]).spawn().unwrap();
    let children: Vec<_> = (0..200)
        .map(|n| spawn(async move { sh(&format!("exit {}", n % 100)).status().await.unwrap().code().unwrap() }))
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        assert_eq!(timeout(Duration::from_secs(60), child).await.expect("an end").unwrap(), n as i32 % 100);
    }
    assert_eq!(other.wait().unwrap().code(), Some(42));
    let elsewhere = spawn_blocking(|| std::process::Command::new("sh").args(["-c", "exit 43"]).spawn().unwrap());
    let mut taken = Child::from_std(elsewhere.await.unwrap()).unwrap();
    assert_eq!(taken.wait().await.unwrap().code(), Some(43));
}

/// Red when a dropped child is not reaped, or is killed without having been asked for.
#[annulus::test]
async fn what_is_dropped_is_reaped_and_only_killed_when_that_was_said() {
    let killed: Vec<u32> =
        (0..20).map(|_| lasting().kill_on_drop(true).spawn().unwrap()).map(|child| child.id().unwrap()).collect();
    let mut long = lasting().spawn().unwrap();
    let left: Vec<u32> = (0..200).map(|_| sh("exit 0").spawn().unwrap()).map(|child| child.id().unwrap()).collect();
    let running = lasting().kill_on_drop(true).status();
    assert!(timeout(Duration::from_millis(20), running).await.is_err());
    all_are_gone(&killed);
    all_are_gone(&left);
    let pid = long.id().unwrap();
    assert_eq!(long.try_wait().unwrap(), None);
    drop(long);
    sleep(Duration::from_millis(20)).await;
    assert!(exists(pid), "nobody said that it should be killed");
    // SAFETY: Plain call: the child is ours, and whoever reaps it does so after its end.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGTERM) }, 0);
    all_are_gone(&[pid]);
}

/// Red when the runtime's end forgets the children of its tasks.
#[test]
fn no_zombie_is_left_by_a_runtime() {
    for driver in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(driver).build() else { continue };
        let mut pids = Vec::new();
        runtime.block_on(async {
            for n in 0..200 {
                let mut child: Child = sh(if n % 2 == 0 { "exit 0" } else { "sleep 0.2" }).spawn().unwrap();
                pids.push(child.id().unwrap());
                match n % 4 {
                    0 | 1 => drop(child),
                    _ => drop(spawn(async move { child.wait().await })),
                }
            }
        });
        drop(runtime);
        all_are_gone(&pids);
        let threads = || {
            fs::read_dir("/proc/self/task")
                .map(|all| all.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok()))
        };
        let reapers = threads().map(|all| all.filter(|name| name.starts_with("annulus-reaper")).count());
        assert!(reapers.is_err() || reapers.is_ok_and(|n| n <= 2), "one thread reaps all");
    }
}

/// Red when an error of the wait counts as the child's end, and when one orphan is waited for after the other: then the
/// one that stays keeps those that end.
#[test]
fn orphans_outlast_a_lack_of_descriptors() {
    const NAME: &str = "orphans_outlast_a_lack_of_descriptors";
    if role().is_none() {
        passes(&mut again(NAME, "alone"));
        return;
    }
    annulus::run(async {
        // Whoever stays when this fails must not hold what the test's output is read from.
        let lasting = || {
            let mut command = lasting();
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let [stays, before] = [lasting(), sh("sleep 0.3")].map(|mut command| command.spawn().unwrap());
        let meanwhile: Vec<Child> = (0..3).map(|_| sh("sleep 0.3").spawn().unwrap()).collect();
        let after = sh("sleep 0.6").spawn().unwrap();
        let pid = |child: &Child| child.id().unwrap();
        let short: Vec<u32> = meanwhile.iter().chain([&before, &after]).map(pid).collect();
        let long = pid(&stays);
        // With a runtime of its own, which then lacks descriptors for the others.
        drop(before);
        thread::sleep(Duration::from_millis(50));
        let limit = limits::set_soft(libc::RLIMIT_NOFILE, 3);
        drop((stays, meanwhile));
        thread::sleep(Duration::from_millis(500));
        limits::set_soft(libc::RLIMIT_NOFILE, limit);
        drop(after);
        all_are_gone(&short);
        assert!(exists(long));
        // SAFETY: Plain call: the child is ours, and whoever reaps it does so after its end.
        assert_eq!(unsafe { libc::kill(long as i32, libc::SIGTERM) }, 0);
        all_are_gone(&[long]);
        // And with a thread that could make no runtime.
        let limit = limits::set_soft(libc::RLIMIT_NOFILE, 64);
        let [stays, ends] = [lasting(), sh("sleep 0.1")].map(|mut command| command.spawn().unwrap());
        let pids = [&stays, &ends].map(pid);
        limits::set_soft(libc::RLIMIT_NOFILE, 3);
        drop(stays);
        thread::sleep(Duration::from_millis(100));
        drop(ends);
        all_are_gone(&pids[1..]);
        limits::set_soft(libc::RLIMIT_NOFILE, limit);
        // SAFETY: Plain call: likewise.
        assert_eq!(unsafe { libc::kill(pids[0] as i32, libc::SIGTERM) }, 0);
        all_are_gone(&pids[..1]);
    });
}

/// On the ring the kernel waits, and without its opcode the twin does, at the child's descriptor.
#[test]
fn who_waits() {
    const NAME: &str = "who_waits";
    let run = || async {
        assert_eq!(sh("exit 3").status().await.unwrap().code(), Some(3));
        let mut child = lasting().spawn().unwrap();
        assert!(timeout(Duration::from_millis(5), child.wait()).await.is_err());
        child.kill().await.unwrap();
    };
    let Some(hidden) = role() else {
        if annulus::probe().ring().is_ok() {
            passes(again(NAME, "WAITID").env("ANNULUS_HIDE_OPS", "WAITID"));
            passes(&mut again(NAME, "nothing"));
        }
        return;
    };
    let runtime = Builder::new().driver(DriverKind::Uring).build().unwrap();
    runtime.block_on(run());
    let driver = runtime.metrics().driver;
    assert_eq!(driver.sqes_of("WAITID") > 0, hidden == "nothing", "{driver:?}");
    assert_eq!(driver.twins_ready > 0, hidden == "WAITID", "{driver:?}");
    assert_eq!(driver.twins_pool, 0);
}
