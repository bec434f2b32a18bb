//! Entries of 128 bytes, completions of 32, and both in queues of mixed sizes.

use crate::common::*;
use annulus::{
    ring::{BigCqe, CqeFlags, Full, Ring, SetupFlags, Sqe, Sqe128, SqeFlags},
    sys,
};
use std::{io, os::fd::AsRawFd};

/// A ring, or none where the kernel is older than the flag and says so.
fn ring_or_refused(entries: u32, flags: SetupFlags) -> Option<Ring> {
    match Ring::builder().flags(flags).build(entries) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => None,
        ring => Some(ring.unwrap()),
    }
}

/// A NOP whose completion has a second half.
fn nop32(user_data: u64) -> Sqe {
    let op_flags = sys::IORING_NOP_CQE32;
    Sqe { off: user_data + 100, addr: user_data + 200, op_flags, ..Sqe::nop() }.user_data(user_data)
}

fn push128(ring: &mut Ring, entry: Sqe128) -> Result<(), Full> {
    // SAFETY: Lent: a NOP names nothing.
    unsafe { ring.push128(&entry) }
}

fn read_big(ring: &mut Ring) -> Vec<BigCqe> {
    let mut ready = ring.completions();
    std::iter::from_fn(|| ready.next_big()).collect()
}

/// Red when a slot's stride is taken for another's: entries would be read from the middle of others.
#[test]
fn every_width_round_trips_through_the_kernel() {
    use SetupFlags as F;
    let entries = [F::empty(), F::SQE128, F::SQE_MIXED];
    let completions = [F::empty(), F::CQE32, F::CQE_MIXED];
    let widths = entries.iter().flat_map(|&entry| completions.iter().map(move |&completion| entry | completion));
    for flags in widths.flat_map(|width| [width, width | F::NO_SQARRAY, width | F::NO_SQARRAY | F::SQ_REWIND]) {
        let Some(mut ring) = ring_or_refused(8, flags) else { continue };
        for round in (0..80).step_by(8) {
            nops(&mut ring, round..round + 8);
            assert_eq!(push(&mut ring, Sqe::nop()), Err(Full));
            assert_eq!(ring.submit_and_wait(8).unwrap(), 8);
            assert_eq!(read(&mut ring), (round..round + 8).collect::<Vec<_>>(), "{flags:?}");
        }
        assert_eq!((ring.dropped(), ring.lost(), ring.poisoned()), (0, 0, false));
    }
}

/// Red when the second half of a completion is left out, or is another's.
#[test]
fn the_second_half_of_a_completion_arrives() {
    for flags in [SetupFlags::CQE32, SetupFlags::CQE_MIXED] {
        let Some(mut ring) = ring_or_refused(8, flags) else { continue };
        let mixed = flags == SetupFlags::CQE_MIXED;
        push(&mut ring, nop32(7)).unwrap();
        ring.submit_and_wait(1).unwrap();
        let big = read_big(&mut ring)[0];
        if big.cqe.res == -libc::EINVAL {
            continue; // before the NOP had this flag
        }
        assert_eq!(big.cqe.flags.contains(CqeFlags::BIG), mixed);
        assert_eq!((big.cqe.user_data, big.cqe.res), (7, 0));
        // The kernel says zeros, or what the entry carried.
        let said = big.extra != [0; 2];
        for n in 0..100 {
            push(&mut ring, nop32(n)).unwrap();
            nops(&mut ring, n..n + 1);
            ring.submit_and_wait(2).unwrap();
            let both = read_big(&mut ring);
            assert_eq!(both.iter().map(|big| big.cqe.user_data).collect::<Vec<_>>(), [n, n]);
            assert_eq!(both[0].extra, if said { [n + 100, n + 200] } else { [0; 2] });
            assert_eq!((both[1].extra, ring.ready()), ([0; 2], 0));
        }
    }
}

