//! Traps that who uses io_uring by hand falls into, and what is known of each. T17 to T20 and T25 are a runtime's:
//! `tests/traps.rs`, `src/buf`. A name without a file is a room of these tests, or below.
//!
//! | trap | tests |
//! |---|---|
//! | T1: a closed ring still writes | `tests/teardown.rs`: `a_ring_that_is_only_closed_is_still_written_for` |
//! | T2: a submit fails, and what it lends is freed | `t02_a_failed_enter_frees_nothing`, `setup` |
//! | T3: the first answer is taken for the last | `t03_a_send_lends_until_it_is_said`, `tests/zero_copy.rs` |
//! | T4: a result that nobody reads owns something | `t04_what_an_unread_answer_owns_stays_open`, `tests/leaks.rs` |
//! | T5: an answer is taken for that of another | `src/driver/slots.rs` |
//! | T6: what an entry points to is gone | `files::what_was_submitted_may_be_used_again`, `tests/compile.rs` |
//! | T7: a cancel is lost in a full queue | `cancel::t07_a_cancel_that_finds_no_room_is_told`, `tests/abandon.rs` |
//! | T8: a cancel is taken for the end | `cancel::t08_*` |
//! | T9: a close is taken for a cancel | `t09_*`, `tests/close.rs` |
//! | T10: positions wrap | `src/ring/sq.rs`, `src/ring/cq.rs`, `src/ring/shadow.rs`, `src/buf/group.rs` |
//! | T11: the tail of a buffer ring lies in its first entry | `src/sys/buf_ring.rs` |
//! | T12: a batch is cut | `links::a_chain_ends_with_its_enter`, `wide::a_chain_is_queued_whole_or_not_at_all` |
//! | T13: an overflow waits for an enter | `overflow`, `cancel::thirty_thousand_polls_are_cancelled` |
//! | T14: deferred work waits for an enter | `waits`, `links::chains_go_on_in_deferred_work` |
//! | T15: the kernel's thread sleeps, and looks late | `setup`, `t15_the_kernels_thread_looks_late` |
//! | T16: queues and threads | `t16_*`, `tests/compile.rs`: `t16_threads_and_the_ring` |
//! | T21: a fork takes the ring along | `forks`, `exits`, `tests/traps.rs` |
//! | T22: a refusal has many errors | `t22_a_ring_that_is_not_enabled_says_so`, `tests/seccomp.rs` |
//! | T23: a version is taken for an ability | `t23_nobody_asks_for_the_kernels_version` |
//! | T24: sizes have limits | `files::t24_*`, `setup` |
//! | T26: what the kernel wrote is trusted | `tests/corpus.rs`, `src/ring/recvmsg_out.rs` |
//! | T27: a socket that cannot send from memory | `t27_a_send_that_is_refused_may_still_lend` |
//! | T28: registered memory is taken out while it is used | `t28_what_is_taken_out_is_written_to_the_end` |
//! | T29: a cancellation is told as something else | `cancel::t08_of_a_chain_only_the_first_is_found`, `links` |
//! | T30: a notifier is not armed again | `t30_a_poll_that_found_no_room_is_armed_again`, `tests/wake.rs` |
//! | T31: a wait counts as IO | `t31_a_wait_need_not_count_as_io` |
//! | T32: a thread ends | `exits::t32_*` |

use crate::common::{LONG, NOBODY, answers, nops, pending_read, push, read, results, ring};
use annulus::{
    entry::{BufIndex, Interest},
    ring::{CqeFlags, Enter, EnterFlags, Features, IoVec, Ring, SetupFlags, Sqe},
    sys,
};
use std::{
    ffi::CString,
    fs::{self, File},
    io::{ErrorKind, Read, Write, pipe},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
    thread,
    time::Instant,
};

/// Red when an entry that a failed enter left is not carried out by the next, or is carried out twice.
#[test]
fn t02_a_failed_enter_frees_nothing() {
    let mut ring = ring!("t02_a_failed_enter_frees_nothing", 4, SetupFlags::R_DISABLED);
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let mut memory = Box::new([0_u8; 4]);
    push(&mut ring, Sqe::read(reader.as_raw_fd(), memory.as_mut_ptr(), 4, u64::MAX).user_data(1)).unwrap();
    for _ in 0..3 {
        assert_eq!(ring.submit().unwrap_err().raw_os_error(), Some(libc::EBADFD));
        assert_eq!((ring.queued(), ring.ready()), (1, 0));
    }
    ring.enable().unwrap();
    assert_eq!((ring.submit().unwrap(), ring.queued()), (1, 0));
    writer.write_all(b"abcd").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 4)].into());
    assert_eq!((*memory, ring.ready()), (*b"abcd", 0));
}

