//! `annulus::ring` on the real kernel.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "outside/child.rs"]
mod child;

use annulus::{
    ring::{Enter, EnterFlags, Features, Full, Ring, SetupFlags, Sqe},
    sys,
};
use child::in_child;
use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    io::{self, Write},
    mem::MaybeUninit,
    os::{fd::AsRawFd, unix::net::UnixStream},
    ptr, thread,
    time::{Duration, Instant},
};

/// Written past the harness, which hides what a passing test prints.
fn skip(name: &str, reason: impl Display) {
    let _ = writeln!(io::stderr(), "SKIP {name}: {reason}");
}

/// A ring, or a line that says why this test is skipped: only for want of io_uring or of a flag.
fn ring_or_skip(name: &str, entries: u32, flags: SetupFlags) -> Option<Ring> {
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
fn indexed_or_skip(name: &str, entries: u32) -> Option<Ring> {
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

macro_rules! ring {
    ($name:literal, $entries:expr) => {
        ring!($name, $entries, SetupFlags::empty())
    };
    ($name:literal, $entries:expr, $flags:expr) => {
        match ring_or_skip($name, $entries, $flags) {
            Some(ring) => ring,
            None => return,
        }
    };
}

/// Pushes what names no memory of ours, or memory that outlives the test's last completion.
fn push(ring: &mut Ring, sqe: Sqe) -> Result<(), Full> {
    // SAFETY: Lent: see above; every test that reads into memory reaps before it ends.
    unsafe { ring.push(&sqe) }
}

fn nops(ring: &mut Ring, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| push(ring, Sqe::nop().user_data(n)).unwrap());
}

fn read(ring: &mut Ring) -> Vec<u64> {
    ring.completions().map(|cqe| cqe.user_data).collect()
}

/// A read of one byte from an empty socket, into memory that is never freed.
fn pending_read(ring: &mut Ring, user_data: u64) -> (UnixStream, UnixStream) {
    let (reader, writer) = UnixStream::pair().unwrap();
    let byte: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    push(ring, Sqe::read(reader.as_raw_fd(), byte.as_mut_ptr(), 1, u64::MAX).user_data(user_data)).unwrap();
    (reader, writer)
}

const NOBODY: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn nops_come_back_at_every_size() {
    for flags in [SetupFlags::empty(), SetupFlags::NO_SQARRAY] {
        for entries in [1, 2, 4, 64, 1024, 32768] {
            let mut ring = ring!("nops_come_back_at_every_size", entries, flags);
            assert_eq!((ring.sq_entries(), ring.cq_entries()), (entries, 2 * entries));
            let n = u64::from(entries);
            for round in 0..2 {
                nops(&mut ring, round * n..(round + 1) * n);
                assert_eq!(push(&mut ring, Sqe::nop()), Err(Full));
                assert_eq!((ring.queued(), ring.space_left()), (entries, 0));
                assert_eq!(ring.submit_and_wait(entries).unwrap(), entries);
                assert_eq!((ring.queued(), ring.space_left()), (0, entries));
            }
            assert_eq!(read(&mut ring), (0..2 * n).collect::<Vec<_>>());
            assert_eq!((ring.lost(), ring.dropped(), ring.poisoned()), (0, 0, false));
        }
    }
}

#[test]
fn sizes_are_rounded_and_the_completion_queue_has_its_own() {
    let Some(ring) = ring_or_skip("sizes_are_rounded", 3, SetupFlags::empty()) else { return };
    assert_eq!((ring.sq_entries(), ring.cq_entries()), (4, 8));
    let ring = Ring::builder().cq_entries(9).build(8).unwrap();
    assert_eq!((ring.sq_entries(), ring.cq_entries()), (8, 16));
    let ring = Ring::builder().cq_entries(8).build(8).unwrap();
    assert_eq!(ring.cq_entries(), 8);
    let ring = Ring::builder().clamp().build(1 << 20).unwrap();
    assert_eq!(ring.sq_entries(), 32768);
}

#[test]
fn user_data_is_returned_as_it_is() {
    let mut ring = ring!("user_data_is_returned_as_it_is", 4);
    for data in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
        push(&mut ring, Sqe::nop().user_data(data)).unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(read(&mut ring), [data]);
    }
}

