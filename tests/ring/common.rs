//! What every room needs: rings of the kinds that this kernel has, and the shortest entries there are.

use annulus::ring::{Cqe, Full, Ring, SetupFlags, Sqe};
use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    thread,
    time::{Duration, Instant},
};

/// Written past the harness, which hides what a passing test prints.
pub(crate) fn skip(name: &str, reason: impl Display) {
    let _ = writeln!(io::stderr(), "SKIP {name}: {reason}");
}

/// A ring, or a line that says why this test is skipped: only for want of io_uring or of a flag.
pub(crate) fn ring_or_skip(name: &str, entries: u32, flags: SetupFlags) -> Option<Ring> {
    for _ in 0..200 {
        match Ring::builder().flags(flags).build(entries) {
            Ok(ring) => return Some(ring),
            // Closed rings are credited late.
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => thread::sleep(Duration::from_millis(10)),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EINVAL)) => {
                skip(name, format!("{flags:?}: {e}"));
                return None;
            }
            Err(e) => panic!("{name}: {e}"),
        }
    }
    panic!("{name}: no memory for a ring of {entries} entries");
}

/// A ring with an index, or a line that says why this test is skipped: only for want of indices, before Linux 5.18.
pub(crate) fn indexed_or_skip(name: &str, entries: u32) -> Option<Ring> {
    let mut ring = ring_or_skip(name, entries, SetupFlags::empty())?;
    match ring.register_ring_fd() {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            skip(name, format!("no indices: {e}"));
            None
        }
        other => {
            other.unwrap();
            Some(ring)
        }
    }
}

/// `ring!(NAME, entries)` or `ring!(NAME, entries, flags)`: a ring, or the end of the test.
macro_rules! ring {
    ($name:expr, $entries:expr) => {
        ring!($name, $entries, annulus::ring::SetupFlags::empty())
    };
    ($name:expr, $entries:expr, $flags:expr) => {
        match $crate::common::ring_or_skip($name, $entries, $flags) {
            Some(ring) => ring,
            None => return,
        }
    };
}
pub(crate) use ring;

/// Pushes what names no memory of ours, or memory that outlives the test's last completion.
pub(crate) fn push(ring: &mut Ring, sqe: Sqe) -> Result<(), Full> {
    // SAFETY: Lent: see above; every test that reads into memory reaps before it ends.
    unsafe { ring.push(&sqe) }
}

pub(crate) fn nops(ring: &mut Ring, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| push(ring, Sqe::nop().user_data(n)).unwrap());
}

pub(crate) fn read(ring: &mut Ring) -> Vec<u64> {
    ring.completions().map(|cqe| cqe.user_data).collect()
}

/// Submits what is queued and waits until `n` completions came; they are in the order of their coming.
pub(crate) fn answers(ring: &mut Ring, n: usize) -> Vec<Cqe> {
    let (begun, mut all) = (Instant::now(), Vec::new());
    while all.len() < n {
        ring.wait_timeout(1, NOBODY).unwrap();
        all.extend(ring.completions().take(n - all.len()));
        assert!(begun.elapsed() < LONG, "{n} are due, and these came: {all:?}");
    }
    all
}

/// The result of each, by its number; each number comes once.
pub(crate) fn results(all: Vec<Cqe>) -> BTreeMap<u64, i32> {
    let n = all.len();
    let results: BTreeMap<_, _> = all.iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
    assert_eq!(results.len(), n, "one was answered twice: {all:?}");
    results
}

/// A read of one byte from an empty socket, into memory that is never freed.
pub(crate) fn pending_read(ring: &mut Ring, user_data: u64) -> (UnixStream, UnixStream) {
    let (reader, writer) = UnixStream::pair().unwrap();
    let byte: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    push(ring, Sqe::read(reader.as_raw_fd(), byte.as_mut_ptr(), 1, u64::MAX).user_data(user_data)).unwrap();
    (reader, writer)
}

pub(crate) const NOBODY: Duration = Duration::from_millis(20);
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The one answer to an entry that names no memory of ours, or memory that outlives the answer.
pub(crate) fn answer(ring: &mut Ring, sqe: Sqe) -> Cqe {
    push(ring, sqe).unwrap();
    ring.submit_and_wait(1).unwrap();
    let cqe = ring.completions().next().unwrap();
    assert_eq!(ring.ready(), 0);
    cqe
}

/// The kernel's error.
#[track_caller]
pub(crate) fn errno<T>(result: io::Result<T>) -> i32 {
    let Err(error) = result else { panic!("it succeeded") };
    error.raw_os_error().unwrap_or_else(|| panic!("no errno: {error}"))
}

/// What succeeded; nothing where the kernel is too old for it, which it says by `EINVAL`. It is not too old if it has
/// `opcode`, which is as new.
#[track_caller]
pub(crate) fn newer<T>(ring: &Ring, opcode: u32, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) && !ring.probe().unwrap().supports(opcode as u8) => None,
        Err(e) => panic!("{e}"),
    }
}

/// The two flags that let completions wait for an enter.
pub(crate) const DEFER: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The kernel's number of an error; `None` for what went well.
pub(crate) fn os_error<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

/// Ends a wait that would never end, with a completion that no test expects.
pub(crate) fn guard(ring: &mut Ring) {
    static LIMIT: annulus::sys::__kernel_timespec =
        annulus::sys::__kernel_timespec { tv_sec: LONG.as_secs() as i64, tv_nsec: 0 };
    push(ring, Sqe::timeout(&LIMIT).user_data(u64::MAX)).unwrap();
}

/// Gives whether `holds` does, in one of several tries: a machine that is busy with something else is slow at times.
pub(crate) fn sometimes(mut holds: impl FnMut() -> bool) -> bool {
    (0..20).any(|_| holds())
}
