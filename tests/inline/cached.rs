//! Reads of what is in memory: on Linux alone is there a call that promises not to wait.

use super::{counters, on_ring, polled};
use annulus::{
    Builder, DriverKind, Fd,
    buf::{IoBufMut, VecBuf},
    op, time,
};
use std::{
    cell::Cell,
    env,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

const PAGE: usize = 4096;

/// Whether one of these names is hidden.
fn hides(names: &[&str]) -> bool {
    env::var("ANNULUS_HIDE_OPS").unwrap_or_default().split(',').any(|name| names.contains(&name))
}

/// Whether a read that is no call is an entry.
fn by_entry() -> bool {
    on_ring() && !hides(&["READ", "READV"])
}

/// Whether a read may be a call.
fn may_read() -> bool {
    knows() && !(by_entry() && hides(&["INLINE"]))
}

/// Whether this system has such a call: emulated ones do not, and some sandboxes.
fn knows() -> bool {
    let file = File::open("Cargo.toml").unwrap();
    let mut byte = 0u8;
    let room = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: the byte lives through the call.
    let n = unsafe { libc::preadv2(file.as_raw_fd(), &room, 1, 0, libc::RWF_NOWAIT) };
    // What somebody else is just reading ahead is not in memory yet.
    cfg!(not(annulus_kqueue)) && (n == 1 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock)
}

/// What byte a file of ours has there.
fn byte(place: usize) -> u8 {
    (place / 7) as u8
}

/// A file of so many bytes, which nobody else has, and that are on the disk: `target` is no memory, as `/tmp` may be.
fn file(len: usize) -> (File, PathBuf) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("inline-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all(&(0..len).map(byte).collect::<Vec<_>>()).unwrap();
    file.sync_all().unwrap();
    (file, path)
}

fn fd(file: File) -> Fd {
    Fd::from(OwnedFd::from(file))
}

/// Forgets what of a file is in memory there. Whether that was done: the system may keep it.
fn forget(file: &impl AsRawFd, place: usize, len: usize) -> bool {
    let fd = file.as_raw_fd();
    // SAFETY: passes no pointers.
    unsafe { libc::posix_fadvise(fd, place as libc::off_t, len as libc::off_t, libc::POSIX_FADV_DONTNEED) };
    // SAFETY: a map of its own, of a file that is longer than that.
    let map =
        unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, place as libc::off_t) };
    assert_ne!(map, libc::MAP_FAILED);
    let mut pages = vec![1u8; len.div_ceil(PAGE)];
    // SAFETY: one byte for each page of the map.
    unsafe { libc::mincore(map, len, pages.as_mut_ptr()) };
    // SAFETY: nobody refers to the map.
    unsafe { libc::munmap(map, len) };
    pages.iter().all(|page| page & 1 == 0)
}

fn calls() -> u64 {
    counters().inline
}

/// A read, and how many calls it was.
async fn read(fd: &Fd, place: usize, len: usize) -> (io::Result<Vec<u8>>, u64) {
    let before = calls();
    let (n, buf) = op::read_at(fd, Vec::with_capacity(len), place as u64).await;
    (n.map(|n| buf[..n].to_vec()), calls() - before)
}

fn bytes(place: usize, len: usize) -> Vec<u8> {
    (place..place + len).map(byte).collect()
}

fn one() -> u64 {
    u64::from(may_read())
}