/// A connection over the loopback.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Red when the answer of a zero-copy send is taken for its end. Since Linux 6.0.
#[test]
fn t03_a_send_lends_until_it_is_said() {
    let mut ring = ring!("t03_a_send_lends_until_it_is_said", 4);
    let (one, mut other) = connection();
    let memory = vec![7_u8; 4096];
    push(&mut ring, Sqe::send_zc(one.as_raw_fd(), memory.as_ptr(), 4096, 0).user_data(1)).unwrap();
    let first = answers(&mut ring, 1)[0];
    if first.res == -libc::EINVAL {
        return assert!(first.is_final(), "before Linux 6.0");
    }
    assert_eq!((first.user_data, first.res), (1, 4096));
    assert!(first.flags.contains(CqeFlags::MORE) && !first.is_final() && !first.flags.contains(CqeFlags::NOTIF));
    other.read_exact(&mut vec![0; 4096]).unwrap();
    let last = answers(&mut ring, 1)[0];
    assert_eq!((last.user_data, last.res & i32::MAX), (1, 0));
    assert!(last.flags.contains(CqeFlags::NOTIF) && last.is_final());
    drop(memory);
}

/// Red when a ring that is dropped closes what an answer brought that nobody read: it has an owner, or is lost.
#[test]
fn t04_what_an_unread_answer_owns_stays_open() {
    let mut ring = ring!("t04_what_an_unread_answer_owns_stays_open", 4);
    let path = std::env::temp_dir().join(format!("annulus-{}-unread", std::process::id()));
    fs::write(&path, b"abc").unwrap();
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    push(&mut ring, Sqe::openat(libc::AT_FDCWD, name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)).unwrap();
    ring.submit_and_wait(1).unwrap();
    assert_eq!(ring.ready(), 1);
    drop(ring);
    let numbers = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<_> = numbers.filter(|fd| fs::read_link(fd).is_ok_and(|to| to == path)).collect();
    fs::remove_file(&path).unwrap();
    let [number] = &left[..] else { panic!("{left:?}") };
    let number = number.file_name().unwrap().to_str().unwrap().parse().unwrap();
    // SAFETY: the descriptor was the completion's, and is now ours.
    let mut file = unsafe { File::from_raw_fd(number) };
    let mut bytes = [0; 3];
    file.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, *b"abc");
}

/// Red when a request is over because its descriptor is closed.
#[test]
fn t09_a_close_ends_no_request() {
    let mut ring = ring!("t09_a_close_ends_no_request", 4);
    let (rx, mut tx) = pipe().unwrap();
    let mut memory = Box::new([0_u8; 3]);
    push(&mut ring, Sqe::read(rx.as_raw_fd(), memory.as_mut_ptr(), 3, u64::MAX).user_data(1)).unwrap();
    ring.submit().unwrap();
    push(&mut ring, Sqe::close(rx.into_raw_fd()).user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(2, 0)].into());
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out, "the read goes on");
    tx.write_all(b"abc").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 3)].into());
    assert_eq!(*memory, *b"abc");
}

/// Puts `file` under the number of `fd`.
fn replace(fd: &impl AsRawFd, file: &impl AsRawFd) {
    // SAFETY: Plain call: the number stays its owner's to close.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), fd.as_raw_fd()) }, fd.as_raw_fd());
}

/// Red when an entry keeps the file that its number meant when it was pushed: descriptors are lent, too.
#[test]
fn t09_a_number_is_looked_up_at_the_submit() {
    let mut ring = ring!("t09_a_number_is_looked_up_at_the_submit", 4);
    let (rx, _tx) = pipe().unwrap();
    let mut byte = 7_u8;
    push(&mut ring, Sqe::read(rx.as_raw_fd(), &raw mut byte, 1, u64::MAX)).unwrap();
    replace(&rx, &File::open("/dev/zero").unwrap());
    assert_eq!(answers(&mut ring, 1)[0].res, 1);
    assert_eq!(byte, 0, "it was the other file");
}

