//! What never comes to an end on a thread of the pool, or of the kernel's own, keeps nobody else waiting: opens of a
//! FIFO without a peer, closures that wait for ever. What cannot move all the same is told.

#[allow(dead_code, reason = "what these tests look at is not whether the other process passes alone")]
#[path = "outside/again.rs"]
mod again;
#[path = "sound/mod.rs"]
mod sound;

use annulus::{
    Builder, DriverKind, JoinHandle, Runtime,
    fs::File,
    op::{self, OpenHow},
    spawn, spawn_blocking,
    time::{sleep, timeout},
};
use sound::{alone, descriptors, on_both, try_runtime};
use std::{
    ffi::CString,
    fs,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::PathBuf,
    process::Output,
    sync::mpsc,
    time::{Duration, Instant},
};

/// A FIFO. Dropping it lets go whoever waits for a peer.
struct Fifo(PathBuf);

impl Fifo {
    fn new(name: &str) -> Fifo {
        let path = sound::path(name);
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends with a NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{}", io::Error::last_os_error());
        Fifo(path)
    }

    /// An open that waits for a writer. O_CREAT changes nothing here but that the ring does not try it without waiting.
    fn open(&self) -> op::Submit<op::OpenAt> {
        op::openat(&self.0, OpenHow { flags: libc::O_RDONLY | libc::O_CREAT, mode: 0o600 }).unwrap()
    }

    fn opens(&self, n: usize) -> Vec<JoinHandle<io::Result<OwnedFd>>> {
        (0..n).map(|_| spawn(self.open())).collect()
    }

    /// How many descriptors of it are open.
    fn held(&self) -> usize {
        let path = self.0.display().to_string();
        descriptors().values().filter(|name| **name == path).count()
    }

