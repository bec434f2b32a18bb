//! The kernel's worker threads.

use crate::common::*;
use annulus::ring::{Ring, Sqe};
use std::{fs, io, thread, time::Instant};

fn me() -> i32 {
    // SAFETY: asks who this is.
    unsafe { libc::gettid() }
}

/// The processors that this thread may use, in order.
fn cpus() -> Vec<usize> {
    // SAFETY: an empty set is zeros.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: one set of that size.
    assert_eq!(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) }, 0);
    // SAFETY: the set was filled.
    (0..1024).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// What the system says of each worker of the thread `of` that lives.
fn workers(of: i32) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let all = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    all.filter(|status| status.lines().next().is_some_and(|name| name.ends_with(&format!("iou-wrk-{of}")))).collect()
}

/// A request for a worker, and its end.
fn give_work(ring: &mut Ring) {
    push(ring, Sqe::nop().run_async()).unwrap();
    ring.submit_and_wait(1).unwrap();
    assert_eq!(read(ring).len(), 1);
}

/// Red when the mask's bits are elsewhere, or when workers outlive the thread whose they are.
#[test]
fn workers_stay_on_their_processors_and_go_with_their_thread() {
    let last = *cpus().last().unwrap();
    let ran = thread::spawn(move || {
        let mut ring = ring_or_skip("workers_stay_on_their_processors", 4, Default::default())?;
        if let Err(e) = ring.set_worker_cpus([last]) {
            assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 5.14");
            return None;
        }
        give_work(&mut ring);
        let workers = workers(me());
        let kept = |status: &String| status.lines().any(|line| line == format!("Cpus_allowed_list:\t{last}"));
        assert!(!workers.is_empty() && workers.iter().all(kept), "not on {last}: {workers:?}");
        ring.free_worker_cpus().unwrap();
        for refused in [ring.set_worker_cpus([1024]), ring.set_worker_cpus([])] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        Some(me())
    });
    let Some(of) = ran.join().unwrap() else { return };
    let start = Instant::now();
    while !workers(of).is_empty() {
        assert!(start.elapsed() < LONG, "{:?}", workers(of));
        thread::sleep(ms(5));
    }
}
