//! The driver's own call fails for good: that is told, not ignored.

use super::{
    again::{again, passes, role},
    forbid::forbid,
    on_both, pair,
};
use annulus::{Builder, DriverKind, op, spawn};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    task::Poll,
    thread,
    time::Duration,
};

/// What a driver sleeps and submits with.
#[cfg(target_arch = "x86_64")]
const WAITS: [libc::c_long; 4] =
    [libc::SYS_io_uring_enter, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];
#[cfg(not(target_arch = "x86_64"))]
const WAITS: [libc::c_long; 3] = [libc::SYS_io_uring_enter, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];

const NAME: &str = "failure::a_wait_that_fails_ends_the_run_and_says_why";

/// Red when the error of the wait is thrown away: then it spins for ever.
#[test]
fn a_wait_that_fails_ends_the_run_and_says_why() {
    let kind = match role().as_deref() {
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
        None => {
            // Under a sanitizer it takes long to name the frames of a backtrace.
            let alone = |kind: DriverKind| drop(passes(again(NAME, &kind.to_string()).env("RUST_BACKTRACE", "0")));
            return on_both(NAME, alone);
        }
    };
    let (done, wait) = mpsc::channel();
    // A filter cannot be taken back, so it goes with a thread.
    let fails = thread::spawn(move || {
        fails(kind);
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(20)).expect("it spins or sleeps on");
    fails.join().unwrap();
}

fn fails(kind: DriverKind) {
    let runtime = Builder::new().driver(kind).shutdown_deadline(Duration::from_millis(50)).build().unwrap();
    let [mut handle] = runtime.block_on(async { [spawn(async { 5 })] });
    forbid(&WAITS, libc::EIO).unwrap();
    let run = AssertUnwindSafe(|| {
        runtime.block_on(async {
            let (fd, _peer) = pair();
            let _ = op::recv(&fd, vec![0; 8]).await;
        });
    });
    let panic = catch_unwind(run).unwrap_err();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("the driver failed") && text.contains("os error 5"), "{text}");
    // Its tasks ran, it can be dropped, and the thread may have another one.
    assert!(matches!(super::poll(&mut handle), Poll::Ready(Ok(5))));
    drop(runtime);
    assert!(annulus::task::try_id().is_none());
}