    /// A peer, for as long as it is kept.
    fn peer(&self) -> fs::File {
        fs::File::options().read(true).write(true).open(&self.0).unwrap()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn limited(kind: DriverKind, threads: usize) -> Builder {
    Builder::new().driver(kind).max_blocking_threads(threads)
}

/// Makes, writes, syncs, closes and reads a file: everything that needs a thread.
async fn use_files(name: &str) -> Duration {
    let (path, begun) = (sound::path(name), Instant::now());
    let file = File::create(&path).await.unwrap();
    file.write_all_at(b"files go on".to_vec(), 0).await.0.unwrap();
    file.sync_all().await.unwrap();
    file.close().await.unwrap();
    let file = File::open(&path).await.unwrap();
    let (n, buf) = file.read_at(Vec::with_capacity(64), 0).await;
    assert_eq!((n.unwrap(), &buf[..]), (11, &b"files go on"[..]));
    fs::remove_file(path).unwrap();
    begun.elapsed()
}

/// Waits until `what` holds.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if what() {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("waited too long: {:?}", annulus::metrics());
}

/// More than the eight that the kernel would have threads for on two CPUs.
const STUCK: usize = 20;

#[test]
fn stuck_opens_keep_no_file_waiting() {
    on_both("stuck_opens", |kind| {
        let fifo = Fifo::new("stuck_opens");
        let a = limited(kind, 64).build().unwrap();
        a.block_on(async {
            let opens = fifo.opens(STUCK);
            sleep(Duration::from_millis(20)).await;
            assert_eq!(annulus::metrics().driver.slots, STUCK, "nothing is stuck");
            let took = timeout(Duration::from_secs(10), use_files("stuck_opens_file")).await;
            assert!(took.expect("files wait behind FIFOs") < Duration::from_secs(1));
            let peer = fifo.peer();
            for open in opens {
                open.await.unwrap().unwrap();
            }
            drop(peer);
        });
        sound::end(a, "opens that came to their end");
        assert_eq!(fifo.held(), 0);
    });
}

/// Dropped, an open is cancelled where that can be; on the poll driver it goes on, and what it opens is closed.
#[test]
fn a_stuck_open_that_nobody_waits_for_leaks_nothing() {
    on_both("a_stuck_open", |kind| {
        let fifo = Fifo::new("a_stuck_open");
        let a = limited(kind, 64).build().unwrap();
        a.block_on(async {
            let opens = fifo.opens(STUCK);
            sleep(Duration::from_millis(20)).await;
            if kind == DriverKind::Poll {
                until(|| annulus::metrics().pool.twins_run >= STUCK as u64).await;
            }
            opens.iter().for_each(JoinHandle::abort);
            use_files("a_stuck_open_file").await;
            let still = annulus::metrics().driver.slots;
            match kind {
                DriverKind::Poll => assert!(still >= STUCK, "a call in progress cannot be stopped: {still}"),
                DriverKind::Uring => assert!(sound::settle().await, "the kernel can interrupt these"),
            }
            // One that is polled on says how it ended.
            let mut asked = fifo.open();
            assert!(sound::poll_once(&mut asked).await.is_none());
            sleep(Duration::from_millis(20)).await;
            asked.cancel();
            let peer = fifo.peer();
            let ended = asked.await.map_err(|e| e.raw_os_error());
            assert!(matches!(ended, Ok(_) | Err(Some(libc::ECANCELED | libc::EINTR))), "{ended:?}");
            drop(ended);
            assert!(sound::settle().await, "the opens are not done");
            drop(peer);
        });
        sound::end(a, "opens that were abandoned");
        assert_eq!(fifo.held(), 0, "what was opened for nobody was not closed");
    });
}

/// Where the pool has no thread left for files, it finds out which calls are stuck, and makes others beside them.
#[test]
fn more_opens_are_stuck_than_may_run_at_once() {
    let _alone = alone();
    let (fifo, a) = (Fifo::new("more_opens"), limited(DriverKind::Poll, 2).build().unwrap());
    a.block_on(async {
        let opens = fifo.opens(4);
        until(|| annulus::metrics().pool.queued == 2).await;
        let turns = annulus::metrics().driver.turns;
        let took = timeout(Duration::from_secs(10), use_files("more_opens_file")).await.expect("files wait for ever");
        assert!(took > Duration::from_millis(800), "after {took:?}, nobody could know yet that they are stuck");
        assert!(took < Duration::from_secs(5), "{took:?}");
        let (pool, turns) = (annulus::metrics().pool, annulus::metrics().driver.turns - turns);
        assert!(pool.slow >= 2 && pool.threads <= 8 && pool.twins_run >= 8, "{pool:?}");
        assert!(turns < 60, "{turns} turns, and four in a second would do");
        let peer = fifo.peer();
        for open in opens {
            open.await.unwrap().unwrap();
        }
        drop(peer);
        // A thread answers before it is done.
        until(|| {
            let pool = annulus::metrics().pool;
            (pool.queued, pool.slow, pool.oldest_wait) == (0, 0, Duration::ZERO)
        })
        .await;
    });
    sound::end(a, "opens that were stuck");
}

/// Closures have their own threads: those that are stuck keep files, and closes of files, waiting for nothing.
#[test]
fn stuck_closures_keep_no_file_waiting() {
    on_both("stuck_closures", |kind| {
        let a = limited(kind, 4).build().unwrap();
        a.block_on(async {
            let (gates, closures): (Vec<_>, Vec<_>) = (0..6).map(|_| stuck_closure()).unzip();
            until(|| annulus::metrics().pool.queued == 2).await;
            drop(annulus::Fd::new(fs::File::open("Cargo.toml").unwrap().into()));
            let took = timeout(Duration::from_secs(10), use_files("stuck_closures_file")).await;
            // What is stuck is noticed after a second: until then they would have waited.
            assert!(took.expect("files wait behind closures") < Duration::from_millis(900));
            assert!(sound::settle().await, "the close waits");
            sleep(Duration::from_millis(1300)).await;
            let pool = annulus::metrics().pool;
            assert_eq!((pool.closures_run, pool.queued, pool.slow), (4, 2, 4), "no more than four: {pool:?}");
            assert!(pool.oldest_wait > Duration::from_secs(1), "{pool:?}");
            drop(gates);
            for closure in closures {
                closure.await.unwrap();
            }
        });
        sound::end(a, "closures that came to their end");
    });
}

/// A closure that waits for as long as the sender is kept.
fn stuck_closure() -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (go, gate) = mpsc::channel();
    (go, spawn_blocking(move || assert!(gate.recv().is_err())))
}

