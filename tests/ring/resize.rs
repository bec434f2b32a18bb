//! Queues that get another size.

use crate::{child::in_child, common::*};
use annulus::ring::{Full, Ring, SetupFlags, Sqe};
use std::{io, io::Write, thread};

const FIT: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN).union(SetupFlags::NO_SQARRAY);

/// A ring that can be resized, or none where the kernel is older than Linux 6.13.
fn resizable(entries: u32, more: SetupFlags) -> Option<Ring> {
    let mut ring = Ring::builder().flags(FIT | more).build(entries).ok()?;
    let (sq, cq) = (ring.sq_entries(), ring.cq_entries());
    match ring.resize(sq, Some(cq)) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => None,
        other => {
            other.unwrap();
            Some(ring)
        }
    }
}

/// Red when a stride, an offset or a position of the old queues is used for the new ones.
#[test]
fn a_resized_ring_goes_on() {
    use SetupFlags as F;
    for more in [F::empty(), F::TASKRUN_FLAG, F::SUBMIT_ALL, F::CQE32, F::SQE128, F::CQE_MIXED] {
        let Some(mut ring) = resizable(4, more) else { continue };
        let mut next = 0;
        for (sq, cq) in [(4, 8), (64, 128), (2, 256), (1024, 1024), (1, 2), (5, 9), (32768, 65536), (8, 16)] {
            ring.resize(sq, Some(cq)).unwrap();
            let (sq, cq) = (sq.next_power_of_two(), cq.next_power_of_two());
            assert_eq!((ring.sq_entries(), ring.cq_entries()), (sq, cq));
            for _ in 0..3 {
                let end = next + u64::from(sq);
                nops(&mut ring, next..end);
                assert_eq!(push(&mut ring, Sqe::nop()), Err(Full));
                assert_eq!(ring.submit_and_wait(sq).unwrap(), sq);
                assert_eq!(read(&mut ring), (next..end).collect::<Vec<_>>());
                next = end;
            }
            assert!(!ring.taskrun() && !ring.needs_wakeup() && !ring.poisoned());
        }
        ring.resize(16, None).unwrap();
        assert_eq!((ring.sq_entries(), ring.cq_entries()), (16, 32));
    }
}

/// Red when what is queued, ready, read by an iterator that was forgotten, or on its way is lost or told twice.
#[test]
fn what_is_queued_and_ready_moves_along() {
    let Some(mut ring) = resizable(8, SetupFlags::empty()) else { return };
    let (_reader, mut writer) = pending_read(&mut ring, 100);
    nops(&mut ring, 0..5);
    assert_eq!(ring.submit_and_wait(5).unwrap(), 6);
    let mut ready = ring.completions();
    assert_eq!(ready.next().unwrap().user_data, 0);
    std::mem::forget(ready);
    nops(&mut ring, 5..8);
    ring.resize(64, None).unwrap();
    assert_eq!((ring.ready(), ring.queued(), ring.space_left()), (4, 3, 61));
    ring.resize(4, Some(4)).unwrap();
    assert_eq!((ring.ready(), ring.queued(), ring.space_left()), (4, 3, 1));
    // Neither fits there; the ring is as it was.
    assert_eq!(ring.resize(2, Some(4)).unwrap_err().raw_os_error(), Some(libc::EOVERFLOW));
    assert_eq!(ring.resize(2, Some(2)).unwrap_err().raw_os_error(), Some(libc::EOVERFLOW));
    assert_eq!(read(&mut ring), [1, 2, 3, 4]);
    writer.write_all(b"x").unwrap();
    assert_eq!(ring.submit_and_wait(4).unwrap(), 3);
    let mut all = read(&mut ring);
    all.sort_unstable();
    assert_eq!(all, [5, 6, 7, 100]);
}

/// Red when completions that wait in the kernel do not follow into the new queue.
#[test]
fn what_overflowed_comes_into_the_larger_queue() {
    let Some(mut ring) = resizable(4, SetupFlags::empty()) else { return };
    for batch in 0..5 {
        nops(&mut ring, batch * 4..batch * 4 + 4);
        assert_eq!(ring.submit().unwrap(), 4);
    }
    assert!(ring.cq_overflow());
    ring.resize(4, Some(64)).unwrap();
    ring.submit().unwrap();
    assert_eq!((read(&mut ring), ring.lost()), ((0..20).collect::<Vec<_>>(), 0));
}

/// Red when a ring is resized that some kernel would break by it.
#[test]
fn what_some_kernel_would_lose_is_not_resized() {
    use SetupFlags as F;
    let refused = |ring: &mut Ring, word: &str| {
        let error = ring.resize(8, None).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        error.kind()
    };
    if let Ok(mut ring) = Ring::builder().flags(FIT - F::NO_SQARRAY).build(4) {
        assert_eq!(refused(&mut ring, "NO_SQARRAY"), io::ErrorKind::Unsupported);
    }
    if let Ok(mut ring) = Ring::builder().flags(F::NO_SQARRAY).build(4) {
        assert_eq!(refused(&mut ring, "DEFER_TASKRUN"), io::ErrorKind::Unsupported);
    }
    if let Ok(mut ring) = Ring::builder().flags(FIT).build_in(4, annulus::ring::RingMemory::anonymous()) {
        assert_eq!(refused(&mut ring, "keeps its size"), io::ErrorKind::Unsupported);
    }
    for width in [F::SQE128, F::CQE32, F::CQE_MIXED] {
        let Some(mut ring) = resizable(4, width) else { continue };
        nops(&mut ring, 0..1);
        assert_eq!(refused(&mut ring, "read everything"), io::ErrorKind::ResourceBusy);
        ring.submit_and_wait(1).unwrap();
        assert_eq!(refused(&mut ring, "read everything"), io::ErrorKind::ResourceBusy);
        assert_eq!(read(&mut ring), [0]);
        ring.resize(8, None).unwrap();
    }
    let Some(mut ring) = resizable(4, F::empty()) else { return };
    for (sq, cq) in [(0, None), (4, Some(2)), (1 << 16, None), (4, Some(1 << 17))] {
        assert_eq!(ring.resize(sq, cq).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    let ring = thread::spawn(move || {
        assert_eq!(ring.resize(8, None).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        ring
    });
    let mut ring = ring.join().unwrap();
    assert!(in_child(|| ring.resize(8, None).is_err_and(|error| error.kind() == io::ErrorKind::Other)));
    nops(&mut ring, 0..4);
    assert_eq!((ring.submit_and_wait(4).unwrap(), read(&mut ring)), (4, vec![0, 1, 2, 3]));
}

/// Red when a ring whose new queues could not be mapped goes on with the old ones, which the kernel has left.
#[test]
fn a_ring_without_its_new_maps_is_broken_for_good() {
    if resizable(4, SetupFlags::empty()).is_none() {
        return;
    }
    assert!(in_child(|| {
        let Some(mut ring) = resizable(4, SetupFlags::empty()) else { return false };
        nops(&mut ring, 0..2);
        let none = libc::rlimit { rlim_cur: 1, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit of a process that ends soon.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &none) } == 0;
        let error = ring.resize(32768, None);
        limited
            && error.is_err_and(|error| error.raw_os_error() == Some(libc::ENOMEM))
            && (ring.poisoned(), push(&mut ring, Sqe::nop())) == (true, Err(Full))
            && ring.submit().is_err_and(|error| error.to_string().contains("could not be mapped"))
            && ring.resize(4, None).is_err()
            && read(&mut ring).is_empty()
    }));
}
