//! **Teardown**: when a runtime's drop returns, nobody writes to what its operations had, because it has waited for
//! each final completion; what did not end by the deadline is reported, and leaked rather than freed.

#[path = "sound/mod.rs"]
mod sound;

#[cfg(not(annulus_kqueue))]
use annulus::ring::{Ring, SetupFlags, Sqe};
use annulus::{Builder, DriverKind, Fd, Runtime, op, spawn};
use sound::{FRESH, Yard, alone, descriptors, end, no_more_than, on_both, peek, poll_once, runtime, terminal};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    process::Command,
    thread,
    time::{Duration, Instant},
};

const RUNS: usize = 300;
const LEN: usize = 4 << 20;

/// A file of 16 MiB of zeros that is read past the page cache, or why there is none.
#[cfg(target_os = "linux")]
fn direct_file(name: &str) -> Option<File> {
    use std::{fs, os::unix::fs::OpenOptionsExt};
    let path = sound::path(name);
    fs::write(&path, vec![0; 4 * LEN]).unwrap();
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let synced = File::open(&path).and_then(|file| file.sync_all());
    fs::remove_file(&path).unwrap();
    match file.and_then(|file| synced.map(|()| file)) {
        Ok(file) => Some(file),
        Err(e) => {
            let _ = writeln!(io::stderr(), "SKIP {name}: no O_DIRECT in {}: {e}", path.display());
            None
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn direct_file(name: &str) -> Option<File> {
    let _ = writeln!(io::stderr(), "SKIP {name}: not every system has O_DIRECT");
    None
}

/// How many of the blocks at `start` still have `byte`.
fn blocks_with(start: *const u8, byte: u8) -> usize {
    (0..LEN).step_by(4096).filter(|&i| peek(start, i) == byte).count()
}

/// Ends a runtime in the middle of a read, and says whether it was the middle, and whether somebody wrote later.
fn end_while_reading(kind: DriverKind, fd: &Fd, run: usize) -> (bool, bool) {
    let (a, yard) = (runtime(kind, 8), Yard::new());
    let buf = yard.buffer(LEN);
    let start = buf.start();
    let mut reading = op::read_at(fd, buf, ((run % 3) * LEN) as u64);
    // Every third is forgotten, every third is a task's, every third outlives the runtime.
    let survivor = RefCell::new(None);
    a.block_on(async {
        assert!(poll_once(&mut reading).await.is_none());
        match run % 3 {
            0 => drop(spawn(async { drop(reading.await) })),
            1 => drop(spawn(async {
                std::mem::forget(reading);
            })),
            _ => *survivor.borrow_mut() = Some(reading),
        }
        annulus::yield_now().await;
    });
    let in_flight = blocks_with(start, FRESH) > 0;
    end(a, "a read in flight");
    let survivor = survivor.into_inner();
    // Where the buffer was freed it is full of canaries now; elsewhere it keeps what had been read.
    let after: Vec<u8> = (0..LEN).step_by(4096).map(|i| peek(start, i)).collect();
    thread::sleep(Duration::from_millis(2));
    let later: Vec<u8> = (0..LEN).step_by(4096).map(|i| peek(start, i)).collect();
    let freed = run % 3 == 0;
    assert_eq!(yard.freed(), usize::from(freed), "freed by its drop, and not otherwise");
    drop(survivor);
    (in_flight, after != later || yard.changed() > 0)
}

#[test]
fn no_buffer_changes_after_the_end() {
    on_both("no_buffer_changes", |kind| {
        let Some(file) = direct_file("teardown") else { return };
        let fd = Fd::new(file.into());
        let runs: Vec<_> = (0..RUNS).map(|run| end_while_reading(kind, &fd, run)).collect();
        let in_flight = runs.iter().filter(|(in_flight, _)| *in_flight).count();
        let late = runs.iter().filter(|(_, late)| *late).count();
        println!("{kind}: in flight at the drop in {in_flight} of {RUNS} runs, changed after it in {late}");
        assert_eq!(late, 0);
        assert!(in_flight > RUNS / 2, "only {in_flight} of {RUNS} runs tested anything");
    });
}

/// The control: a ring that is only closed leaves the kernel writing.
#[cfg(not(annulus_kqueue))]
#[test]
fn a_ring_that_is_only_closed_is_still_written_for() {
    let _alone = alone();
    let Some(file) = direct_file("only_closed") else { return };
    let mut late = 0;
    let mut runs = 0;
    for run in 0..RUNS {
        runs += 1;
        let mut ring = match Ring::builder().flags(SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN).build(8) {
            Ok(ring) => ring,
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            Err(e) => return drop(writeln!(io::stderr(), "SKIP a_ring_that_is_only_closed: {e}")),
        };
        let yard = Yard::new();
        let buf = yard.buffer(LEN);
        let sqe = Sqe::read(file.as_raw_fd(), buf.start(), LEN as u32, ((run % 3) * LEN) as u64);
        // SAFETY: not Lent, on purpose: the memory is quarantined below, so that the harm can be seen.
        unsafe { ring.push(&sqe) }.unwrap();
        ring.submit().unwrap();
        drop(ring);
        let start = buf.start();
        drop(buf);
        thread::sleep(Duration::from_millis(5));
        late += usize::from(yard.changed() > 0 || blocks_with(start, sound::CANARY) < LEN / 4096);
        if late >= 20 {
            break;
        }
    }
    println!("a ring that was only closed: written to in {late} of {runs} runs");
    assert!(late > 0, "the canary is blind, or this kernel waits");
}

fn impatient(max_threads: usize) -> Runtime {
    let builder = Builder::new().driver(DriverKind::Poll).max_blocking_threads(max_threads);
    builder.shutdown_deadline(Duration::from_millis(100)).build().unwrap()
}

/// What [`what_is_stuck_is_reported_and_leaked`] looks at from outside.
fn stuck() {
    let (a, yard) = (impatient(4), Yard::new());
    let (mut keyboard, fd) = terminal();
    let buf = yard.buffer(4096);
    let (start, number) = (buf.start(), fd.as_raw_fd());
    let reading = op::read(&fd, buf);
    drop(fd);
    a.block_on(async {
        drop(spawn(async { drop(reading.await) }));
        annulus::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(annulus::metrics().pool.twins_run, 1, "nothing is stuck");
    });
    let begun = Instant::now();
    drop(a);
    let took = begun.elapsed();
    assert!((90..1000).contains(&took.as_millis()), "the deadline is 100 ms, and it took {took:?}");
    assert_eq!(yard.freed(), 0, "lent memory was freed");
    assert!(descriptors().contains_key(&number), "a descriptor in use was closed");
    keyboard.write_all(b"late\n").unwrap();
    let is_there = || (0..5).all(|i| peek(start, i) == b"late\n"[i]);
    let until = Instant::now() + Duration::from_secs(2);
    while !is_there() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(is_there() && yard.freed() == 0, "the late read went elsewhere");
}

#[test]
fn what_is_stuck_is_reported_and_leaked() {
    if std::env::var_os("ANNULUS_TEST_STUCK").is_some() {
        return stuck();
    }
    // What goes to the standard error past the harness is read from outside.
    let _alone = alone();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "what_is_stuck_is_reported_and_leaked", "--nocapture"]).env("ANNULUS_TEST_STUCK", "1");
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 operations did not end within 100ms"), "no report: {told}");
}

/// On the ring the kernel is able to interrupt such a read, so nothing has to be leaked.
#[test]
fn nothing_is_stuck_on_the_ring() {
    let _alone = alone();
    let builder = Builder::new().driver(DriverKind::Uring);
    let Some(a) = sound::try_runtime("nothing_is_stuck_on_the_ring", builder) else { return };
    let yard = Yard::new();
    let (_keyboard, fd) = terminal();
    let buf = yard.buffer(4096);
    a.block_on(async {
        drop(spawn(async move { drop(op::read(&fd, buf).await) }));
        annulus::time::sleep(Duration::from_millis(5)).await;
    });
    end(a, "a terminal");
    assert_eq!((yard.alive(), yard.changed()), (0, 0));
}

/// Closes that wait behind a stuck thread when the runtime ends are made all the same.
#[test]
fn closes_that_teardown_cancels_are_made() {
    let _alone = alone();
    let a = impatient(1);
    // What the driver opens at its first sleep must not get a number that was just closed.
    a.block_on(annulus::time::sleep(Duration::from_millis(100)));
    let (mut keyboard, fd) = terminal();
    // Files: a socket's close has no need of the pool.
    let files: Vec<Fd> = (0..50).map(|_| Fd::new(File::open("Cargo.toml").unwrap().into())).collect();
    let numbers: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let mut reading = op::read(&fd, vec![0; 16]);
    a.block_on(async {
        assert!(poll_once(&mut reading).await.is_none());
        drop(files);
        let counts = annulus::metrics().pool;
        assert!(counts.queued >= 50, "the closes do not wait: {counts:?}");
    });
    drop(a);
    for fd in numbers {
        // SAFETY: Plain call: it asks whether the number is open, and changes nothing.
        let open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        assert!(!open, "a close was cancelled, and never made");
    }
    keyboard.write_all(b"enough\n").unwrap();
}

/// The same in the ring, where a close that may block (of a message queue) waits for a worker.
#[test]
fn closes_in_the_ring_are_made() {
    on_both("closes_in_the_ring", |kind| {
        for turns in 0..3 {
            let before = descriptors();
            let a = runtime(kind, 8);
            a.block_on(async {
                for n in 0..200 {
                    drop(Fd::new(if n % 2 == 0 { sound::socket_pair().1.into() } else { queue() }));
                }
                for _ in 0..turns {
                    annulus::yield_now().await;
                }
            });
            end(a, "closes in flight");
            no_more_than(&before, "closes in flight");
        }
    });
}

/// A descriptor whose close is not done at once: of a POSIX message queue, or of a file where there are none.
#[cfg(target_os = "linux")]
fn queue() -> OwnedFd {
    use std::os::fd::FromRawFd;
    let name = c"/annulus-teardown";
    // SAFETY: the name ends with a NUL; null attributes are the defaults.
    let fd = unsafe {
        libc::mq_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600, std::ptr::null_mut::<libc::mq_attr>())
    };
    // SAFETY: the name ends with a NUL.
    unsafe { libc::mq_unlink(name.as_ptr()) };
    match fd {
        // SAFETY: the kernel just made it.
        0.. => unsafe { OwnedFd::from_raw_fd(fd) },
        _ => File::open("/proc/self/status").unwrap().into(),
    }
}

#[cfg(not(target_os = "linux"))]
fn queue() -> OwnedFd {
    File::open("Cargo.toml").unwrap().into()
}
