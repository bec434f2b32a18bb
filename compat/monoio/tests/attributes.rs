//! The attribute macros: what they accept, and which driver runs.

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

#[monoio::test(driver = "iouring")]
#[should_panic(expected = "as it should")]
async fn attributes_stay() {
    panic!("as it should");
}

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

/// Runs one test of this file again, with other variables.
fn again(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env_remove("ANNULUS_DRIVER").env_remove("MONOIO_FORCE_LEGACY_DRIVER");
    command.envs(variables.iter().copied()).output().unwrap()
}

/// What it prints is read by the next test, which runs it with other variables. Red when the driver that runs is not the
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
    let uring = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().is_ok();
    assert!(output.contains(if uring { "runs on uring" } else { "runs on legacy" }), "{output}");
    assert!(output.contains(&format!("detects {uring}")), "{output}");
}