#[test]
fn half_read_completions_stay() {
    let mut ring = ring!("half_read_completions_stay", 8);
    nops(&mut ring, 0..8);
    ring.submit_and_wait(8).unwrap();
    assert_eq!(ring.completions().next().map(|cqe| cqe.user_data), Some(0));
    assert_eq!(ring.ready(), 7);
    assert_eq!(read(&mut ring), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_wait_runs_out_without_an_error() {
    let mut ring = ring!("a_wait_runs_out_without_an_error", 4);
    let start = Instant::now();
    let entered = ring.wait_timeout(1, NOBODY).unwrap();
    assert!(entered.timed_out && entered.submitted == 0 && start.elapsed() >= NOBODY);

    nops(&mut ring, 0..1);
    let start = Instant::now();
    let entered = ring.wait_timeout(1, LONG).unwrap();
    assert!(!entered.timed_out && entered.submitted == 1 && start.elapsed() < LONG);

    // Completions are there, but fewer than waited for: the kernel tells of the submission alone.
    nops(&mut ring, 1..2);
    let start = Instant::now();
    let entered = ring.wait_timeout(4, NOBODY).unwrap();
    assert!(!entered.timed_out && entered.submitted == 1 && start.elapsed() >= NOBODY);
    assert_eq!(read(&mut ring), [0, 1]);
}

#[test]
fn a_huge_timeout_is_as_good_as_none() {
    let mut ring = ring!("a_huge_timeout_is_as_good_as_none", 4);
    nops(&mut ring, 0..1);
    assert_eq!(ring.wait_timeout(1, Duration::MAX).unwrap().submitted, 1);
}

#[test]
fn an_overflow_keeps_order_and_loses_nothing() {
    let mut ring = ring!("an_overflow_keeps_order_and_loses_nothing", 4);
    for batch in 0..4 {
        nops(&mut ring, batch * 4..batch * 4 + 4);
        assert_eq!(ring.submit().unwrap(), 4);
    }
    assert_eq!((ring.ready(), ring.cq_overflow(), ring.lost()), (8, true, 0));
    let mut all = read(&mut ring);
    assert!(ring.needs_enter() && ring.queued() == 0);
    for _ in 0..4 {
        ring.submit().unwrap();
        all.extend(read(&mut ring));
    }
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert_eq!((ring.cq_overflow(), ring.lost(), ring.needs_enter()), (false, 0, false));
}

#[test]
fn a_bad_entry_stops_its_batch_unless_all_are_asked_for() {
    let bad = Sqe { opcode: 200, ..Sqe::default() };
    for (flags, taken) in [(SetupFlags::empty(), 2), (SetupFlags::SUBMIT_ALL, 4)] {
        let mut ring = ring!("a_bad_entry_stops_its_batch", 4, flags);
        nops(&mut ring, 0..1);
        push(&mut ring, bad.user_data(1)).unwrap();
        nops(&mut ring, 2..4);
        assert_eq!(ring.submit().unwrap(), taken);
        assert_eq!(ring.queued(), 4 - taken);
        assert_eq!(ring.submit().unwrap(), 4 - taken);
        // Old kernels answer the refused one first.
        let results: BTreeMap<_, _> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
        assert!(results.into_iter().eq([(0, 0), (1, -libc::EINVAL), (2, 0), (3, 0)]));
    }
}

#[test]
fn bad_sizes_and_flags_are_refused_with_a_sentence() {
    use SetupFlags as F;
    let refused = |builder: annulus::ring::Builder, entries, word: &str| {
        let error = builder.build(entries).unwrap_err();
        assert!(error.to_string().contains(word), "{error} does not speak of {word}");
        error.kind()
    };
    let with = |flags| Ring::builder().flags(flags);
    let invalid = [
        (Ring::builder(), 0, "32768"),
        (Ring::builder(), 1 << 20, "32768"),
        (Ring::builder().clamp(), 0, "32768"),
        (Ring::builder().cq_entries(0), 8, "65536"),
        (Ring::builder().cq_entries(65537), 8, "65536"),
        (Ring::builder().cq_entries(8), 9, "16 entries"),
        (with(F::CQSIZE), 8, "cq_entries"),
        (with(F::SQPOLL | F::SQ_AFF), 8, "sq_thread_cpu"),
        (with(F::ATTACH_WQ), 8, "attach_wq"),
        (Ring::builder().sq_thread_cpu(0), 8, "SQPOLL"),
        (with(F::HYBRID_IOPOLL), 8, "IOPOLL"),
        (with(F::DEFER_TASKRUN), 8, "SINGLE_ISSUER"),
        (with(F::TASKRUN_FLAG), 8, "COOP_TASKRUN"),
        (with(F::SQPOLL | F::COOP_TASKRUN), 8, "SQPOLL"),
    ];
    for (builder, entries, word) in invalid {
        assert_eq!(refused(builder, entries, word), io::ErrorKind::InvalidInput);
    }
    let later = [F::SQE128, F::CQE32, F::SQE_MIXED, F::CQE_MIXED, F::NO_MMAP, F::REGISTERED_FD_ONLY, F::SQ_REWIND];
    for flag in later {
        let name = flag.iter_names().next().unwrap().0;
        assert_eq!(refused(with(flag), 8, name), io::ErrorKind::Unsupported);
    }
    assert_eq!(refused(with(F::from_bits_retain(1 << 30)), 8, "0x40000000"), io::ErrorKind::Unsupported);
}

#[test]
fn flags_that_are_not_the_callers_are_refused() {
    let mut ring = ring!("flags_that_are_not_the_callers_are_refused", 4);
    for flags in [EnterFlags::EXT_ARG, EnterFlags::EXT_ARG_REG, EnterFlags::REGISTERED_RING] {
        let error = ring.enter(&Enter { flags, ..Enter::default() }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(ring.enter(&Enter::default()).unwrap(), Default::default());
}

#[test]
fn an_enter_submits_no_more_than_it_is_told() {
    let mut ring = ring!("an_enter_submits_no_more_than_it_is_told", 4);
    nops(&mut ring, 0..3);
    let entered = ring.enter(&Enter { submit: 2, wait: 2, ..Enter::default() }).unwrap();
    assert_eq!((entered.submitted, ring.queued(), ring.ready()), (2, 1, 2));
}

fn ring_maps() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().matches("io_uring").count()
}

#[test]
fn a_forked_child_is_refused_and_makes_its_own() {
    let Some(mut ring) = indexed_or_skip("a_forked_child_is_refused_and_makes_its_own", 4) else { return };
    nops(&mut ring, 0..2);
    ring.submit_and_wait(2).unwrap();
    nops(&mut ring, 2..3);
    let child = |ring: &mut Ring| {
        push(ring, Sqe::nop()) == Err(Full)
            && ring.submit().is_err()
            && ring.submit_and_wait(1).is_err()
            && ring.wait_timeout(1, NOBODY).is_err()
            && ring.probe().is_err()
            && ring.unregister_ring_fd().is_err()
            && read(ring).is_empty()
            && (ring.ready(), ring.queued(), ring.space_left(), ring.lost(), ring.dropped()) == (0, 0, 0, 0, 0)
            && !(ring.needs_enter() || ring.cq_overflow() || ring.taskrun() || ring.needs_wakeup())
    };
    assert!(in_child(|| child(&mut ring)));
    // A ring that another test's thread is just mapping may be seen in a child: it is not kept from children yet.
    assert!((0..20).any(|_| in_child(|| ring_maps() == 0)));
    assert!(in_child(|| {
        let mut own = Ring::new(4).unwrap();
        nops(&mut own, 7..9);
        own.submit_and_wait(2).unwrap();
        // And its own child is refused in turn, while the inherited ring stays refused.
        read(&mut own) == [7, 8] && in_child(|| child(&mut own)) && child(&mut ring)
    }));
    assert_eq!(ring.submit_and_wait(3).unwrap(), 1);
    assert_eq!(read(&mut ring), [0, 1, 2]);
}

#[test]
fn a_fork_within_a_loop_over_completions_ends_the_childs() {
    let mut ring = ring!("a_fork_within_a_loop_over_completions", 4);
    nops(&mut ring, 0..4);
    ring.submit_and_wait(4).unwrap();
    let mut completions = ring.completions();
    assert!(completions.next().is_some());
    assert!(in_child(|| completions.next().is_none()));
    assert_eq!(completions.count(), 3);
}

#[test]
fn the_registered_index_is_used() {
    let Some(mut ring) = indexed_or_skip("the_registered_index_is_used", 4) else { return };
    assert_eq!(ring.register_ring_fd().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    nops(&mut ring, 0..1);
    // With another file under the ring's number only the index still leads to it.
    let null = fs::File::open("/dev/null").unwrap();
    // SAFETY: the number stays the ring's to close; nobody else uses it.
    assert!(unsafe { libc::dup2(null.as_raw_fd(), ring.as_raw_fd()) } >= 0);
    assert_eq!(ring.submit_and_wait(1).unwrap(), 1);
    assert_eq!(read(&mut ring), [0]);
}

#[test]
fn an_index_is_given_back() {
    let Some(mut ring) = indexed_or_skip("an_index_is_given_back", 4) else { return };
    ring.unregister_ring_fd().unwrap();
    assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
    // A thread has 16 of them.
    for _ in 0..40 {
        ring.register_ring_fd().unwrap();
        ring.unregister_ring_fd().unwrap();
        let mut other = Ring::new(1).unwrap();
        other.register_ring_fd().unwrap();
    }
}

#[test]
fn an_index_is_used_on_its_own_thread_only() {
    let Some(mut ring) = indexed_or_skip("an_index_is_used_on_its_own_thread_only", 4) else { return };
    thread::spawn(move || {
        let mut other = Ring::new(4).unwrap();
        other.register_ring_fd().unwrap();
        nops(&mut ring, 1..2);
        nops(&mut other, 2..3);
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!((read(&mut ring), read(&mut other)), (vec![1], vec![]));
        assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
        ring.register_ring_fd().unwrap();
        nops(&mut ring, 3..4);
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!(read(&mut ring), [3]);
    })
    .join()
    .unwrap();
}

/// Red when an update is put elsewhere than it says, or an empty range does not clear its place.
#[test]
fn registered_memory_is_read_into_by_its_index() {
    const NAME: &str = "registered_memory_is_read_into_by_its_index";
    let mut ring = ring!("registered_memory_is_read_into_by_its_index", 4);
    match ring.register_buffer_table(8) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return skip(NAME, e),
        other => other.unwrap(),
    }
    assert_eq!(ring.register_buffer_table(8).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    let (rx, mut tx) = std::io::pipe().unwrap();
    let mut memory = Box::new([0_u8; 64]);
    let start = memory.as_mut_ptr();
    let mut read = |ring: &mut Ring, at: *mut u8, len: u32, index: u16| {
        tx.write_all(b"abc").unwrap();
        push(ring, Sqe::read_fixed(rx.as_raw_fd(), at, len, u64::MAX, index)).unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completions().next().unwrap().res
    };
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "nothing is there yet");
    // SAFETY: the memory outlives the ring, and is written by these reads alone.
    unsafe { ring.update_buffer(5, start..start.wrapping_add(64)) }.unwrap();
    assert_eq!(read(&mut ring, start.wrapping_add(60), 4, 5), 4);
    assert_eq!(read(&mut ring, start.wrapping_add(60), 5, 5), -libc::EFAULT, "past its end");
    assert_eq!(read(&mut ring, start, 3, 4), -libc::EFAULT, "another place");
    // SAFETY: no memory is named.
    unsafe { ring.update_buffer(5, ptr::null_mut()..ptr::null_mut()) }.unwrap();
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "it was taken out");
    // SAFETY: no memory is named.
    let outside = unsafe { ring.update_buffer(8, ptr::null_mut()..ptr::null_mut()) };
    assert_eq!(outside.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    drop(ring);
    assert_eq!(&memory[60..], b"abca");
}

#[test]
fn the_probe_knows_the_opcodes() {
    let ring = ring!("the_probe_knows_the_opcodes", 1);
    let probe = ring.probe().unwrap();
    assert!(probe.supports(sys::IORING_OP_NOP as u8) && probe.supports(sys::IORING_OP_READ as u8));
    assert!(!probe.supports(u8::MAX));
    assert!(format!("{probe:?}").starts_with("{NOP, READV, "));
}

#[test]
fn a_single_issuer_is_alone() {
    let mut ring = ring!("a_single_issuer_is_alone", 4, SetupFlags::SINGLE_ISSUER);
    nops(&mut ring, 0..1);
    let mut ring = thread::spawn(move || {
        assert_eq!(ring.submit().unwrap_err().raw_os_error(), Some(libc::EEXIST));
        ring
    })
    .join()
    .unwrap();
    // Published stays: the failed enter lost nothing.
    assert_eq!((ring.queued(), ring.submit().unwrap()), (1, 1));
    assert_eq!(read(&mut ring), [0]);
}

#[test]
fn a_disabled_ring_belongs_to_who_enables_it() {
    let flags = SetupFlags::R_DISABLED | SetupFlags::SINGLE_ISSUER;
    let mut ring = ring!("a_disabled_ring_belongs_to_who_enables_it", 4, flags);
    nops(&mut ring, 0..1);
    assert_eq!(ring.submit().unwrap_err().raw_os_error(), Some(libc::EBADFD));
    thread::spawn(move || {
        ring.enable().unwrap();
        assert_eq!(ring.submit().unwrap(), 1);
        assert_eq!(read(&mut ring), [0]);
    })
    .join()
    .unwrap();
}

#[test]
fn the_kernels_thread_is_woken() {
    let Some(_) = ring_or_skip("the_kernels_thread_is_woken", 4, SetupFlags::SQPOLL) else { return };
    let mut ring = Ring::builder().flags(SetupFlags::SQPOLL).sq_thread_idle(1).build(4).unwrap();
    for round in 0..3 {
        let start = Instant::now();
        while !ring.needs_wakeup() && start.elapsed() < LONG {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(ring.needs_wakeup() && ring.needs_enter());
        nops(&mut ring, round..round + 1);
        // Once by a submit that does not wait, else by one that does.
        if round == 0 {
            ring.submit().unwrap();
            assert!(!ring.wait_timeout(1, LONG).unwrap().timed_out);
        } else {
            ring.submit_and_wait(1).unwrap();
        }
        assert_eq!(read(&mut ring), [round]);
    }
}

#[test]
fn deferred_completions_appear_on_submit() {
    let defer = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for flags in [defer, defer | SetupFlags::TASKRUN_FLAG] {
        let mut ring = ring!("deferred_completions_appear_on_submit", 64, flags);
        let mut pairs: Vec<_> = (0..64).map(|n| pending_read(&mut ring, n)).collect();
        assert_eq!(ring.submit().unwrap(), 64);
        pairs.iter_mut().for_each(|(_, writer)| writer.write_all(b"x").unwrap());
        assert_eq!((ring.ready(), ring.needs_enter()), (0, true));
        assert_eq!(ring.taskrun(), flags.contains(SetupFlags::TASKRUN_FLAG));
        let mut all = vec![];
        for _ in 0..8 {
            ring.submit().unwrap();
            all.extend(read(&mut ring));
        }
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
        assert!(!ring.taskrun());
    }
}

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn a_signal_interrupts_unless_masked() {
    let mut ring = ring!("a_signal_interrupts_unless_masked", 4);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, ptr::null_mut()) }, 0);
    let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writes a whole set.
    assert_eq!(unsafe { libc::sigfillset(mask.as_mut_ptr()) }, 0);
    // SAFETY: just filled.
    let mask = unsafe { mask.assume_init() };
    // SAFETY: asks who this is.
    let me = unsafe { libc::pthread_self() } as usize; // a pointer in musl
    let wait = |sigmask| Enter { wait: 1, timeout: Some(Duration::from_millis(300)), sigmask, ..Enter::default() };
    thread::scope(|scope| {
        for sigmask in [None, Some(&mask)] {
            let sender = scope.spawn(move || {
                thread::sleep(Duration::from_millis(100));
                // SAFETY: the thread lives: it waits for this one.
                unsafe { libc::pthread_kill(me as libc::pthread_t, libc::SIGUSR2) }
            });
            let entered = ring.enter(&wait(sigmask));
            match sigmask {
                None => assert_eq!(entered.unwrap_err().kind(), io::ErrorKind::Interrupted),
                Some(_) => assert!(entered.unwrap().timed_out),
            }
            assert_eq!(sender.join().unwrap(), 0);
        }
    });
}

#[test]
fn a_drop_waits_for_nobody() {
    let mut ring = ring!("a_drop_waits_for_nobody", 4);
    let (_reader, _writer) = pending_read(&mut ring, 0);
    ring.submit().unwrap();
    let start = Instant::now();
    drop(ring);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_worker_pool_is_shared() {
    let ring = ring!("a_worker_pool_is_shared", 4);
    let mut other = Ring::builder().attach_wq(&ring).build(4).unwrap();
    nops(&mut other, 0..1);
    assert_eq!(other.submit_and_wait(1).unwrap(), 1);
    let null = fs::File::open("/dev/null").unwrap();
    let error = Ring::builder().attach_wq(&null).build(4).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn the_number_of_workers_is_set_and_told() {
    let ring = ring!("the_number_of_workers", 4);
    let before = match ring.set_max_workers(0, 0) {
        Ok(before) => before,
        Err(e) => return skip("the_number_of_workers", format!("no REGISTER_IOWQ_MAX_WORKERS: {e}")),
    };
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    assert_eq!(ring.set_max_workers(before.0 + 3, 0).unwrap(), before);
    assert_eq!(ring.set_max_workers(0, 0).unwrap(), (before.0 + 3, before.1));
}

#[test]
fn a_file_is_read() {
    let mut ring = ring!("a_file_is_read", 4);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (file, text) = (fs::File::open(path).unwrap(), fs::read(path).unwrap());
    let mut buf = vec![0; text.len() + 1];
    push(&mut ring, Sqe::read(file.as_raw_fd(), buf.as_mut_ptr(), buf.len() as u32, 0)).unwrap();
    ring.submit_and_wait(1).unwrap();
    let n = ring.completions().next().unwrap().result().unwrap();
    assert_eq!(buf[..n as usize], text);
    assert!(ring.features().contains(Features::SINGLE_MMAP));
}