/// Red when what is queued for the kernel's thread is looked up before that thread takes it.
#[test]
fn t15_the_kernels_thread_looks_late() {
    const NAME: &str = "t15_the_kernels_thread_looks_late";
    drop(ring!(NAME, 4, SetupFlags::SQPOLL));
    let mut ring = Ring::builder().flags(SetupFlags::SQPOLL).sq_thread_idle(1).build(4).unwrap();
    let begun = Instant::now();
    while !ring.needs_wakeup() {
        assert!(begun.elapsed() < LONG);
        thread::yield_now();
    }
    let (rx, _tx) = pipe().unwrap();
    let mut byte = 7_u8;
    push(&mut ring, Sqe::read(rx.as_raw_fd(), &raw mut byte, 1, u64::MAX)).unwrap();
    thread::sleep(NOBODY);
    assert_eq!((ring.queued(), ring.ready()), (1, 0), "it sleeps");
    replace(&rx, &File::open("/dev/zero").unwrap());
    assert_eq!(answers(&mut ring, 1)[0].res, 1);
    assert_eq!(byte, 0, "it was the other file");
}

/// Red when a ring that was sent loses what it had queued or what was ready.
#[test]
fn t16_a_ring_goes_from_thread_to_thread() {
    let mut ring = ring!("t16_a_ring_goes_from_thread_to_thread", 8);
    let mut due = Vec::new();
    for n in 0..8 {
        nops(&mut ring, 2 * n..2 * n + 1);
        ring.submit().unwrap();
        nops(&mut ring, 2 * n + 1..2 * n + 2);
        due.extend([2 * n, 2 * n + 1]);
        ring = thread::spawn(move || {
            assert_eq!(ring.queued(), 1);
            ring.submit().unwrap();
            ring
        })
        .join()
        .unwrap();
    }
    assert_eq!(read(&mut ring), due);
}

/// Red when two rings of one process are one.
#[test]
fn t16_two_rings_on_two_threads_know_nothing_of_each_other() {
    let (first, second) = (ring!("t16_two_rings", 8), ring!("t16_two_rings", 8));
    let work = |mut ring: Ring, base: u64| {
        for round in 0..500 {
            let numbers = base + 8 * round..base + 8 * round + 8;
            nops(&mut ring, numbers.clone());
            ring.submit_and_wait(8).unwrap();
            assert!(read(&mut ring).into_iter().eq(numbers));
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| work(first, 0));
        scope.spawn(|| work(second, 1 << 40));
    });
}