/// Runs `test` in a process of its own, and gives what it wrote to the standard error.
fn told(test: &str, role: &str) -> String {
    let Output { status, stderr, .. } = again::again(test, role).output().unwrap();
    let told = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{told}");
    told.lines().filter(|line| line.starts_with("SKIP ")).for_each(|line| drop(writeln!(io::stderr(), "{line}")));
    told
}

/// One incident, one line: when nothing has moved for five seconds, and not again.
#[test]
fn a_stall_is_told_once() {
    const NAME: &str = "a_stall_is_told_once";
    let kind = match again::role().as_deref() {
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
        None => {
            let _alone = alone();
            let drivers = ["uring", "poll"].map(|role| std::thread::spawn(move || (role, told(NAME, role))));
            for (role, told) in drivers.map(|child| child.join().unwrap()) {
                let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("annulus: ")).collect();
                assert!(lines.len() == 1 || told.contains("SKIP "), "{role}: {told}");
                let line = "annulus: 2 closures of spawn_blocking wait for a thread of the pool, and the 1 that run \
                            have done so for 5s: ";
                assert!(lines.iter().all(|told| told.starts_with(line)), "{role}: {told}");
            }
            return;
        }
    };
    let Some(a) = try_runtime(NAME, limited(kind, 1)) else { return };
    a.block_on(async {
        let (gates, closures): (Vec<_>, Vec<_>) = (0..3).map(|_| stuck_closure()).unzip();
        sleep(Duration::from_millis(4500)).await;
        let _ = writeln!(io::stderr(), "before five seconds");
        sleep(Duration::from_millis(2500)).await;
        drop(gates);
        for closure in closures {
            closure.await.unwrap();
        }
    });
}

/// The end of a runtime waits for closures until its deadline, and tells of those that it leaves behind.
#[test]
fn closures_that_outlive_their_runtime_are_told() {
    const NAME: &str = "closures_that_outlive_their_runtime_are_told";
    let kind = match again::role().as_deref() {
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
        None => {
            let _alone = alone();
            for role in ["uring", "poll"] {
                let told = told(NAME, role);
                let line = "annulus: 2 closures of spawn_blocking did not end within 200ms; they run on by themselves";
                assert!(told.lines().any(|told| told == line) || told.contains("SKIP "), "{role}: {told}");
            }
            return;
        }
    };
    let Some(a) = try_runtime(NAME, limited(kind, 2).shutdown_deadline(Duration::from_millis(200))) else { return };
    let (gates, closures): (Vec<_>, Vec<_>) = a.block_on(async {
        let both = (0..3).map(|_| stuck_closure()).unzip();
        until(|| annulus::metrics().pool.closures_run == 2).await;
        both
    });
    let begun = Instant::now();
    drop(a);
    let took = begun.elapsed();
    assert!((180..1500).contains(&took.as_millis()), "the deadline is 200 ms, and it took {took:?}");
    drop(gates);
    let another = Runtime::new().unwrap();
    for closure in closures {
        assert!(another.block_on(closure).unwrap_err().is_cancelled(), "their runtime has ended");
    }
}

/// With an open in progress, too: it is leaked, and not waited for.
#[test]
fn an_open_that_outlives_its_runtime_is_told() {
    const NAME: &str = "an_open_that_outlives_its_runtime_is_told";
    if again::role().is_none() {
        let _alone = alone();
        let told = told(NAME, "poll");
        assert!(told.contains("annulus: 1 operations did not end within 200ms; leaked"), "{told}");
        return;
    }
    let fifo = Fifo::new("outlives");
    let a = limited(DriverKind::Poll, 1).shutdown_deadline(Duration::from_millis(200)).build().unwrap();
    a.block_on(async {
        drop(fifo.opens(1));
        until(|| annulus::metrics().pool.twins_run == 1).await;
    });
    let begun = Instant::now();
    drop(a);
    let took = begun.elapsed();
    assert!((180..1500).contains(&took.as_millis()), "the deadline is 200 ms, and it took {took:?}");
    // The late call still has its path, and its answer goes to nobody.
    let peer = fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&fifo.0);
    peer.expect("there is no reader: the call has ended early");
}