/// Red when the ring's driver does not call, and when it calls but pushes the entry as well; when the end is not told
/// from what is not in memory.
#[annulus::test]
async fn what_is_in_memory_is_read_by_a_call() {
    let (file, path) = file(3 * PAGE + 10);
    std::fs::remove_file(path).unwrap();
    let fd = fd(file);
    let before = counters();
    for (place, len, comes) in [(0, 100, 100), (5000, 5000, 5000), (3 * PAGE, PAGE, 10), (1 << 20, 5, 0), (0, 0, 0)] {
        let (read, calls) = read(&fd, place, len).await;
        assert_eq!((read.unwrap(), calls), (bytes(place, comes), one()), "{len} at {place}");
    }
    let parts = VecBuf::from(vec![vec![0; 10], vec![], vec![0; PAGE]]);
    let (n, parts) = op::readv_at(&fd, parts, 3 * PAGE as u64 - 8).await;
    let parts: Vec<Vec<u8>> = parts.into();
    assert_eq!((n.unwrap(), &parts[0], &parts[2][..8]), (18, &bytes(3 * PAGE - 8, 10), &bytes(3 * PAGE + 2, 8)[..]));
    let after = counters();
    if may_read() {
        assert_eq!((after.inline - before.inline, after.sqes_total() - before.sqes_total()), (6, 0));
        assert_eq!(after.twins_pool, before.twins_pool);
    }
    let (fetched, calls) = read(&fd, 0, (64 << 10) + 1).await;
    assert_eq!((fetched.unwrap().len(), calls), (3 * PAGE + 10, 0), "so much may be asked for elsewhere");
    let (n, _) = op::readv_at(&fd, VecBuf::from(vec![vec![0; 40 << 10]; 2]), 0).await;
    assert_eq!(n.unwrap(), 3 * PAGE + 10);
    let (fetched, calls) = read(&fd, 0, 1).await;
    assert_eq!((fetched.unwrap().len(), calls), (1, one()), "what is not tried is not in vain");
}

/// Who builds on it that a read is pending once, can have that. Red when nobody listens.
#[test]
fn reads_can_be_entries() {
    for entries in [false, true] {
        let Ok(runtime) = Builder::new().driver(DriverKind::Uring).cached_reads(!entries).build() else {
            return drop(writeln!(io::stderr(), "SKIP reads_can_be_entries: there is no ring"));
        };
        runtime.block_on(async {
            let (file, path) = file(PAGE);
            std::fs::remove_file(path).unwrap();
            let (fd, called) = (fd(file), calls());
            let mut reading = op::read_at(&fd, Vec::with_capacity(10), 5);
            let at_once = polled(&mut reading).await.is_ready();
            if !at_once {
                assert_eq!(reading.await.1, bytes(5, 10));
            }
            let once = (entries && !hides(&["READ"])) || !may_read();
            assert!(at_once != once && calls() - called == u64::from(at_once), "{:?}", counters());
        });
    }
}

/// Red when a read from the file's own position is a call: a part of it would be gone.
#[annulus::test]
async fn a_files_own_position_is_the_kernels() {
    let (file, path) = file(PAGE);
    std::fs::remove_file(path).unwrap();
    let (fd, before) = (fd(file.try_clone().unwrap()), calls());
    io::Seek::rewind(&mut &file).unwrap();
    for place in [0, 10, 20] {
        let (n, buf) = op::read(&fd, Vec::with_capacity(10)).await;
        assert_eq!((n.unwrap(), buf), (10, bytes(place, 10)));
    }
    assert_eq!(calls(), before);
}

/// Has no more read into memory than what is asked for.
fn read_no_further(file: &File) {
    // SAFETY: passes no pointers.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
}

/// Red when what is not in memory is taken for an end, and when it is tried each time though it never is.
#[annulus::test]
async fn what_is_not_in_memory_is_an_entry() {
    let (file, path) = file(64 * PAGE);
    std::fs::remove_file(path).unwrap();
    // What is being read ahead cannot be forgotten, and is there a moment later.
    read_no_further(&file);
    let (fd, mut cold) = (fd(file), 0);
    for n in 0..8 {
        let place = n * 7 * PAGE;
        let forgotten = forget(&fd, 0, 64 * PAGE);
        let (read, calls) = read(&fd, place, 2 * PAGE).await;
        assert!(read.unwrap() == bytes(place, 2 * PAGE), "{n}");
        // A try begins to fetch what is missing, and a fast disk may be done before it looks.
        cold += u64::from(forgotten && calls == 0);
    }
    let warm = read(&fd, 0, PAGE).await.0.unwrap();
    assert_eq!(warm, bytes(0, PAGE));
    let mut until = 0;
    while may_read() && read(&fd, 0, PAGE).await.1 == 0 {
        until += 1;
        assert!(until < 70, "what is in memory is never tried again");
    }
    if may_read() && cold == 8 {
        // Three of the eight were tried in vain: the first, the third and the seventh; seven rest then.
        assert_eq!(until, 5);
    }
}