/// Red when the refusal of a ring that is not enabled is told as anything else.
#[test]
fn t22_a_ring_that_is_not_enabled_says_so() {
    let mut ring = ring!("t22_a_ring_that_is_not_enabled_says_so", 4, SetupFlags::R_DISABLED);
    nops(&mut ring, 0..1);
    for error in [ring.submit().unwrap_err(), ring.submit_and_wait(1).unwrap_err()] {
        assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
    }
    ring.enable().unwrap();
    assert_eq!(ring.enable().unwrap_err().raw_os_error(), Some(libc::EBADFD));
    ring.submit_and_wait(1).unwrap();
    assert_eq!(read(&mut ring), [0]);
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Red when the library looks at the kernel's version: distributions carry new things back, and take old ones out.
#[test]
fn t23_nobody_asks_for_the_kernels_version() {
    let sources = files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    // But for the report, which tells people.
    let tells = |path: &Path| path.parent().is_some_and(|folder| folder.ends_with("src/report"));
    let sources: Vec<_> = sources.into_iter().filter(|path| !tells(path)).collect();
    assert!(sources.len() > 50, "where are the sources?");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for word in ["uname(", "utsname", "osrelease", "/proc/version"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// Red when a send that failed is taken for over while the kernel says that there is more. Since Linux 6.0.
#[test]
fn t27_a_send_that_is_refused_may_still_lend() {
    let mut ring = ring!("t27_a_send_that_is_refused_may_still_lend", 4);
    let (one, _other) = UnixStream::pair().unwrap();
    let memory = [7_u8; 64];
    push(&mut ring, Sqe::send_zc(one.as_raw_fd(), memory.as_ptr(), 64, 0).user_data(1)).unwrap();
    let first = answers(&mut ring, 1)[0];
    assert!([-libc::EOPNOTSUPP, -libc::EINVAL].contains(&first.res), "{first:?}");
    if !first.is_final() {
        let last = answers(&mut ring, 1)[0];
        assert!(last.is_final() && last.flags.contains(CqeFlags::NOTIF) && last.user_data == 1, "{last:?}");
    }
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out, "no more comes");
}

/// Red when memory that was taken out of the table is not written by whom it was lent to before. Since Linux 5.19.
#[test]
fn t28_what_is_taken_out_is_written_to_the_end() {
    let mut ring = ring!("t28_what_is_taken_out_is_written_to_the_end", 4);
    if let Err(e) = ring.register_buffers_sparse(1) {
        return assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 5.19");
    }
    let (rx, mut tx) = pipe().unwrap();
    let mut memory = Box::new([0_u8; 8]);
    let start = memory.as_mut_ptr();
    // SAFETY: the memory outlives the request.
    unsafe { ring.update_buffers(BufIndex(0), &[IoVec::from(&raw mut memory[..])], &[]) }.unwrap();
    let entry = Sqe::read_fixed(rx.as_raw_fd(), start, 8, u64::MAX, BufIndex(0));
    push(&mut ring, entry.user_data(1)).unwrap();
    ring.submit().unwrap();
    ring.remove_buffer(BufIndex(0)).unwrap();
    push(&mut ring, entry.user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(2, -libc::EFAULT)].into(), "it is out");
    tx.write_all(b"abcdefgh").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 8)].into());
    assert_eq!(*memory, *b"abcdefgh", "and was lent all the same");
}

fn eventfd() -> OwnedFd {
    // SAFETY: Plain call: makes a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A poll of many answers ends where an answer finds no room. Red when that is not said, or a wake is missed once it is
/// armed again.
#[test]
fn t30_a_poll_that_found_no_room_is_armed_again() {
    let mut ring = ring!("t30_a_poll_that_found_no_room_is_armed_again", 1);
    let bell = File::from(eventfd());
    let entry = Sqe::poll_add(bell.as_raw_fd(), Interest::Read).user_data(1);
    let entry = Sqe { len: sys::IORING_POLL_ADD_MULTI, ..entry };
    push(&mut ring, entry).unwrap();
    ring.submit().unwrap();
    let wakes = 20;
    let (mut told, mut armed) = (0, 0);
    for _ in 0..wakes {
        (&bell).write_all(&1_u64.to_ne_bytes()).unwrap();
        ring.submit().unwrap();
    }
    let begun = Instant::now();
    while told < 3 * ring.cq_entries() {
        assert!(begun.elapsed() < LONG, "{told} answers, armed {armed} times");
        let over = answers(&mut ring, 1)[0];
        assert_eq!((over.user_data, over.res & i32::from(libc::POLLIN)), (1, libc::POLLIN.into()));
        told += 1;
        if over.is_final() {
            armed += 1;
            push(&mut ring, entry).unwrap();
            ring.submit().unwrap();
        }
        (&bell).write_all(&1_u64.to_ne_bytes()).unwrap();
    }
    // Old kernels keep what finds no room.
    assert!(armed > 0 || !ring.features().contains(Features::CQE_SKIP), "it never found the queue full");
}

/// Red when a wait that is not to count as IO is refused where it is known, or known where it is refused. Since Linux
/// 6.15.
#[test]
fn t31_a_wait_need_not_count_as_io() {
    let mut ring = ring!("t31_a_wait_need_not_count_as_io", 4);
    let known = ring.features().contains(Features::NO_IOWAIT);
    let enter = Enter { wait: 1, timeout: Some(NOBODY), flags: EnterFlags::NO_IOWAIT, ..Enter::default() };
    match ring.enter(&enter) {
        Ok(entered) => assert!(known && entered.timed_out),
        Err(e) => assert!(!known && e.kind() == ErrorKind::Unsupported, "{e}"),
    }
    let _pair = pending_read(&mut ring, 1);
    ring.submit().unwrap();
    assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out);
}
