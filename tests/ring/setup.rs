//! What a ring is made with.

use crate::common::*;
use annulus::ring::{Enter, Ring, SetupFlags, Sqe};
use std::{
    fs,
    io::{self, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    thread,
    time::{Duration, Instant},
};

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
        (with(F::SQE128 | F::SQE_MIXED), 8, "take one"),
        (with(F::SQE_MIXED | F::SQPOLL), 8, "half an entry"),
        (with(F::CQE32 | F::CQE_MIXED), 8, "take one"),
        (with(F::SQE_MIXED), 1, "2 entries"),
        (with(F::CQE_MIXED).cq_entries(1), 1, "2 completions"),
        (with(F::SQ_REWIND), 8, "NO_SQARRAY"),
        (with(F::NO_MMAP), 8, "build_in"),
        (with(F::REGISTERED_FD_ONLY), 8, "build_in"),
        (with(F::SQ_REWIND | F::NO_SQARRAY | F::SQPOLL), 8, "SQPOLL"),
    ];
    for (builder, entries, word) in invalid {
        assert_eq!(refused(builder, entries, word), io::ErrorKind::InvalidInput);
    }
    assert_eq!(refused(with(F::from_bits_retain(1 << 30)), 8, "0x40000000"), io::ErrorKind::Unsupported);
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
fn a_worker_pool_is_shared() {
    let ring = ring!("a_worker_pool_is_shared", 4);
    let mut other = Ring::builder().attach_wq(&ring).build(4).unwrap();
    nops(&mut other, 0..1);
    assert_eq!(other.submit_and_wait(1).unwrap(), 1);
    let null = fs::File::open("/dev/null").unwrap();
    let error = Ring::builder().attach_wq(&null).build(4).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

/// Every ring of this kind that the kernel makes.
fn sqpoll(more: SetupFlags) -> Option<Ring> {
    Ring::builder().flags(SetupFlags::SQPOLL | more).sq_thread_idle(10).build(4).ok()
}

fn woken(ring: &mut Ring, wait: u32) {
    ring.submit_and_wait(wait).unwrap();
}

/// Red when the wait ends before there is room, or never.
#[test]
fn room_is_waited_for_where_a_thread_makes_it() {
    for more in [SetupFlags::empty(), SetupFlags::NO_SQARRAY, SetupFlags::SINGLE_ISSUER] {
        let Some(mut ring) = sqpoll(more) else { continue };
        let (mut seen, mut full) = (vec![], 0);
        for n in 0..2000 {
            while push(&mut ring, Sqe::nop().user_data(n)).is_err() {
                full += 1;
                ring.wait_for_room().unwrap();
                assert!(ring.space_left() > 0);
                seen.append(&mut read(&mut ring));
            }
            if n % 500 == 0 {
                thread::sleep(Duration::from_millis(15)); // the thread sleeps now
            }
        }
        let start = Instant::now();
        while seen.len() < 2000 && start.elapsed() < LONG {
            woken(&mut ring, 1);
            seen.append(&mut read(&mut ring));
        }
        assert!(seen.into_iter().eq(0..2000) && full > 0);
    }
    let mut ring = ring!("room_is_waited_for", 4);
    assert_eq!(ring.wait_for_room().unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// Red when the thread is put elsewhere than it is said, or a processor that is not there is taken for one.
#[test]
fn the_kernels_thread_stays_on_its_processor() {
    let with = |cpu| Ring::builder().flags(SetupFlags::SQPOLL).sq_thread_cpu(cpu).build(4);
    // The first that this thread may use.
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let field = |status: &str| {
        let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let cpu = field(&status).split(['-', ',']).next().unwrap().parse().unwrap();
    let Ok(_ring) = with(cpu) else { return };
    let cpus = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let of = tasks.filter_map(|task| {
            let task = task.ok()?.path();
            let name = fs::read_to_string(task.join("comm")).ok()?;
            let status = fs::read_to_string(task.join("status")).ok()?;
            name.starts_with("iou-sqp-").then(|| field(&status))
        });
        of.collect::<Vec<_>>()
    };
    // It goes there itself, when it begins.
    let start = Instant::now();
    while !cpus().contains(&cpu.to_string()) {
        assert!(start.elapsed() < LONG, "{:?}", cpus());
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(with(100_000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

/// Red when the thread ends with the ring that it was made for.
#[test]
fn a_shared_thread_outlives_the_ring_that_made_it() {
    let Some(mut first) = sqpoll(SetupFlags::empty()) else { return };
    let mut second = Ring::builder().flags(SetupFlags::SQPOLL).sq_thread_idle(10).attach_wq(&first).build(4).unwrap();
    for ring in [&mut first, &mut second] {
        nops(ring, 0..1);
        woken(ring, 1);
        assert_eq!(read(ring), [0]);
    }
    drop(first);
    for n in 1..4 {
        thread::sleep(Duration::from_millis(15));
        nops(&mut second, n..n + 1);
        woken(&mut second, 1);
        assert_eq!(read(&mut second), [n]);
    }
    let closed = { UnixStream::pair().unwrap().0.as_raw_fd() };
    struct Number(i32);
    impl AsRawFd for Number {
        fn as_raw_fd(&self) -> i32 {
            self.0
        }
    }
    // Another test's thread may have made something else of the number.
    let error = Ring::builder().attach_wq(&Number(closed + 5000)).build(4).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(libc::ENXIO | libc::EBADF)), "{error}");
    let error = Ring::builder().attach_wq(&Number(-1)).build(4).unwrap_err();
    assert!(error.to_string().contains("descriptor"), "{error}");
}

/// Red when the thread of a ring that was never enabled keeps its drop waiting.
#[test]
fn a_ring_that_was_never_enabled_is_dropped_at_once() {
    let start = Instant::now();
    for more in [SetupFlags::SQPOLL, SetupFlags::empty(), SetupFlags::SINGLE_ISSUER] {
        for _ in 0..10 {
            let Ok(mut ring) = Ring::builder().flags(SetupFlags::R_DISABLED | more).build(4) else { continue };
            nops(&mut ring, 0..2);
            // What is polled before it is enabled is nothing to be afraid of.
            let mut poll = libc::pollfd { fd: ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one structure.
            assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 0);
        }
    }
    assert!(start.elapsed() < LONG);
}

/// Red when the thread of `SQPOLL`, which is the one that submits, is taken for another issuer.
#[test]
fn a_ring_with_the_kernels_thread_has_one_issuer_anyway() {
    let Some(mut ring) = sqpoll(SetupFlags::SINGLE_ISSUER) else { return };
    for n in 0..3 {
        nops(&mut ring, n..n + 1);
        woken(&mut ring, 1);
        assert_eq!(read(&mut ring), [n]);
    }
}

/// Red when a wait ends early, or one entry at a time gets stuck.
#[test]
fn a_wait_is_for_as_many_as_it_says() {
    let mut ring = ring!("a_wait_is_for_as_many_as_it_says", 8);
    for n in 0..5000 {
        nops(&mut ring, n..n + 1);
        assert_eq!(ring.submit_and_wait(1).unwrap(), 1);
        assert_eq!(read(&mut ring), [n]);
    }
    let (_reader, mut writer) = pending_read(&mut ring, 9);
    nops(&mut ring, 0..3);
    let late = thread::spawn(move || {
        thread::sleep(NOBODY);
        writer.write_all(b"x").unwrap();
        writer
    });
    assert_eq!((ring.submit_and_wait(4).unwrap(), ring.ready()), (4, 4));
    assert_eq!(read(&mut ring), [0, 1, 2, 9]);
    late.join().unwrap();
}

/// Red when what overflows on a ring that is polled is lost, or out of order.
#[test]
fn a_polled_ring_overflows_like_any_other() {
    use SetupFlags as F;
    let defer = F::SINGLE_ISSUER | F::DEFER_TASKRUN;
    for flags in [F::IOPOLL, F::IOPOLL | F::HYBRID_IOPOLL, F::IOPOLL | defer] {
        let Ok(mut ring) = Ring::builder().flags(flags).build(4) else { continue };
        let mut all = vec![];
        for batch in 0..5 {
            nops(&mut ring, batch * 4..batch * 4 + 4);
            // An enter that would make room is what a poll is: so nothing is read in between.
            ring.enter(&Enter { submit: 4, ..Enter::default() }).unwrap();
        }
        assert_eq!((ring.ready(), ring.cq_overflow(), ring.needs_enter()), (8, true, true));
        for _ in 0..5 {
            all.append(&mut read(&mut ring));
            ring.submit().unwrap();
        }
        assert_eq!((all, ring.lost(), ring.cq_overflow()), ((0..20).collect::<Vec<_>>(), 0, false), "{flags:?}");
    }
}

/// Red when annulus maps more or less than there is, or for itself alone.
#[test]
fn the_queues_are_mapped_shared_and_whole() {
    let _ring = ring!("the_queues_are_mapped_shared_and_whole", 512);
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    // Other tests have rings, too: at least two maps are this one's, and none is private.
    let lines: Vec<_> = maps.lines().filter(|line| line.contains("anon_inode:[io_uring]")).collect();
    assert!(lines.len() >= 2);
    assert!(lines.iter().all(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.ends_with('s'))));
    let long = |line: &str| {
        let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        end - start == 512 * 64
    };
    assert!(lines.iter().any(|line| long(line)), "{lines:?}");
}
