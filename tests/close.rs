//! **Close waits**: a number is closed only after the final completion of the last operation that names it, so no
//! operation ever works on whatever got the number next.
//!
//! The kernel may look a number up long after it took the entry: a SHUTDOWN or an FSYNC does so on another thread.

#[path = "sound/mod.rs"]
mod sound;

#[cfg(not(annulus_kqueue))]
use annulus::ring::{Ring, Sqe};
use annulus::{
    DriverKind, Fd, op,
    time::{Duration, timeout},
};
use sound::{Yard, a_moment, descriptors, end, no_more_than, on_both, poll_once, runtime, settle, socket_pair};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

const RUNS: usize = 1500;

/// Whether the number is open.
fn is_open(fd: RawFd) -> bool {
    // SAFETY: a plain call, which any number may be given to.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Whether both ends of a pair still work.
fn is_unharmed((a, b): &mut (UnixStream, UnixStream)) -> bool {
    let mut got = [0; 2];
    a.write_all(b"a").is_ok()
        && b.write_all(b"b").is_ok()
        && a.read_exact(&mut got[..1]).is_ok()
        && b.read_exact(&mut got[1..]).is_ok()
        && &got == b"ba"
}

/// One shutdown whose descriptor's last handle is dropped while it is in flight, and who gets the number next.
async fn race(run: usize, kind: DriverKind) {
    let (fd, _peer) = socket_pair();
    let number = fd.as_raw_fd();
    let mut shutting = op::shutdown(&fd, std::net::Shutdown::Both);
    let early = poll_once(&mut shutting).await;
    drop(fd);
    if run % 2 == 0 {
        annulus::yield_now().await;
    }
    let pending = early.is_none();
    assert!(pending || kind == DriverKind::Poll);
    let mut newer = UnixStream::pair().unwrap();
    if pending {
        assert!(is_open(number) && newer.0.as_raw_fd() != number && newer.1.as_raw_fd() != number, "given away");
    }
    match early {
        Some(res) => res.unwrap(),
        // Abandoned, it holds the number just as long.
        None if run % 3 == 0 => drop(shutting),
        None => shutting.await.unwrap(),
    }
    annulus::yield_now().await;
    assert!(is_unharmed(&mut newer), "run {run}: a newer socket was shut down");
    assert!(settle().await);
    assert!(is_unharmed(&mut newer), "run {run}: a newer socket was shut down late");
}

#[test]
fn a_shutdown_never_meets_a_newer_socket() {
    on_both("a_shutdown", |kind| {
        let before = descriptors();
        let a = runtime(kind, 8);
        a.block_on(async {
            for run in 0..RUNS {
                race(run, kind).await;
            }
        });
        end(a, "shutdowns");
        no_more_than(&before, "shutdowns");
    });
}

/// The control: the same by hand, with a close that does not wait.
#[cfg(not(annulus_kqueue))]
#[test]
fn a_close_that_does_not_wait_hits_newer_sockets() {
    let _alone = sound::alone();
    let mut ring = match Ring::new(8) {
        Ok(ring) => ring,
        Err(e) => return drop(writeln!(io::stderr(), "SKIP a_close_that_does_not_wait: {e}")),
    };
    let (mut hit, mut runs) = (0, 0);
    while runs < RUNS && hit < 100 {
        runs += 1;
        let (ours, _peer) = UnixStream::pair().unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(ours);
        for sqe in [Sqe::shutdown(number, libc::SHUT_RDWR), Sqe::close(number)] {
            // SAFETY: no memory is named. That the number may be another's is what this is about.
            unsafe { ring.push(&sqe) }.unwrap();
        }
        ring.submit().unwrap();
        let mut newer = UnixStream::pair().unwrap();
        ring.submit_and_wait(2).unwrap();
        assert_eq!(ring.completions().count(), 2);
        hit += usize::from(!is_unharmed(&mut newer));
    }
    println!("a close that does not wait: a newer socket was shut down in {hit} of {runs} runs");
    assert!(hit > 0, "the race that these tests are about does not happen here");
}

#[test]
fn a_sync_never_finds_its_number_gone() {
    on_both("a_sync", |kind| {
        let before = descriptors();
        let (a, path) = (runtime(kind, 8), sound::path("sync"));
        a.block_on(async {
            for run in 0..300 {
                let file = File::options().write(true).create(true).truncate(true).open(&path).unwrap();
                let fd = Fd::new(file.into());
                let number = fd.as_raw_fd();
                let mut syncs: Vec<_> = (0..4).map(|_| op::fdatasync(&fd)).collect();
                for sync in &mut syncs {
                    assert!(poll_once(sync).await.is_none());
                }
                drop(fd);
                let newer = File::open("/dev/null").unwrap();
                assert!(is_open(number) && newer.as_raw_fd() != number, "given away");
                syncs.truncate(if run % 2 == 0 { 1 } else { 4 });
                for sync in syncs {
                    sync.await.unwrap();
                }
            }
            assert!(settle().await);
        });
        fs::remove_file(path).unwrap();
        end(a, "syncs");
        no_more_than(&before, "syncs");
    });
}

/// What waits in the poll driver's queues, in the ring, or on a thread of the pool: each holds its number, and no more.
#[test]
fn an_operation_in_flight_holds_its_number_until_it_is_done() {
    on_both("an_operation_in_flight", |kind| {
        let (a, yard) = (runtime(kind, 8), Yard::new());
        a.block_on(async {
            for abandon in [false, true] {
                let (fd, mut peer) = socket_pair();
                let number = fd.as_raw_fd();
                peer.set_nonblocking(true).unwrap();
                let mut first = op::recv(&fd, yard.buffer(8));
                let mut second = op::recv(&fd, yard.buffer(8));
                assert!(poll_once(&mut first).await.is_none() && poll_once(&mut second).await.is_none());
                drop(fd);
                a_moment().await;
                assert!(is_open(number), "closed while two operations are in flight");
                if abandon {
                    drop(first);
                } else {
                    first.cancel();
                    assert!(first.await.0.is_err());
                }
                a_moment().await;
                assert!(is_open(number), "closed while an operation is in flight");
                assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
                second.cancel();
                assert!(second.await.0.is_err());
                assert!(settle().await);
                assert_eq!(peer.read(&mut [0]).unwrap(), 0, "nobody needs it any more, and it is open");
            }
        });
        end(a, "two receives");
        assert_eq!((yard.changed(), yard.alive()), (0, 0));
    });
}

/// A stream that is dropped right after its abandoned read: what the number is next gets none of that read's harm.
#[test]
fn an_abandoned_read_takes_nothing_from_a_newer_stream() {
    on_both("an_abandoned_read", |kind| {
        let (before, yard) = (descriptors(), Yard::new());
        let a = runtime(kind, 8);
        a.block_on(async {
            for run in 0..500 {
                let (fd, _peer) = socket_pair();
                let number = fd.as_raw_fd();
                let mut reading = op::read(&fd, yard.buffer(64));
                assert!(poll_once(&mut reading).await.is_none());
                if run % 2 == 0 {
                    annulus::yield_now().await;
                }
                drop(reading);
                drop(fd);
                let (newer, mut peer) = socket_pair();
                assert!(kind == DriverKind::Poll || newer.as_raw_fd() != number, "given away before the completion");
                peer.write_all(&[sound::DATA; 10]).unwrap();
                let got = timeout(Duration::from_secs(2), op::read(&newer, yard.buffer(64))).await;
                let (n, buf) = got.expect("somebody else took the data");
                assert!(n.unwrap() == 10 && buf.has(10));
            }
            assert!(settle().await);
        });
        end(a, "abandoned reads");
        assert_eq!((yard.changed(), yard.alive()), (0, 0));
        no_more_than(&before, "abandoned reads");
    });
}

/// A descriptor that is dropped outside of any runtime closes at once, and one of a forgotten operation never.
#[test]
fn numbers_outside_of_runtimes() {
    on_both("numbers_outside", |kind| {
        let (fd, mut peer) = socket_pair();
        drop(fd);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        let (fd, mut peer) = socket_pair();
        let number = fd.as_raw_fd();
        let a = runtime(kind, 8);
        let mut reading = op::read(&fd, vec![0; 8]);
        assert!(a.block_on(poll_once(&mut reading)).is_none());
        std::mem::forget(reading);
        drop(fd);
        end(a, "a forgotten read");
        peer.set_nonblocking(true).unwrap();
        assert!(is_open(number) && peer.read(&mut [0]).is_err());
        // SAFETY: the operation that owned the number was forgotten, and its runtime has ended.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}