/// Red when a count that ends where the page cache does is taken for the file's end.
#[annulus::test]
async fn a_part_that_is_in_memory_is_no_answer() {
    const HALF: usize = 512 * PAGE;
    let (file, path) = file(2 * HALF);
    std::fs::remove_file(path).unwrap();
    if !forget(&file, 0, 2 * HALF) {
        return drop(writeln!(io::stderr(), "SKIP a_part_that_is_in_memory_is_no_answer: the disk is memory here"));
    }
    // So the one page is there and its neighbour is not.
    read_no_further(&file);
    file.read_exact_at(&mut [0; PAGE], HALF as u64).unwrap();
    let fd = fd(file);
    let (part, calls) = read(&fd, HALF, PAGE).await;
    assert_eq!((part.unwrap() == bytes(HALF, PAGE), calls), (true, one()));
    let (whole, _) = read(&fd, HALF, 4 * PAGE).await;
    assert!(whole.unwrap() == bytes(HALF, 4 * PAGE));
}

/// A read of a page as devices want it, and how many calls it was.
async fn read_aligned(fd: &Fd) -> (bool, u64) {
    let (buf, before) = (vec![0; 2 * PAGE], calls());
    let start = buf.as_ptr().align_offset(PAGE);
    let (n, buf) = op::read_at(fd, buf.slice_mut(start..start + PAGE), 0).await;
    (matches!(n, Ok(PAGE)) && buf.into_inner()[start..][..PAGE] == bytes(0, PAGE), calls() - before)
}

/// Past the page cache even a read that promises not to wait does. Red when nobody asks, and when nobody asks again.
#[annulus::test]
async fn what_goes_past_the_page_cache_is_never_called() {
    let (file, path) = file(PAGE);
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path);
    std::fs::remove_file(path).unwrap();
    let Ok(direct) = opened.map(fd) else { return };
    for _ in 0..3 {
        assert_eq!(read_aligned(&direct).await, (true, 0));
    }
    let fd = fd(file);
    assert_eq!(read_aligned(&fd).await, (true, one()));
    // SAFETY: passes no pointers.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_DIRECT) }, 0);
    for _ in 0..256 {
        read_aligned(&fd).await;
    }
    for _ in 0..10 {
        assert_eq!(read_aligned(&fd).await, (true, 0), "it is a call for ever");
    }
}

/// Those that are always the same. Red when they are no calls, or when another device is one.
#[annulus::test]
async fn devices_that_keep_nothing_are_read_by_a_call() {
    let mut open = Vec::new();
    for (path, comes, one) in [("/dev/null", 0, one()), ("/dev/zero", 9, one()), ("/dev/urandom", 9, 0)] {
        let (fd, before) = (fd(File::open(path).unwrap()), calls());
        // A close would be queued.
        open.push(fd.clone());
        assert_eq!(op::read(&fd, Vec::with_capacity(9)).await.0.unwrap(), comes, "{path}");
        assert_eq!(calls() - before, one, "{path}");
        let (read, calls) = read(&fd, 3, 9).await;
        assert_eq!((read.unwrap().len(), calls), (comes, one), "{path}, at a place");
    }
}

/// A pipe has no places, and what is read of it is gone.
#[annulus::test(driver = "uring")]
async fn a_pipe_is_read_by_an_entry() {
    let (reader, mut writer) = io::pipe().unwrap();
    let (fd, before) = (Fd::from(OwnedFd::from(reader)), calls());
    writer.write_all(b"abcd").unwrap();
    assert_eq!(op::read(&fd, Vec::with_capacity(3)).await.1, b"abc");
    assert_eq!(op::read(&fd, Vec::with_capacity(3)).await.1, b"d");
    assert_eq!(calls(), before);
}

/// Red when calls are not counted: then whoever can always read keeps everybody else from running.
#[annulus::test]
async fn who_can_always_read_lets_others_through() {
    const READS: u64 = 100_000;
    let fd = fd(File::open("/dev/zero").unwrap());
    let slept = Rc::new(Cell::new(false));
    let sleeper = slept.clone();
    annulus::spawn(async move {
        time::sleep(Duration::from_millis(1)).await;
        sleeper.set(true);
    });
    annulus::yield_now().await;
    let before = counters();
    let (mut reads, mut buf) = (0, Vec::with_capacity(1));
    while !(slept.get() && reads >= 1000) && reads < READS {
        let (n, back) = op::read_at(&fd, buf, 0).await;
        assert_eq!(n.unwrap(), 1);
        (reads, buf) = (reads + 1, back);
        buf.clear();
    }
    let after = counters();
    assert!(slept.get(), "{reads} were read, and nobody came to his turn");
    assert!((after.turns - before.turns) * 129 + 129 >= reads, "{reads} in {} turns", after.turns - before.turns);
    if may_read() {
        assert!((after.inline - before.inline) * 10 > reads * 9, "{after:?}");
        assert_eq!(after.twins_pool, before.twins_pool, "what is in memory costs no thread, however much it is");
    }
}