/// Red when completions that waited in the kernel are misread, or when the halves are.
#[test]
fn completions_of_both_sizes_overflow_in_order() {
    let Some(mut ring) = ring_or_refused(8, SetupFlags::CQE_MIXED) else { return };
    for n in 0..40 {
        push(&mut ring, if n % 3 == 0 { nop32(n) } else { Sqe::nop().user_data(n) }).unwrap();
        ring.submit().unwrap();
    }
    assert!(ring.cq_overflow());
    let mut all = read_big(&mut ring);
    for _ in 0..10 {
        ring.submit().unwrap();
        all.extend(read_big(&mut ring));
    }
    assert_eq!(all.iter().map(|big| big.cqe.user_data).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    assert!(all.iter().all(|big| big.cqe.flags.contains(CqeFlags::BIG) == (big.cqe.user_data % 3 == 0)));
    assert_eq!((ring.cq_overflow(), ring.lost(), ring.poisoned()), (false, 0, false));
}

/// Red when a message whose sender sets every flag makes the walk lose its step.
#[test]
fn a_message_with_every_flag_is_one_completion() {
    for flags in [SetupFlags::empty(), SetupFlags::CQE32, SetupFlags::CQE_MIXED] {
        let Some(mut ring) = ring_or_refused(8, flags) else { continue };
        let mut sender = ring_or_skip("a_message_with_every_flag", 8, SetupFlags::empty()).unwrap();
        let fd = ring.as_raw_fd();
        let message = |user_data, cqe_flags| Sqe {
            opcode: sys::IORING_OP_MSG_RING as u8,
            fd,
            off: user_data,
            op_flags: sys::IORING_MSG_RING_FLAGS_PASS,
            file_index: cqe_flags,
            ..Sqe::default()
        };
        // On a mixed ring "padding" is padding, whoever says so.
        let all = if flags == SetupFlags::CQE_MIXED { !CqeFlags::SKIP.bits() } else { u32::MAX };
        for round in 0..10 {
            let entries = [message(round, all), message(round, 0), message(round, CqeFlags::BIG.bits())];
            entries.into_iter().for_each(|entry| push(&mut sender, entry).unwrap());
            sender.submit_and_wait(3).unwrap();
            if sender.completions().any(|cqe| cqe.res == -libc::EINVAL) {
                return; // before flags could be passed
            }
            ring.submit().unwrap();
            let seen: Vec<_> =
                read_big(&mut ring).iter().map(|big| (big.cqe.user_data, big.cqe.flags.bits())).collect();
            // For a message with BIG, Linux 6.18 pads the end of queues that are not mixed as well.
            let seen: Vec<_> = seen.into_iter().filter(|&(_, flags)| flags != CqeFlags::SKIP.bits()).collect();
            assert_eq!(seen, [(round, all), (round, 0), (round, CqeFlags::BIG.bits())], "{flags:?}");
            assert!(!ring.poisoned());
        }
    }
}

/// Red when the kernel is given an entry across the queue's end (`-EINVAL`), or the padding is told of.
#[test]
fn entries_of_both_sizes_go_through_one_queue() {
    let Some(mut ring) = ring_or_refused(4, SetupFlags::SQE_MIXED) else { return };
    let nop128 = Sqe128::from(Sqe { opcode: sys::IORING_OP_NOP128 as u8, ..Sqe::default() });
    for n in 0..50 {
        nops(&mut ring, 2 * n..2 * n + 1);
        while push128(&mut ring, nop128.user_data(2 * n + 1)).is_err() {
            ring.submit().unwrap();
        }
        ring.submit().unwrap();
        let all: Vec<_> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
        assert_eq!(all, [(2 * n, 0), (2 * n + 1, 0)]);
    }
    // Such an opcode in the last slot, pushed as what it is not: the kernel refuses it and the ring goes on.
    let at_the_end = (0..8).any(|_| {
        nops(&mut ring, 0..1);
        ring.submit().unwrap();
        push128(&mut ring, nop128).unwrap();
        let padded = ring.queued() == 3;
        ring.submit().unwrap();
        ring.completions().for_each(drop);
        padded
    });
    assert!(at_the_end, "there was never padding");
    nops(&mut ring, 0..1); // after the padding and two slots, the third of four
    push(&mut ring, nop128.sqe).unwrap();
    ring.submit().unwrap();
    let results: Vec<_> = ring.completions().map(|cqe| cqe.res).collect();
    assert_eq!(results, [0, -libc::EINVAL]);
    nops(&mut ring, 5..6);
    ring.submit().unwrap();
    assert_eq!(read(&mut ring), [5]);
}

/// What this kernel refuses, it refuses with its errno; what it takes, works. Red when annulus refuses by itself.
#[test]
fn what_only_newer_kernels_have_is_asked_of_them() {
    use SetupFlags as F;
    for flags in [F::CQE_MIXED, F::SQE_MIXED, F::SQ_REWIND | F::NO_SQARRAY] {
        match Ring::builder().flags(flags).build(8) {
            Ok(ring) => assert_eq!(ring.setup_flags(), flags),
            Err(e) => assert!(matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)), "{e}"),
        }
    }
}

/// Red when a rest that was not submitted is lost, repeated, or stays where it was.
#[test]
fn a_ring_that_rewinds_keeps_what_was_not_taken() {
    let Some(mut ring) = ring_or_refused(4, SetupFlags::SQ_REWIND | SetupFlags::NO_SQARRAY) else { return };
    nops(&mut ring, 0..1);
    push(&mut ring, Sqe { opcode: 200, ..Sqe::default() }.user_data(1)).unwrap();
    nops(&mut ring, 2..4);
    assert_eq!((ring.submit().unwrap(), ring.queued()), (2, 2));
    nops(&mut ring, 4..6);
    assert_eq!((push(&mut ring, Sqe::nop()), ring.submit().unwrap()), (Err(Full), 4));
    let results: Vec<_> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
    assert_eq!(results, [(0, 0), (1, -libc::EINVAL), (2, 0), (3, 0), (4, 0), (5, 0)]);
}

/// Red when a batch is taken in part.
#[test]
fn a_chain_is_queued_whole_or_not_at_all() {
    let mut ring = ring!("a_chain_is_queued_whole_or_not_at_all", 4);
    let chain: Vec<Sqe> = (0..3).map(|n| Sqe::nop().user_data(n).flags(SqeFlags::IO_LINK)).collect();
    nops(&mut ring, 9..11);
    // SAFETY: Lent: a NOP names nothing, here and below.
    assert_eq!(unsafe { ring.push_all(&chain) }, Err(Full));
    assert_eq!((ring.queued(), ring.submit_and_wait(2).unwrap()), (2, 2));
    // SAFETY: Lent: see above.
    assert_eq!(unsafe { ring.push_all(&chain) }, Ok(()));
    assert_eq!(ring.submit_and_wait(5).unwrap(), 3);
    assert_eq!(read(&mut ring), [9, 10, 0, 1, 2]);
    let error = io::Error::from(Full);
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}
