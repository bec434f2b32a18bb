//! The attribute macros: what they accept, and which driver runs.

#[cfg(target_os = "linux")]
#[path = "../../../tests/outside/forbid.rs"]
mod forbid;

#[cfg(target_os = "linux")]
use forbid::forbid;
use std::{
    io,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

#[monoio::test]
async fn plain() {
    assert_eq!(async { 6 * 7 }.await, 42);
}

#[monoio::test(driver = "legacy", timer_enabled = true, entries = 512)]
async fn the_named_driver_runs() -> io::Result<()> {
    assert!(monoio::utils::is_legacy());
    monoio::time::sleep(std::time::Duration::from_millis(1)).await;
    Ok(())
}

#[monoio::test_all(enable_timer = true)]
async fn on_both() {
    let name = std::thread::current().name().unwrap().to_owned();
    let legacy = name.ends_with("legacy_on_both");
    assert!(legacy || name.ends_with("uring_on_both"), "{name}");
    assert_eq!(monoio::utils::is_legacy(), legacy);
}

#[monoio::test_all]
#[should_panic(expected = "as it should")]
async fn attributes_stay() {
    panic!("as it should");
}

#[monoio::test(driver = "iouring")]
async fn passes_with_a_ring() {}

/// Not a test, and called by one: the attribute makes a plain function, which may take arguments.
#[monoio::main(driver = "legacy")]
async fn called<T: Copy>(x: T, y: &mut Vec<T>) -> Result<usize, std::num::ParseIntError> {
    y.push(x);
    Ok("7".parse::<usize>()? + y.len())
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

#[monoio::main(worker_threads = 3)]
async fn three() {
    THREADS.fetch_add(1, Ordering::Relaxed);
    monoio::time::sleep(std::time::Duration::from_millis(1)).await;
}

#[monoio::main(threads = 2, driver = "legacy")]
async fn two_of_which_one_panics() {
    assert!(THREADS.fetch_add(1, Ordering::Relaxed) % 2 == 0, "one of them");
}

#[test]
fn main_makes_a_plain_function() {
    let mut numbers = vec![1];
    assert_eq!(called(2, &mut numbers), Ok(9));
    three();
    assert_eq!(THREADS.load(Ordering::Relaxed), 3);
    // A panic of any thread is one of the caller's. Red when it is not noticed.
    THREADS.store(0, Ordering::Relaxed);
    assert!(std::panic::catch_unwind(two_of_which_one_panics).is_err());
}

/// One test of this file, with other variables.
fn one(test: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env_remove("ANNULUS_DRIVER").env_remove("MONOIO_FORCE_LEGACY_DRIVER");
    command.envs(variables.iter().copied());
    command
}

/// Runs it.
fn again(test: &str, variables: &[(&str, &str)]) -> Output {
    one(test, variables).output().unwrap()
}

/// What it prints is read by tests below, which run it with other variables. Red when the driver that runs is not the
/// one that is detected.
#[monoio::test]
async fn tells_its_driver() {
    let (legacy, detected) = (monoio::utils::is_legacy(), monoio::utils::detect_uring());
    println!("runs on {}", if legacy { "legacy" } else { "uring" });
    println!("detects {detected}");
    assert_eq!(legacy, !detected);
}

/// Red when the environment is not heard, or outranks a driver that is named in the code.
#[test]
fn the_environment_chooses_where_the_code_does_not() {
    for forced in [("MONOIO_FORCE_LEGACY_DRIVER", "1"), ("ANNULUS_DRIVER", "poll")] {
        let output = String::from_utf8(again("tells_its_driver", &[forced]).stdout).unwrap();
        assert!(output.contains("runs on legacy") && output.contains("detects false"), "{output}");
        for named in ["uring_on_both", "legacy_on_both", "the_named_driver_runs"] {
            let output = again(named, &[forced]);
            assert!(output.status.success(), "{named}: {output:?}");
        }
    }
    let output = String::from_utf8(again("tells_its_driver", &[("MONOIO_FORCE_LEGACY_DRIVER", "0")]).stdout).unwrap();
    let uring = has_ring();
    assert!(output.contains(if uring { "runs on uring" } else { "runs on legacy" }), "{output}");
    assert!(output.contains(&format!("detects {uring}")), "{output}");
}

fn has_ring() -> bool {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().is_ok()
}

/// Red when a ring that lacks an operation is no ring, although all features that want it are on.
#[test]
fn a_missing_operation_changes_no_driver() {
    let hidden = [("ANNULUS_HIDE_OPS", "MKDIRAT,UNLINKAT,RENAMEAT,SYMLINKAT,SPLICE,STATX")];
    let output = String::from_utf8(again("tells_its_driver", &hidden).stdout).unwrap();
    assert!(output.contains(if has_ring() { "runs on uring" } else { "runs on legacy" }), "{output}");
}

/// Red when a test that is skipped fails, or counts as failed because it did not panic, or does not say why.
#[cfg(target_os = "linux")]
#[test]
fn without_a_ring_a_test_is_skipped_and_says_so() {
    for test in ["uring_attributes_stay", "passes_with_a_ring"] {
        let mut command = one(test, &[]);
        // SAFETY: between fork and exec only system calls are made, on values of the closure's own.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                forbid(&[libc::SYS_io_uring_setup], libc::EPERM)
            })
        };
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed; 0 failed"), "{out}\n{err}");
        assert!(err.starts_with(&format!("SKIP attributes::{test}: ")) && !err.contains("panicked"), "{err}");
    }
}