/// Red when a read overtakes what is queued, and when one that follows a write does not see it.
#[annulus::test]
async fn a_read_finds_what_was_written_before_it() {
    let (file, path) = file(PAGE);
    std::fs::remove_file(path).unwrap();
    let fd = fd(file);
    for n in 0..20 {
        assert_eq!(op::write_at(&fd, vec![n; 10], 5).await.0.unwrap(), 10);
        assert_eq!(read(&fd, 5, 10).await.0.unwrap(), [n; 10]);
    }
    if !by_entry() || hides(&["WRITE"]) {
        return;
    }
    let mut writing = op::write_at(&fd, vec![99; 10], 5);
    assert!(polled(&mut writing).await.is_pending());
    let (read, calls) = read(&fd, 0, PAGE).await;
    assert_eq!((read.unwrap().len(), calls), (PAGE, 0), "the write is queued before it");
    assert_eq!(writing.await.0.unwrap(), 10);
}

/// Red when reads of few tasks are entries, and when those of many, which go to the kernel together, are calls.
#[annulus::test(driver = "uring")]
async fn reads_of_few_tasks_are_calls_and_those_of_many_are_entries() {
    let (file, path) = file(32 * PAGE);
    std::fs::remove_file(path).unwrap();
    let fd = fd(file);
    for (tasks, most) in [(4, 0), (32, u64::MAX), (4, 8)] {
        let before = counters();
        let reading = (0..tasks).map(|n| {
            let fd = fd.clone();
            annulus::spawn(async move {
                let mut buf = Vec::with_capacity(PAGE);
                for _ in 0..100 {
                    let (n, back) = op::read_at(&fd, buf, n * PAGE as u64).await;
                    assert_eq!(n.unwrap(), PAGE);
                    buf = back;
                }
            })
        });
        for task in reading.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let after = counters();
        let [entries, calls] = [after.sqes_of("READ") - before.sqes_of("READ"), after.twins_here - before.twins_here];
        assert_eq!(entries + calls, 100 * tasks);
        if may_read() && by_entry() {
            assert!(entries <= most && (tasks < 32 || entries > calls), "{tasks}: {entries} entries, {calls} calls");
        }
    }
}

/// Red when whoever has had most of a turn is the first to have of the next.
#[annulus::test]
async fn reads_of_several_tasks_have_their_share() {
    const ALL: u64 = 20_000;
    let (fd, reads) = (fd(File::open("/dev/zero").unwrap()), Rc::new(<[Cell<u64>; 4]>::default()));
    let reading = (0..reads.len()).map(|own| {
        let (fd, reads) = (fd.clone(), reads.clone());
        annulus::spawn(async move {
            while reads.iter().map(Cell::get).sum::<u64>() < ALL {
                assert_eq!(op::read_at(&fd, Vec::with_capacity(1), 0).await.0.unwrap(), 1);
                reads[own].set(reads[own].get() + 1);
            }
        })
    });
    for task in reading.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(reads.iter().all(|own| own.get() > ALL / 8), "{reads:?}");
}

/// Red when one poll can copy without end.
#[annulus::test]
async fn what_a_turn_copies_has_an_end() {
    const LEN: usize = 64 << 10;
    let (fd, before) = (fd(File::open("/dev/zero").unwrap()), counters());
    let mut reads: Vec<_> = (0..200).map(|_| op::read_at(&fd, vec![1; LEN], 0)).collect();
    let mut done = Vec::new();
    for read in &mut reads {
        done.push(match polled(read).await {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        });
    }
    let calls = counters().twins_here - before.twins_here;
    assert_eq!(calls, 64 * one());
    for (read, done) in reads.into_iter().zip(done) {
        let (n, buf) = match done {
            Some(done) => done,
            None => read.await,
        };
        // A signal cuts what a device gives.
        assert!(n.unwrap() > 0 && buf.iter().all(|&byte| byte == 0));
    }
}
