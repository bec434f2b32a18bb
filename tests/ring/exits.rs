//! Threads and processes that end while their requests are in flight.

use crate::{
    child::status_of,
    common::{LONG, NOBODY, answers, pending_read, push, results, ring, ring_or_skip},
};
use annulus::{
    entry::Interest,
    ring::{Ring, SetupFlags, Sqe, SqeFlags},
    sys::__kernel_timespec,
};
use std::{
    ffi::CStr,
    fs::File,
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::fd::AsRawFd,
    ptr, thread,
    time::Instant,
};

/// What keeps requests pending: to be held as long.
type Ends = ((PipeReader, PipeWriter), (PipeReader, PipeWriter));

/// One request of each kind: a read that is polled for, one that a worker polls for, a timer, a poll, and a call that
/// a worker is stuck in. Numbers 0 to 4.
fn one_of_each(ring: &mut Ring) -> Ends {
    let ((from, tx), (rx, to)) = (pipe().unwrap(), pipe().unwrap());
    let bytes: &'static mut [u8; 2] = Box::leak(Box::new([0; 2]));
    let long: &'static __kernel_timespec = Box::leak(Box::new(__kernel_timespec { tv_sec: 100, tv_nsec: 0 }));
    let [first, second] = bytes;
    let splice = Sqe::splice((from.as_raw_fd(), u64::MAX), (to.as_raw_fd(), u64::MAX), 1, 0);
    let all = [
        Sqe::read(rx.as_raw_fd(), first, 1, u64::MAX),
        Sqe::read(rx.as_raw_fd(), second, 1, u64::MAX).flags(SqeFlags::ASYNC),
        Sqe::timeout(long),
        Sqe::poll_add(rx.as_raw_fd(), Interest::Read),
        splice,
    ];
    for (number, sqe) in (0..).zip(all) {
        push(ring, sqe.user_data(number)).unwrap();
    }
    ring.submit().unwrap();
    thread::sleep(NOBODY); // until the workers have theirs
    ((from, tx), (rx, to))
}

const FLAGS: [SetupFlags; 3] =
    [SetupFlags::empty(), SetupFlags::SQPOLL, SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN)];

/// Red when a process with pending requests does not end, whether or not it drops its ring.
#[test]
fn a_process_ends_with_requests_in_flight() {
    for flags in FLAGS {
        // Where there is no such ring, the child is not asked for one.
        if ring_or_skip("a_process_ends_with_requests_in_flight", 8, flags).is_none() {
            continue;
        }
        for dropped in [true, false] {
            let status = status_of(|| {
                let mut ring = ring_or_skip("a_process_ends", 8, flags).unwrap();
                let ends = one_of_each(&mut ring);
                if dropped {
                    drop((ring, ends));
                } else {
                    std::mem::forget((ring, ends));
                }
                7
            });
            assert_eq!(status, 7, "{flags:?}, dropped: {dropped}");
        }
    }
}

/// Becomes another program: this one, with nothing to run.
fn exec() -> i32 {
    let null = File::options().write(true).open("/dev/null").unwrap();
    // SAFETY: Plain call: the standard output is the child's own.
    assert!(unsafe { libc::dup2(null.as_raw_fd(), 1) } == 1);
    let words: [&CStr; 3] = [c"nothing", c"--exact", c"no_test_has_this_name"];
    let words = [words[0].as_ptr(), words[1].as_ptr(), words[2].as_ptr(), ptr::null()];
    // SAFETY: Kernel's word: strings that end with zeros, in a list that ends with a null.
    unsafe { libc::execv(c"/proc/self/exe".as_ptr(), words.as_ptr()) };
    98
}

/// Red when a program cannot be replaced while its requests are in flight, or its ring stays open in the next.
#[test]
fn another_program_takes_over_with_requests_in_flight() {
    for flags in FLAGS {
        if ring_or_skip("another_program_takes_over", 8, flags).is_none() {
            continue;
        }
        let status = status_of(|| {
            let mut ring = ring_or_skip("another_program_takes_over", 8, flags).unwrap();
            let _ends = one_of_each(&mut ring);
            exec()
        });
        assert_eq!(status, 0, "{flags:?}");
    }
    let ring = ring!("another_program_takes_over", 8);
    // SAFETY: Plain call: asks for a flag.
    assert_eq!(unsafe { libc::fcntl(ring.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
}

/// T32. Requests of a thread that ended are answered once each: carried out, or cancelled and nothing taken. Red when
/// one is lost, is answered twice, or takes a byte that it does not tell of.
#[test]
fn t32_what_a_thread_left_is_answered() {
    let ring = ring!("t32_what_a_thread_left_is_answered", 8);
    let (mut ring, ends) = thread::spawn(move || {
        let mut ring = ring;
        let ends = one_of_each(&mut ring);
        let soon: &'static _ = Box::leak(Box::new(__kernel_timespec { tv_sec: 0, tv_nsec: 50_000_000 }));
        push(&mut ring, Sqe::timeout(soon).user_data(9)).unwrap();
        ring.submit().unwrap();
        (ring, ends)
    })
    .join()
    .unwrap();
    let ((_from, mut tx), (mut rx, mut to)) = ends;
    tx.write_all(b"y").unwrap();
    to.write_all(b"xx").unwrap();
    // The long timer is left, and each read, the poll, the splice and the short timer are answered.
    let all = results(answers(&mut ring, 5));
    let canceled = [-libc::ECANCELED, -libc::EINTR, -512];
    assert!([-libc::ETIME, -libc::ECANCELED].contains(&all[&9]), "{all:?}");
    assert!(all[&3] == i32::from(libc::POLLIN) || canceled.contains(&all[&3]), "{all:?}");
    assert!([0, 1, 4].iter().all(|n| all[n] == 1 || canceled.contains(&all[n])), "{all:?}");
    let spliced = all[&4].max(0) as usize;
    let read = (all[&0].max(0) + all[&1].max(0)) as usize;
    drop(to);
    let mut rest = Vec::new();
    rx.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 2 + spliced - read, "{all:?}, left: {rest:?}");
}

/// T32. A ring that belongs to a thread that ended is nobody's: it says so, and can be dropped. Red when it hangs.
#[test]
fn t32_a_ring_without_its_thread_is_refused() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    if ring_or_skip("t32_a_ring_without_its_thread", 8, flags).is_none() {
        return;
    }
    let (mut ring, mut pair) = thread::spawn(move || {
        let mut ring = ring_or_skip("t32_a_ring_without_its_thread", 8, flags).unwrap();
        let pair = pending_read(&mut ring, 0);
        ring.submit().unwrap();
        (ring, pair)
    })
    .join()
    .unwrap();
    pair.1.write_all(b"x").unwrap();
    for _ in 0..2 {
        let error = ring.submit_and_wait(1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
    }
    assert_eq!(ring.completions().count(), 0);
    let begun = Instant::now();
    drop(ring);
    assert!(begun.elapsed() < LONG);
}

/// Red when the data of a request whose thread is gone at once is lost.
#[test]
fn a_thread_may_submit_and_go() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = std::fs::read(path).unwrap();
    for flags in [SqeFlags::empty(), SqeFlags::ASYNC] {
        for _ in 0..20 {
            let ring = ring!("a_thread_may_submit_and_go", 8);
            let file = File::open(path).unwrap();
            let mut memory = vec![0_u8; text.len()];
            let (start, len) = (memory.as_mut_ptr() as usize, memory.len() as u32);
            let mut ring = thread::scope(|scope| {
                let submits = scope.spawn(|| {
                    let mut ring = ring;
                    let sqe = Sqe::read(file.as_raw_fd(), start as *mut u8, len, 0).flags(flags);
                    push(&mut ring, sqe).unwrap();
                    ring.submit().unwrap();
                    ring
                });
                submits.join().unwrap()
            });
            match answers(&mut ring, 1)[0].result() {
                Ok(n) => assert_eq!(memory[..n as usize], text[..n as usize]),
                Err(e) => assert!([libc::ECANCELED, libc::EINTR].contains(&e.raw_os_error().unwrap()), "{e}"),
            }
        }
    }
}
